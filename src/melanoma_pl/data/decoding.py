"""Photo files of any kind → uint8 pixels, and the list of those that cannot be read.

The one pass that decodes every photo: it finds the broken ones, and gives the pixels to whoever keeps them.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from melanoma_pl.data.image_set import Photos
from melanoma_pl.image_files import BrokenPhotoError, draft, open_photo, read_all
from melanoma_pl.preprocessing import Preprocessing


@dataclass(frozen=True)
class Decoded:
    """One photo's pixels and the fingerprint of its file.

    Attributes:
        pixels: uint8 `(3, S, S)`, or None where the photo is broken.
        sha256: Of the file's bytes, in hexadecimal digits; empty where it could not be read.
        reason: Why the photo is broken; empty where it is not.
    """

    pixels: Tensor | None
    sha256: str
    reason: str = ""


def read_pixels(source: Path | io.BytesIO, preprocessing: Preprocessing) -> Tensor:
    """Decode one photo.

    Returns:
        uint8 `(3, S, S)`.

    Raises:
        BrokenPhotoError: If it is missing, no photo, cut short, or too large.
    """
    with open_photo(source) as photo:
        draft(photo, preprocessing.image_size)
        return preprocessing.to_pixels(photo)


def decode_file(path: Path, preprocessing: Preprocessing) -> Decoded:
    """Read a photo's file once, for its fingerprint and for its pixels."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return Decoded(None, "", error.strerror or str(error))
    sha256 = hashlib.sha256(content).hexdigest()
    if not content:
        return Decoded(None, sha256, "the file is empty")
    try:
        return Decoded(read_pixels(io.BytesIO(content), preprocessing), sha256)
    except BrokenPhotoError as error:
        return Decoded(None, sha256, str(error))


def decode_all(paths: Sequence[Path], preprocessing: Preprocessing, title: str) -> Iterator[Decoded]:
    """Decode photos on all cores, in the order of `paths`, with a progress bar."""
    return read_all(lambda path: decode_file(path, preprocessing), paths, title)


def stack(pixels: Sequence[Tensor]) -> Tensor:
    """Return a batch, uint8 `(N, 3, S, S)` in channels-last memory."""
    return torch.stack([photo.permute(1, 2, 0) for photo in pixels]).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Learnt:
    """What the pass learnt.

    Attributes:
        sha256: Of the file of each photo that can be read, in order.
        broken: Path → reason, of the others.
    """

    sha256: tuple[str, ...]
    broken: dict[str, str]

    def readable(self, photos: Photos) -> Photos:
        """Return the photos that can be read."""
        return photos.take([index for index, path in enumerate(photos.paths) if path not in self.broken])


def first_pass(
    photos: Photos, preprocessing: Preprocessing, title: str, keep: Callable[[int, Tensor], object]
) -> Learnt:
    """Decode every photo once, a bounded number at a time.

    Args:
        photos: What to read.
        preprocessing: What makes the pixels.
        title: Of the progress bar.
        keep: Called with each photo that can be read: its place among them, and its pixels, uint8 `(S, S, 3)`.
    """
    sha256: list[str] = []
    broken: dict[str, str] = {}
    for path, decoded in zip(photos.paths, decode_all(photos.files, preprocessing, f"reading {title}"), strict=True):
        if decoded.pixels is None:
            broken[path] = decoded.reason
            continue
        keep(len(sha256), decoded.pixels.permute(1, 2, 0))
        sha256.append(decoded.sha256)
    return Learnt(tuple(sha256), broken)
