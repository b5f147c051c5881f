"""Photo files of any kind → uint8 pixels, and the list of those that cannot be read."""

import hashlib
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from melanoma_pl.preprocessing import Preprocessing

LARGEST_PHOTO = 150_000_000  # pixels: beyond common cameras, below what Pillow itself refuses
THREADS = os.cpu_count() or 1


class BrokenPhotoError(Exception):
    """A file that should hold a photo and cannot be read as one; the message says why."""


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
        BrokenPhotoError: If it is missing, no photo, cut short, or larger than `LARGEST_PHOTO`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large sizes; the pixels are what counts
            with Image.open(source) as photo:
                if photo.width * photo.height > LARGEST_PHOTO:
                    raise BrokenPhotoError(f"{photo.width}×{photo.height} pixels, more than any camera takes")
                # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size: much faster for a camera's large photos
                photo.draft("RGB", (2 * preprocessing.image_size, 2 * preprocessing.image_size))
                return preprocessing.to_pixels(photo)
    except BrokenPhotoError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenPhotoError("no photo in a format that can be read") from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder, down to a struct.error in its EXIF
        raise BrokenPhotoError(" ".join(str(error).split()) or type(error).__name__) from error


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
    """Decode photos on all cores, in the order of `paths`, with a progress bar, a bounded number ahead."""
    bar = tqdm(total=len(paths), desc=title, unit=" photos", leave=False, disable=None)
    with ThreadPoolExecutor(THREADS) as pool, bar:
        ahead = 16 * THREADS  # keeps memory constant for any number of photos
        for start in range(0, len(paths), ahead):
            for decoded in pool.map(lambda path: decode_file(path, preprocessing), paths[start : start + ahead]):
                bar.update()
                yield decoded


def stack(pixels: Sequence[Tensor]) -> Tensor:
    """Return a batch, uint8 `(N, 3, S, S)` in channels-last memory."""
    return torch.stack([photo.permute(1, 2, 0) for photo in pixels]).permute(0, 3, 1, 2)
