"""Opening image files of any kind, on all cores, and saying why one cannot be read. Light: no PyTorch.

An image of any mode → upright RGB. Light: also what does not train reads images.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

LARGEST_IMAGE = 150_000_000  # pixels: beyond common cameras, below what Pillow itself refuses
THREADS = os.cpu_count() or 1

Source, T = TypeVar("Source"), TypeVar("T")


class BrokenImageError(Exception):
    """A file that should hold an image and cannot be read as one; the message says why."""


@contextmanager
def open_image(source: Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open one image; its pixels are decoded by whoever asks for them.

    Raises:
        BrokenImageError: If it is missing, no image, larger than `LARGEST_IMAGE`, or if what is done with it fails.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large sizes; the pixels are what counts
            with Image.open(source) as image:
                if image.width * image.height > LARGEST_IMAGE:
                    raise BrokenImageError(f"{image.width}×{image.height} pixels, more than any camera takes")
                yield image
    except BrokenImageError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenImageError("no image in a format that can be read") from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder, down to a struct.error in its EXIF
        raise BrokenImageError(" ".join(str(error).split()) or type(error).__name__) from error


def draft(image: Image.Image, side: int) -> None:
    """Let a large JPEG be decoded at 1/2, 1/4 or 1/8 of its size, twice `side` or more: much faster for a camera's."""
    image.draft("RGB", (2 * side, 2 * side))


def read_all(read: Callable[[Source], T], sources: Sequence[Source], title: str) -> Iterator[T]:
    """Read images on all cores, in the order of `sources`, with a progress bar, a bounded number ahead."""
    bar = tqdm(total=len(sources), desc=title, unit=" images", leave=False, disable=None)
    with ThreadPoolExecutor(THREADS) as pool, bar:
        ahead = 16 * THREADS  # keeps memory constant for any number of images
        for start in range(0, len(sources), ahead):
            for answer in pool.map(read, sources[start : start + ahead]):
                bar.update()
                yield answer


ORIENTATION, UPRIGHT = ExifTags.Base.Orientation, 1
WHITE = (255, 255, 255)


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn an image as the camera meant it and give it three 8-bit channels.

    Transparent parts become white, as a browser shows them; of 16-bit grey the upper eight bits are kept.

    Raises:
        ValueError: If the pixels have no known range (32-bit floating point).
    """
    image.load()  # some formats tell only at their end how the camera was held
    # Pillow's own function copies an image that is upright
    upright = image if image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT else ImageOps.exif_transpose(image)
    if upright.mode == "RGB":
        return upright
    if upright.mode == "F":
        raise ValueError("its pixels are floating-point numbers of no known range; save it with 8 bits a channel")
    if upright.mode.startswith("I"):  # Pillow's own conversion would clip everything above 255 to white
        grey = (np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, (*WHITE, 255)), layers).convert("RGB")
    return upright.convert("RGB")
