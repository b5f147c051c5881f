"""Small pictures that travel inside a page: JPEG as data URIs."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_pl.data.opening import BrokenPhotoError, draft, open_photo, read_all
from melanoma_pl.rgb import to_rgb

SIDE = 160  # pixels, of the longer side
QUALITY = 72  # of JPEG: about 5 kB a picture


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Attributes:
        uri: `data:image/jpeg;base64,…`.
        width: In pixels.
        height: In pixels.
    """

    uri: str
    width: int
    height: int


def thumbnails(root: Path, paths: Iterable[str], side: int = SIDE) -> dict[str, Thumbnail]:
    """Return a small picture of each photo that can be read.

    Args:
        root: Folder that the paths are relative to.
        paths: Of the photos, with `/`.
        side: Of the longer side, pixels; smaller photos keep their size.
    """
    wanted = sorted(set(paths))
    pictures = read_all(lambda file: thumbnail(file, side), [root / path for path in wanted], "small pictures")
    return {path: picture for path, picture in zip(wanted, pictures, strict=True) if picture}


def thumbnail(file: Path, side: int = SIDE) -> Thumbnail | None:
    """Return a small picture of a photo, or None where it cannot be read."""
    try:
        with open_photo(file) as photo:
            draft(photo, side)
            small = to_rgb(photo)
            small.thumbnail((side, side), reducing_gap=2.0)
            return Thumbnail(_uri(small), *small.size)
    except BrokenPhotoError:
        return None


def picture_uri(pixels: NDArray[np.uint8]) -> str:
    """Return pixels, uint8 `(H, W, 3)`, as a data URI."""
    return _uri(Image.fromarray(pixels))


def _uri(photo: Image.Image) -> str:
    content = io.BytesIO()
    photo.save(content, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
