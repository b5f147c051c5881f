"""Thumbnails of images of any mode, and of files that cannot be read."""

import base64
from pathlib import Path

import pytest
from PIL import Image

from melanoma_pl.report.markup import thumbnail


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "I;16", "1"])
def test_images_of_any_mode_have_a_thumbnail(mode: str, tmp_path: Path) -> None:
    file = tmp_path / "image.tif"
    (Image.new(mode, (640, 320)) if mode == "I;16" else Image.new("RGB", (640, 320)).convert(mode)).save(file)
    small = thumbnail(file)
    assert small is not None and (small.width, small.height) == (160, 80)


def test_broken_and_missing_images_have_none(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert thumbnail(tmp_path / "broken.png") is None and thumbnail(tmp_path / "missing.png") is None


def test_what_a_file_says_besides_its_pixels_stays_behind(tmp_path: Path) -> None:
    file, exif = tmp_path / "image.jpg", Image.Exif()
    exif[0x010E] = "SMITH"  # ImageDescription
    Image.new("RGB", (64, 64)).save(file, comment="SMITH", exif=exif, dpi=(72, 72))
    assert file.read_bytes().count(b"SMITH") == 2
    small = thumbnail(file)
    assert small is not None and b"SMITH" not in base64.b64decode(small.uri.partition(",")[2])
