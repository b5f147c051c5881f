"""Opening photo files of any kind, on all cores, and saying why one cannot be read. Light: no PyTorch."""

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

LARGEST_PHOTO = 150_000_000  # pixels: beyond common cameras, below what Pillow itself refuses
THREADS = os.cpu_count() or 1

T = TypeVar("T")


class BrokenPhotoError(Exception):
    """A file that should hold a photo and cannot be read as one; the message says why."""


@contextmanager
def open_photo(source: Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open one photo; its pixels are decoded by whoever asks for them.

    Raises:
        BrokenPhotoError: If it is missing, no photo, larger than `LARGEST_PHOTO`, or if what is done with it fails.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large sizes; the pixels are what counts
            with Image.open(source) as photo:
                if photo.width * photo.height > LARGEST_PHOTO:
                    raise BrokenPhotoError(f"{photo.width}×{photo.height} pixels, more than any camera takes")
                yield photo
    except BrokenPhotoError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenPhotoError("no photo in a format that can be read") from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder, down to a struct.error in its EXIF
        raise BrokenPhotoError(" ".join(str(error).split()) or type(error).__name__) from error


def draft(photo: Image.Image, side: int) -> None:
    """Let a large JPEG be decoded at 1/2, 1/4 or 1/8 of its size, twice `side` or more: much faster for a camera's."""
    photo.draft("RGB", (2 * side, 2 * side))


def read_all(read: Callable[[Path], T], paths: Sequence[Path], title: str) -> Iterator[T]:
    """Read files on all cores, in the order of `paths`, with a progress bar, a bounded number ahead."""
    bar = tqdm(total=len(paths), desc=title, unit=" photos", leave=False, disable=None)
    with ThreadPoolExecutor(THREADS) as pool, bar:
        ahead = 16 * THREADS  # keeps memory constant for any number of photos
        for start in range(0, len(paths), ahead):
            for answer in pool.map(read, paths[start : start + ahead]):
                bar.update()
                yield answer
