"""One pass over all images: what their files say, a small grey picture of each, its colours and its border."""

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

from melanoma_pl.data.image_set import ImageListing
from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_all, to_rgb

SIDE = 64  # pixels: a mole's outline, spots and hairs are still there, recompression is not
BORDER_CELLS = 8  # a side: the border is the outermost ring of an 8×8 picture, an eighth of the side wide
MOST_FREQUENT = 20


@dataclass(frozen=True)
class FileFacts:
    """What a file says before its pixels are looked at; nothing a network may ever see."""

    size: int
    image_format: str
    mode: str
    width: int
    height: int
    density: int
    exif_size: int
    quantisation: int


@dataclass(frozen=True)
class Scanned:
    """One image.

    Attributes:
        facts: Of its file.
        sha256: Of its file's bytes.
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
        listing: Them.
        images: What was read of each.
        broken: Path → why it cannot be read.
    """

    listing: ImageListing
    images: tuple[Scanned, ...]
    broken: dict[str, str]

    @property
    def grey(self) -> NDArray[np.uint8]:
        """Small grey pictures, uint8 `(N, 64, 64)`."""
        return np.array([image.grey for image in self.images], dtype=np.uint8).reshape(-1, SIDE, SIDE)


def scan(listing: ImageListing) -> Scan:
    """Read every image once, on all cores."""
    answers = list(read_all(scan_file, listing.files, "looking at images"))
    pairs = zip(listing.paths, answers, strict=True)
    broken = {path: answer for path, answer in pairs if isinstance(answer, str)}
    images = tuple(answer for answer in answers if isinstance(answer, Scanned))
    return Scan(listing.without(broken), images, broken)


def scan_file(path: Path) -> Scanned | str:
    """Read one image, or return why it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    if not content:
        return "the file is empty"
    try:
        with open_image(io.BytesIO(content)) as image:
            facts = _facts(image, len(content))
            draft(image, SIDE // 2)
            return _describe(to_rgb(image), facts, hashlib.sha256(content).hexdigest())
    except BrokenImageError as error:
        return str(error)


def _describe(image: Image.Image, facts: FileFacts, sha256: str) -> Scanned:
    small = np.asarray(image.resize((BORDER_CELLS, BORDER_CELLS), Image.Resampling.BOX), dtype=np.float32)
    ring = np.ones((BORDER_CELLS, BORDER_CELLS), dtype=bool)
    ring[1:-1, 1:-1] = False
    grey = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return Scanned(facts, sha256, np.asarray(grey), small.mean((0, 1)), small[ring].ravel())


def _facts(image: Image.Image, size: int) -> FileFacts:
    density = float((image.info.get("jfif_density") or image.info.get("dpi") or (0, 0))[0])
    tables: Any = getattr(image, "quantization", None) or {}
    quantisation = sum(sum(table) for table in tables.values())
    exif_size = len(image.info.get("exif", b""))
    image_format = image.format or "unknown"
    whole_density = int(density) if math.isfinite(density) else 0  # a TIFF may say 0/0
    return FileFacts(size, image_format, image.mode, image.width, image.height, whole_density, exif_size, quantisation)


def inventory(scanned: Scan) -> dict[str, Any]:
    """Count what is there: images per split and class, formats, colour modes, sizes."""
    per_split: dict[str, dict[str, int]] = {}
    for split, label in zip(scanned.listing.splits, scanned.listing.labels, strict=True):
        per_class = per_split.setdefault(split or "all", {})
        per_class[label] = per_class.get(label, 0) + 1
    facts = [image.facts for image in scanned.images]
    sizes = Counter(f"{fact.width}×{fact.height}" for fact in facts)
    return {
        "images": len(facts),
        "per_split": per_split,
        "formats": _frequent([fact.image_format for fact in facts]),
        "modes": _frequent([fact.mode for fact in facts]),
        "sizes": dict(sizes.most_common(MOST_FREQUENT)),
        "different_sizes": len(sizes),
        "bytes": sum(fact.size for fact in facts),
    }


def _frequent(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
