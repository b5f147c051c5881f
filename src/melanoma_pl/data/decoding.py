"""Image files of any kind → uint8 pixels, and the list of those that cannot be read.

The one pass that decodes every image: it finds the broken ones, and gives the pixels to whoever keeps them.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from melanoma_pl.data.image_set import LabelledImages
from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_all
from melanoma_pl.preprocessing import Preprocessing


@dataclass(frozen=True)
class Decoded:
    """One image's pixels and the fingerprint of its file.

    Attributes:
        pixels: uint8 `(3, S, S)`, or None where the image is broken.
        sha256: Of the file's bytes, in hexadecimal digits; empty where it could not be read.
        reason: Why the image is broken; empty where it is not.
    """

    pixels: Tensor | None
    sha256: str
    reason: str = ""


def read_pixels(source: Path | io.BytesIO, preprocessing: Preprocessing) -> Tensor:
    """Decode one image.

    Returns:
        uint8 `(3, S, S)`.

    Raises:
        BrokenImageError: If it is missing, no image, cut short, or too large.
    """
    with open_image(source) as image:
        draft(image, preprocessing.image_size)
        return preprocessing.to_pixels(image)


def decode_file(path: Path, preprocessing: Preprocessing) -> Decoded:
    """Read an image's file once, for its fingerprint and for its pixels."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Decoded(None, "", error.strerror or str(error))
    sha256 = hashlib.sha256(content).hexdigest()
    if not content:
        return Decoded(None, sha256, "the file is empty")
    try:
        return Decoded(read_pixels(io.BytesIO(content), preprocessing), sha256)
    except BrokenImageError as error:
        return Decoded(None, sha256, str(error))


def decode_all(paths: Sequence[Path], preprocessing: Preprocessing, title: str) -> Iterator[Decoded]:
    """Decode images on all cores, in the order of `paths`, with a progress bar."""
    return read_all(lambda path: decode_file(path, preprocessing), paths, title)


def stack(pixels: Sequence[Tensor]) -> Tensor:
    """Return a batch, uint8 `(N, 3, S, S)` in channels-last memory."""
    return torch.stack([image.permute(1, 2, 0) for image in pixels]).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Learnt:
    """What the pass learnt.

    Attributes:
        sha256: Of the file of each image that can be read, in order.
        broken: Path → reason, of the others.
    """

    sha256: tuple[str, ...]
    broken: dict[str, str]

    def readable(self, images: LabelledImages) -> LabelledImages:
        """Return the images that can be read."""
        return images.take([index for index, path in enumerate(images.paths) if path not in self.broken])


def first_pass(
    images: LabelledImages, preprocessing: Preprocessing, title: str, keep: Callable[[int, Tensor], object]
) -> Learnt:
    """Decode every image once, a bounded number at a time.

    Args:
        images: What to read.
        preprocessing: What makes the pixels.
        title: Of the progress bar.
        keep: Called with each image that can be read: its place among them, and its pixels, uint8 `(S, S, 3)`.
    """
    sha256: list[str] = []
    broken: dict[str, str] = {}
    for path, decoded in zip(images.paths, decode_all(images.files, preprocessing, f"reading {title}"), strict=True):
        if decoded.pixels is None:
            broken[path] = decoded.reason
            continue
        keep(len(sha256), decoded.pixels.permute(1, 2, 0))
        sha256.append(decoded.sha256)
    return Learnt(tuple(sha256), broken)
