"""One pass over all image files: what each file says, a small grey copy of its image, its colours and its border."""

import hashlib
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_all, read_file, to_rgb

SIDE = 64  # pixels: a mole's outline, spots and hairs are still visible, recompression is not
BORDER_CELLS = 8  # per side: the border is the outermost ring of an 8×8 image, an eighth of the side wide
MOST_FREQUENT = 20


@dataclass(frozen=True)
class FileFacts:
    """Properties of a file that are known before its pixels are decoded; a network never sees them.

    Attributes:
        size: Bytes of the file.
        image_format: Pillow's name of the format, such as `JPEG`.
        mode: Pillow's name of the pixel format, such as `RGB`.
        width: Width of the image in pixels; 0 where the file cannot be read.
        height: Height of the image in pixels; 0 where the file cannot be read.
        density: Pixels per inch or centimetre as the file has it; 0 where it says nothing.
        exif_size: Bytes of the EXIF block.
        quantisation: Sum of the JPEG's quantisation tables.
    """

    size: int
    image_format: str
    mode: str = ""
    width: int = 0
    height: int = 0
    density: int = 0
    exif_size: int = 0
    quantisation: int = 0


@dataclass(frozen=True)
class Scanned:
    """One image as the audit sees it.

    Attributes:
        facts: What its file says.
        sha256: Hash of the file's bytes.
        grey: uint8 `(64, 64)`.
        mean_colour: float32 `(3,)`, RGB, 0 to 255.
        border: float32 `(84,)`, RGB of 28 cells along the edge, 0 to 255.
    """

    facts: FileFacts
    sha256: str
    grey: NDArray[np.uint8]
    mean_colour: NDArray[np.float32]
    border: NDArray[np.float32]


@dataclass(frozen=True)
class Scan:
    """All images that can be read, in the order of the listing.

    Attributes:
        listing: The images that can be read.
        images: What was read of each.
        broken: Path → why the image cannot be read.
    """

    listing: LabelledImages
    images: tuple[Scanned, ...]
    broken: dict[str, str]

    @property
    def grey(self) -> NDArray[np.uint8]:
        """Small grey copies of the images, uint8 `(N, 64, 64)`."""
        return np.array([image.grey for image in self.images], dtype=np.uint8).reshape(-1, SIDE, SIDE)


def scan(listing: LabelledImages) -> Scan:
    """Read every image once, on all cores."""
    answers = list(read_all(scan_file, listing.files, "looking at images"))
    pairs = zip(listing.paths, answers, strict=True)
    broken = {path: answer for path, answer in pairs if isinstance(answer, str)}
    images = tuple(answer for answer in answers if isinstance(answer, Scanned))
    return Scan(listing.without(broken), images, broken)


def scan_file(path: Path) -> Scanned | str:
    """Read one image, or return why it cannot be read."""
    try:
        content = read_file(path)
        with open_image(io.BytesIO(content)) as image:
            facts = facts_of(image, len(content))
            draft(image, SIDE // 2)
            return _describe(to_rgb(image), facts, hashlib.sha256(content).hexdigest())
    except BrokenImageError as error:
        return str(error)


def colour_cells(image: Image.Image) -> NDArray[np.float32]:
    """Return the mean colours of 8×8 cells of an RGB image: float32 `(8, 8, 3)`, 0 to 255."""
    return np.asarray(image.resize((BORDER_CELLS, BORDER_CELLS), Image.Resampling.BOX), dtype=np.float32)


def _describe(image: Image.Image, facts: FileFacts, sha256: str) -> Scanned:
    small = colour_cells(image)
    ring = np.ones((BORDER_CELLS, BORDER_CELLS), dtype=bool)
    ring[1:-1, 1:-1] = False
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return Scanned(facts, sha256, np.asarray(grey), small.mean((0, 1)), small[ring].ravel())


def facts_of(image: Image.Image, size: int) -> FileFacts:
    """Return what the file of an opened image says; its pixels stay undecoded.

    Args:
        image: The image as `open_image` yields it.
        size: Bytes of its file.
    """
    density = float((image.info.get("jfif_density") or image.info.get("dpi") or (0, 0))[0])
    tables: Any = getattr(image, "quantization", None) or {}
    return FileFacts(
        size=size,
        image_format=image.format or "unknown",
        mode=image.mode,
        width=image.width,
        height=image.height,
        density=int(density) if math.isfinite(density) else 0,  # a TIFF may say 0/0
        exif_size=len(image.info.get("exif", b"")),
        quantisation=sum(sum(table) for table in tables.values()),
    )


def inventory(listing: LabelledImages, facts: Sequence[FileFacts]) -> dict[str, Any]:
    """Count images by split and class, and files by format, colour mode and size in pixels.

    Args:
        listing: N images.
        facts: What the N files say.
    """
    per_split: dict[str, dict[str, int]] = {}
    for split, label in zip(listing.splits, listing.labels, strict=True):
        per_class = per_split.setdefault(split or "all", {})
        per_class[label] = per_class.get(label, 0) + 1
    sizes = Counter(f"{fact.width}×{fact.height}" for fact in facts if fact.width)
    return {
        "images": len(listing),
        "per_split": per_split,
        "formats": dict(Counter(fact.image_format for fact in facts).most_common()),
        "modes": dict(Counter(fact.mode for fact in facts).most_common()),
        "sizes": dict(sizes.most_common(MOST_FREQUENT)),
        "different_sizes": len(sizes),
        "bytes": sum(fact.size for fact in facts),
    }
