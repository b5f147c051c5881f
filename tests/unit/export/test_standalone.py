"""`predict.py` reads images as the package does, in fewer than 80 lines that need three packages."""

import ast
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.conftest import SHARED

from melanoma_pl.data.decoding import decode_file
from melanoma_pl.preprocessing import Preprocessing

pytest.importorskip("onnxruntime")
from melanoma_pl.export import standalone


def painting(width: int, height: int, channels: int = 3, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (9, 12, channels), dtype=np.uint8)
    image = Image.fromarray(coarse if channels > 1 else coarse[..., 0])
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def check(path: Path, **options: Literal["bilinear", "bicubic", "none", "shades_of_gray"]) -> None:
    for size in (32, 50):
        preprocessing = Preprocessing(size, **options)  # type: ignore[arg-type]
        expected = decode_file(path, preprocessing)
        assert expected.pixels is not None, expected.reason
        found = standalone.read(path, size, preprocessing.interpolation, preprocessing.colour_constancy, name="pixels")
        np.testing.assert_array_equal(found[0], expected.pixels.numpy())


@pytest.mark.parametrize("options", [{}, {"interpolation": "bicubic"}, {"colour_constancy": "shades_of_gray"}], ids=str)
def test_a_large_jpeg(options: dict[str, str], tmp_path: Path) -> None:
    Image.fromarray(painting(640, 410)).save(tmp_path / "image.jpg", quality=90)
    check(tmp_path / "image.jpg", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_orientation(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("image.jpg", "image.png", "image.webp"):
        Image.fromarray(painting(80, 60)).save(tmp_path / name, exif=exif)
        check(tmp_path / name)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "transparent P", "transparent RGB", "same"]
)
def test_modes(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.tif" if mode == "PA" else "image.png")
    if mode == "same":
        Image.fromarray(painting(32, 32)).save(path)
    elif mode == "transparent P":
        Image.fromarray(painting(60, 40)).quantize(16).save(path, transparency=3)
    elif mode == "transparent RGB":
        Image.fromarray(painting(60, 40)).save(path, transparency=(0, 0, 0))
    elif mode == "PA":
        pytest.importorskip("PIL.TiffImagePlugin")
        Image.fromarray(painting(60, 40, 4), "RGBA").save(path)
    elif mode in ("RGBA", "LA"):
        Image.fromarray(painting(60, 40, 4)).convert(mode).save(path)
    else:
        Image.fromarray(painting(60, 40)).convert(mode).save(path)
    check(path)


def test_colour_profiles(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = Image.fromarray(painting(60, 40))
    swapped = swap_primaries(srgb)
    for name, profile in (("srgb", srgb), ("lab", lab), ("damaged", srgb[:200]), ("swapped", swapped)):
        for mode in ("RGB", "RGBA", "P", "L"):
            path = tmp_path / f"{name}-{mode}.png"
            image.convert(mode).save(path, icc_profile=profile)
            check(path)
    plain = standalone.read(tmp_path / "srgb-RGB.png", 32, "bilinear", "none")
    assert not np.array_equal(standalone.read(tmp_path / "swapped-RGB.png", 32, "bilinear", "none"), plain)


def swap_primaries(profile: bytes) -> bytes:
    """Return a profile whose red and blue are exchanged."""
    return profile.replace(b"rXYZ", b"xXYZ").replace(b"bXYZ", b"rXYZ").replace(b"xXYZ", b"bXYZ")


def test_what_it_does_not_read_has_a_reason(tmp_path: Path) -> None:
    Image.fromarray(painting(60, 40, 1).astype(np.uint16) * 200).save(tmp_path / "deep.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    for name in ("deep.png", "broken.png", "missing.png"):
        with pytest.raises((OSError, ValueError)) as caught:
            standalone.read(tmp_path / name, 32, "bilinear", "none")
        assert "\n" not in str(caught.value)


def test_it_is_short_and_needs_three_packages() -> None:
    text = Path(standalone.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    tree = ast.parse(text)
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    packages = {name.partition(".")[0] for name in names}
    assert packages - set(sys.stdlib_module_names) == {"numpy", "PIL", "onnxruntime"}


@pytest.mark.real_data
def test_real_images(shared_images: Path) -> None:
    files = sorted((SHARED / "photos").rglob("*.*g"))
    assert len(files) > 30
    for path in files[::4]:
        check(path)
