"""One pass over all photos: what their files say, a small grey picture of each, its colours and its border."""

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

from melanoma_pl.data.image_set import Listing
from melanoma_pl.image_files import BrokenPhotoError, draft, open_photo, read_all, to_rgb

SIDE = 64  # pixels: a mole's outline, spots and hairs are still there, recompression is not
BORDER_CELLS = 8  # a side: the border is the outermost ring of an 8×8 picture, an eighth of the side wide
MOST_FREQUENT = 20


@dataclass(frozen=True)
class FileFacts:
    """What a file says before its pixels are looked at; nothing a network may ever see."""

    size: int
    picture_format: str
    mode: str
    width: int
    height: int
    density: int
    exif_size: int
    quantisation: int


@dataclass(frozen=True)
class Scanned:
    """One photo.

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
    """All photos that can be read, in the order of the listing.

    Attributes:
        listing: Them.
        photos: What was read of each.
        broken: Path → why it cannot be read.
    """

    listing: Listing
    photos: tuple[Scanned, ...]
    broken: dict[str, str]

    @property
    def grey(self) -> NDArray[np.uint8]:
        """Small grey pictures, uint8 `(N, 64, 64)`."""
        return np.array([photo.grey for photo in self.photos], dtype=np.uint8).reshape(-1, SIDE, SIDE)


def scan(listing: Listing) -> Scan:
    """Read every photo once, on all cores."""
    answers = list(read_all(scan_file, listing.files, "looking at photos"))
    pairs = zip(listing.paths, answers, strict=True)
    broken = {path: answer for path, answer in pairs if isinstance(answer, str)}
    photos = tuple(answer for answer in answers if isinstance(answer, Scanned))
    return Scan(listing.without(broken), photos, broken)


def scan_file(path: Path) -> Scanned | str:
    """Read one photo, or return why it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return error.strerror or str(error)
    if not content:
        return "the file is empty"
    try:
        with open_photo(io.BytesIO(content)) as photo:
            facts = _facts(photo, len(content))
            draft(photo, SIDE // 2)
            return _describe(to_rgb(photo), facts, hashlib.sha256(content).hexdigest())
    except BrokenPhotoError as error:
        return str(error)


def _describe(photo: Image.Image, facts: FileFacts, sha256: str) -> Scanned:
    small = np.asarray(photo.resize((BORDER_CELLS, BORDER_CELLS), Image.Resampling.BOX), dtype=np.float32)
    ring = np.ones((BORDER_CELLS, BORDER_CELLS), dtype=bool)
    ring[1:-1, 1:-1] = False
    grey = photo.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return Scanned(facts, sha256, np.asarray(grey), small.mean((0, 1)), small[ring].ravel())


def _facts(photo: Image.Image, size: int) -> FileFacts:
    density = float((photo.info.get("jfif_density") or photo.info.get("dpi") or (0, 0))[0])
    tables: Any = getattr(photo, "quantization", None) or {}
    quantisation = sum(sum(table) for table in tables.values())
    exif_size = len(photo.info.get("exif", b""))
    picture_format = photo.format or "unknown"
    whole_density = int(density) if math.isfinite(density) else 0  # a TIFF may say 0/0
    return FileFacts(
        size, picture_format, photo.mode, photo.width, photo.height, whole_density, exif_size, quantisation
    )


def inventory(scanned: Scan) -> dict[str, Any]:
    """Count what is there: photos per split and class, formats, colour modes, sizes."""
    per_split: dict[str, dict[str, int]] = {}
    for split, label in zip(scanned.listing.splits, scanned.listing.labels, strict=True):
        per_class = per_split.setdefault(split or "all", {})
        per_class[label] = per_class.get(label, 0) + 1
    facts = [photo.facts for photo in scanned.photos]
    sizes = Counter(f"{fact.width}×{fact.height}" for fact in facts)
    return {
        "photos": len(facts),
        "per_split": per_split,
        "formats": _frequent([fact.picture_format for fact in facts]),
        "modes": _frequent([fact.mode for fact in facts]),
        "sizes": dict(sizes.most_common(MOST_FREQUENT)),
        "different_sizes": len(sizes),
        "bytes": sum(fact.size for fact in facts),
    }


def _frequent(values: Sequence[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
