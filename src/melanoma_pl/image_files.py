"""Image files of any kind → upright RGB images, and the reasons why a file cannot be read. Light: no PyTorch."""

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

LARGEST_IMAGE = 150_000_000  # pixels: more than common cameras take, fewer than Pillow itself refuses
THREADS = os.cpu_count() or 1

ORIENTATION, UPRIGHT = ExifTags.Base.Orientation, 1
WHITE = (255, 255, 255)

Source = TypeVar("Source")
T = TypeVar("T")


class BrokenImageError(Exception):
    """A file cannot be read as an image; the message says why."""


@contextmanager
def open_image(source: Path | io.BytesIO) -> Iterator[Image.Image]:
    """Open one image, without decoding its pixels yet.

    Raises:
        BrokenImageError: If the file is missing, not an image or larger than `LARGEST_IMAGE`, or if the code inside the
            context fails.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata and large sizes, but only the pixels count
            with Image.open(source) as image:
                if image.width * image.height > LARGEST_IMAGE:
                    raise BrokenImageError(f"{image.width}×{image.height} pixels, more than any camera takes")
                yield image
    except BrokenImageError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenImageError("not an image in a format that can be read") from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder, down to a struct.error in its EXIF
        raise BrokenImageError(" ".join(str(error).split()) or type(error).__name__) from error


def draft(image: Image.Image, side: int) -> None:
    """Decode a large JPEG at 1/2, 1/4 or 1/8 of its size, but at least twice `side`, which is much faster."""
    image.draft("RGB", (2 * side, 2 * side))


def read_all(read: Callable[[Source], T], sources: Sequence[Source], title: str) -> Iterator[T]:
    """Read images on all cores, in the order of `sources`, with a progress bar, a bounded number ahead."""
    bar = tqdm(total=len(sources), desc=title, unit=" images", leave=False, disable=None)
    with ThreadPoolExecutor(THREADS) as pool, bar:
        ahead = 16 * THREADS  # images: keeps the memory constant for any number of images
        for start in range(0, len(sources), ahead):
            for answer in pool.map(read, sources[start : start + ahead]):
                bar.update()
                yield answer


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image upright and with three 8-bit channels.

    Transparent parts become white, as a browser shows them. The upper eight bits of 16-bit grey are kept.

    Raises:
        ValueError: If the pixels are 32-bit floating point, whose range is unknown.
    """
    image.load()  # some formats give the camera's orientation only at their end
    # Pillow's function would copy an image that is already upright
    upright = image if image.getexif().get(ORIENTATION, UPRIGHT) == UPRIGHT else ImageOps.exif_transpose(image)
    if upright.mode == "RGB":
        return upright
    if upright.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range; save it with 8 bits per channel")
    if upright.mode.startswith("I"):  # Pillow's own conversion would clip everything above 255 to white
        grey = (np.asarray(upright).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if upright.has_transparency_data:
        layers = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, (*WHITE, 255)), layers).convert("RGB")
    return upright.convert("RGB")
