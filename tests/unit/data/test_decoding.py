"""Image files of any kind, and broken ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from melanoma_pl import image_files
from melanoma_pl.data.decoding import decode_file, decode_images, stack
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(image_size=16)


def gradient(width: int = 40, height: int = 30) -> Image.Image:
    """An image whose channels differ and change along both sides."""
    rows, columns = np.mgrid[:height, :width]
    channels = [columns * 255 // width, rows * 255 // height, (rows + columns) % 256]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "a.webp", "a.ppm"])
def test_formats_agree(name: str, tmp_path: Path) -> None:
    gradient().save(tmp_path / name, **({"quality": 100} if name.endswith(("jpg", "webp")) else {}))
    decoded = decode_file(tmp_path / name, PREPROCESSING)
    expected = PREPROCESSING.to_pixels(gradient())
    assert decoded.pixels is not None
    assert (decoded.pixels.int() - expected.int()).abs().float().mean() < 6  # JPEG and WebP lose a little
    assert len(decoded.sha256) == 64


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_modes_in_files(mode: str, tmp_path: Path) -> None:
    image = Image.new(mode, (20, 20), 40_000) if mode == "I;16" else gradient(20, 20).convert(mode)
    name = "a.tif" if mode in ("CMYK", "I;16") else "a.png"
    image.save(tmp_path / name)
    decoded = decode_file(tmp_path / name, PREPROCESSING)
    assert decoded.pixels is not None
    assert decoded.pixels.shape == (3, 16, 16)


@pytest.mark.slow
def test_large_image_is_decoded_small(tmp_path: Path) -> None:
    gradient(6000, 4000).save(tmp_path / "large.jpg")
    decoded = decode_file(tmp_path / "large.jpg", PREPROCESSING)
    expected = PREPROCESSING.to_pixels(gradient(6000, 4000))
    assert decoded.pixels is not None
    assert (decoded.pixels[:2].int() - expected[:2].int()).abs().max() < 12


def broken_files(folder: Path) -> dict[str, bytes]:
    gradient().save(folder / "whole.jpg")
    whole = (folder / "whole.jpg").read_bytes()
    (folder / "whole.jpg").unlink()
    return {"cut.jpg": whole[: len(whole) // 2], "text.jpg": b"no image at all", "empty.jpg": b""}


@pytest.mark.parametrize("name", ["cut.jpg", "text.jpg", "empty.jpg", "missing.jpg"])
def test_broken_files_give_a_reason(name: str, tmp_path: Path) -> None:
    content = broken_files(tmp_path).get(name)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    decoded = decode_file(tmp_path / name, PREPROCESSING)
    assert decoded.pixels is None
    assert decoded.reason
    assert "\n" not in decoded.reason


def test_absurdly_large_images_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "LARGEST_IMAGE", 100)
    gradient().save(tmp_path / "a.png")
    assert "40×30" in decode_file(tmp_path / "a.png", PREPROCESSING).reason


def test_decoding_all_images_keeps_their_order(tmp_path: Path) -> None:
    names = [f"{index}.png" for index in range(70)]
    for index, name in enumerate(names):
        Image.new("RGB", (16, 16), (index, 0, 0)).save(tmp_path / name)
    (tmp_path / names[7]).write_bytes(b"broken")
    found: list[tuple[int, int]] = []
    images = LabelledImages(tmp_path, tuple(names), ("",) * 70, ("",) * 70)
    sha256, broken = decode_images(
        images, PREPROCESSING, "test", lambda index, pixels: found.append((index, int(pixels[0, 0, 0])))
    )
    assert found == list(enumerate(index for index in range(70) if index != 7))
    assert list(broken) == [names[7]]
    assert len(set(sha256)) == 69


def test_stack_is_channels_last() -> None:
    batch = stack([torch.zeros(3, 4, 4, dtype=torch.uint8)] * 2)
    assert batch.shape == (2, 3, 4, 4)
    assert batch.is_contiguous(memory_format=torch.channels_last)
