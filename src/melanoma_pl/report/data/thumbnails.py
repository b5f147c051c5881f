"""Small copies of images that are embedded in a page as data URIs. Light: no PyTorch."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_all, to_rgb

SIDE = 160  # pixels, of the longer side
QUALITY = 72  # of JPEG: about 5 kB an image


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of an image.

    Attributes:
        uri: `data:image/jpeg;base64,…`.
        width: Width in pixels.
        height: Height in pixels.
    """

    uri: str
    width: int
    height: int


def thumbnails(root: Path, paths: Iterable[str], side: int = SIDE) -> dict[str, Thumbnail]:
    """Return a thumbnail of each image that can be read.

    Args:
        root: Folder that the paths are relative to.
        paths: Paths of the images, with `/`.
        side: Length of the longer side in pixels; smaller images keep their size.
    """
    wanted = sorted(set(paths))
    found = read_all(lambda path: thumbnail(root / path, side), wanted, "thumbnails")
    return {path: small for path, small in zip(wanted, found, strict=True) if small}


def thumbnail(file: Path, side: int = SIDE) -> Thumbnail | None:
    """Return a thumbnail of an image, or None if it cannot be read."""
    try:
        with open_image(file) as image:
            draft(image, side)
            small = to_rgb(image)
            small.thumbnail((side, side), reducing_gap=2.0)
            return Thumbnail(data_uri(small), *small.size)
    except BrokenImageError:
        return None


def data_uri(image: Image.Image) -> str:
    """Return an image as a JPEG in a data URI."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
