"""Colours of any file: 16-bit values by the bits that they use, ICC profiles, HEIC, and warnings of Pillow."""

import base64
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from melanoma_pl import image_files
from melanoma_pl.image_files import BrokenImageError, open_image, to_rgb
from tests.conftest import HEIC

COLOURS = np.random.default_rng(0).integers(0, 256, (9, 7, 4))
COLOURS[0, 0] = 255
SRGB_PRIMARIES = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
P3_PRIMARIES = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))


def png(values: NDArray[np.int64], significant: int = 0) -> bytes:
    """Return a 16-bit PNG with one, three or four channels; `significant` writes an sBIT chunk."""
    height, width, channels = values.shape

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    lines = np.frombuffer(values.astype(">u2").tobytes(), np.uint8).reshape(height, -1).astype(np.int64)
    left = np.pad(lines, ((0, 0), (2 * channels, 0)))[:, : lines.shape[1]]
    filtered = np.insert((lines - left) % 256, 0, 1, axis=1).astype(np.uint8)  # filter 1: differences within a line
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    stated = chunk(b"sBIT", bytes([significant] * channels)) if significant else b""
    data = chunk(b"IDAT", zlib.compress(filtered.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + stated + data + chunk(b"IEND", b"")


def tiff(values: NDArray[np.int64]) -> bytes:
    """Return an uncompressed 16-bit TIFF with three channels."""
    height, width, channels = values.shape
    tags = ((256, width), (257, height), (258, 0), (259, 1), (262, 2), (273, 0), (277, channels), (278, height))
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    places = {258: (channels, start), 273: (1, start + 2 * channels)}
    lines = [struct.pack("<HHII", tag, 3 if tag == 258 else 4, *places.get(tag, (1, value))) for tag, value in tags]
    lines.append(struct.pack("<HHII", 279, 4, 1, 2 * values.size))
    directory = struct.pack("<H", len(lines)) + b"".join(lines) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<3H", 16, 16, 16) + values.astype("<u2").tobytes()


def profile(primaries: tuple[tuple[float, ...], ...]) -> bytes:
    """Return an ICC profile with sRGB's curve and the given primaries, XYZ relative to D50."""

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    curve = b"para\0\0\0\0" + struct.pack(">HH", 3, 0) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    white = fixed(0.9642, 1, 0.8249)
    contents = {b"cprt": b"text\0\0\0\0none", b"wtpt": b"XYZ \0\0\0\0" + white}
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    contents |= {name: b"XYZ \0\0\0\0" + fixed(*xyz) for name, xyz in zip(names, primaries, strict=True)}
    contents |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, start = b"", b"", 132 + 12 * len(contents)
    for name, content in contents.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    header = struct.pack(">III", start + len(body), 0, 0x02400000) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (header + white).ljust(128, b"\0") + struct.pack(">I", len(contents)) + table + body


def colours_of(content: bytes) -> NDArray[np.int64]:
    with open_image(io.BytesIO(content)) as image:
        return np.asarray(to_rgb(image)).astype(np.int64)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bit_files_are_scaled_by_the_bits_that_they_use(bits: int) -> None:
    colours = COLOURS[..., :3]
    values = (colours << bits - 8) + COLOURS[..., 3:] % 2 ** (bits - 8)
    opaque = np.concatenate([values, np.full((9, 7, 1), 65_535)], axis=-1)
    for content in (png(values), png(opaque), tiff(values)):
        np.testing.assert_array_equal(colours_of(content), colours)
    np.testing.assert_array_equal(colours_of(png(values[..., :1]))[..., 0], colours[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_dark_image_keeps_the_depth_that_its_file_states(channels: int) -> None:
    dark = COLOURS[..., :channels] // 8
    for bits in (12, 16):
        np.testing.assert_array_equal(colours_of(png(dark << bits - 8, bits))[..., :channels], dark)
    np.testing.assert_array_equal(colours_of(png(COLOURS[..., :channels] << 8, 12))[..., 0], COLOURS[..., 0])


def test_an_image_in_memory_states_no_depth() -> None:
    image = Image.fromarray(np.full((4, 4), 800, np.uint16))
    assert to_rgb(image).getpixel((0, 0)) == (200, 200, 200)  # 10 bits hold 800


def test_display_p3_becomes_srgb() -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 120, 100)).save(content, "PNG", icc_profile=profile(P3_PRIMARIES))
    assert colours_of(content.getvalue())[0, 0].tolist() == pytest.approx([214, 115, 96], abs=1)
    with open_image(content) as image:
        once = to_rgb(image)
        assert to_rgb(once).tobytes() == once.tobytes()  # converted colours are not converted again


def test_transparent_and_palette_images_are_converted_too() -> None:
    plain = Image.new("RGB", (8, 8), (200, 120, 100))
    for image in (plain.convert("RGBA"), plain.convert("P", palette=Image.Palette.ADAPTIVE)):
        content = io.BytesIO()
        image.save(content, "PNG", icc_profile=profile(P3_PRIMARIES))
        assert colours_of(content.getvalue())[0, 0].tolist() == pytest.approx([214, 115, 96], abs=1)


@pytest.mark.parametrize(
    "embedded",
    [
        profile(SRGB_PRIMARIES),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        b"damaged",
    ],
    ids=["srgb", "littlecms srgb", "other colour space", "damaged"],
)
def test_other_profiles_change_no_bit(embedded: bytes) -> None:
    content = io.BytesIO()
    Image.fromarray(COLOURS[..., :3].astype(np.uint8)).save(content, "PNG", icc_profile=embedded)
    np.testing.assert_array_equal(colours_of(content.getvalue()), COLOURS[..., :3])


def test_profile_of_grey_images() -> None:
    with Image.new("L", (4, 4), 100) as image:
        image.info["icc_profile"] = profile(P3_PRIMARIES)
        assert to_rgb(image).getpixel((0, 0)) == (100, 100, 100)  # a profile of colours says nothing of grey


def test_heic_names_its_package_or_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "renamed.jpg"
    if image_files.register_heic():
        file.write_bytes(base64.b64decode(HEIC))
        with open_image(file) as image:
            assert to_rgb(image).getpixel((0, 0)) == pytest.approx((200, 120, 100), abs=3)
    file.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    monkeypatch.setattr(image_files, "register_heic", lambda: False)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    with pytest.raises(BrokenImageError, match=r"a HEIC image; .*melanoma-pl\[heic\]"), open_image(file):
        pass


def test_threads_leave_the_filters_of_warnings_as_they_were() -> None:
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "JPEG")

    def read(_: int) -> None:
        with open_image(io.BytesIO(content.getvalue())) as image:
            to_rgb(image)

    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(400)))
    assert warnings.filters == before
    for _ in image_files.read_all(read, range(40), "test"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("of the caller", stacklevel=1)
        assert len(caught) == 1
    assert warnings.filters == before
