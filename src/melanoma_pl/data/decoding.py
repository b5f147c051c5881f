"""Image files → uint8 pixels, and the reasons why broken files cannot be read."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from melanoma_pl.data.cache.early_images import early_images
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_all, read_file
from melanoma_pl.preprocessing import Preprocessing


@dataclass(frozen=True)
class Decoded:
    """The pixels of one image and the hash of its file.

    Attributes:
        pixels: uint8 `(3, S, S)`, or None where the image is broken.
        sha256: Hash of the file in hexadecimal digits; empty where it could not be read or is not wanted.
        reason: Why the image is broken; empty where it is not.
    """

    pixels: Tensor | None
    sha256: str
    reason: str = ""


def decode_file(path: Path, preprocessing: Preprocessing, *, is_hashed: bool = True) -> Decoded:
    """Read an image's file once and return its pixels, and its hash if that is wanted."""
    try:
        return decode_content(read_file(path), preprocessing, is_hashed=is_hashed)
    except BrokenImageError as error:
        return Decoded(None, "", str(error))


def decode_content(content: bytes, preprocessing: Preprocessing, *, is_hashed: bool = True) -> Decoded:
    """Return the pixels and the hash of an image from the content of its file, which stays in memory."""
    sha256 = hashlib.sha256(content).hexdigest() if is_hashed else ""
    try:
        with open_image(io.BytesIO(content)) as image:
            draft(image, preprocessing.image_size)
            return Decoded(preprocessing.to_pixels(image), sha256)
    except BrokenImageError as error:
        return Decoded(None, sha256, str(error))


def stack(pixels: Sequence[Tensor]) -> Tensor:
    """Return a batch, uint8 `(N, 3, S, S)` in channels-last memory."""
    return torch.stack([image.permute(1, 2, 0) for image in pixels]).permute(0, 3, 1, 2)


def decode_images(
    images: LabelledImages, preprocessing: Preprocessing, title: str, keep: Callable[[int, Tensor], object]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Decode every image once on all cores, with a progress bar and a bounded number of images in memory.

    Args:
        images: The images to read.
        preprocessing: What makes the pixels.
        title: Name of the images in the progress bar.
        keep: Called with each image that can be read: its index among them, and its pixels, uint8 `(S, S, 3)`.

    Returns:
        The hash of the file of each image that can be read, in order; and path → reason of those that cannot.
    """
    sha256: list[str] = []
    broken: dict[str, str] = {}
    for path, image in decode_each(images, preprocessing, title):
        if image.pixels is None:
            broken[path] = image.reason
            continue
        keep(len(sha256), image.pixels.permute(1, 2, 0))
        sha256.append(image.sha256)
    return tuple(sha256), broken


def decode_each(images: LabelledImages, preprocessing: Preprocessing, title: str) -> Iterator[tuple[str, Decoded]]:
    """Yield the path and the decoded file of every image, in order, as `decode_images` reads them."""
    is_plain = (preprocessing.interpolation, preprocessing.colour_constancy) == ("bilinear", "none")
    early = early_images(preprocessing.image_size) if is_plain else None

    def decode(file: Path) -> Decoded:
        if early is None or (found := early.find(file)) is None:
            return decode_file(file, preprocessing)
        return Decoded(torch.from_numpy(found[0]).permute(2, 0, 1), found[1])

    return zip(images.paths, read_all(decode, images.files, f"reading {title}"), strict=True)
