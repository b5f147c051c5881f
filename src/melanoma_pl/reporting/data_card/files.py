"""What the photos' files say of themselves, for a data card of photos that were not audited: their pixels stay shut."""

from collections import Counter
from pathlib import Path
from typing import Any

from melanoma_pl.data.listing import Listing
from melanoma_pl.data.opening import BrokenPhotoError, open_photo, read_all

MOST_FREQUENT = 20


def inventory(listing: Listing) -> dict[str, Any]:
    """Count photos per split and class, formats, sizes and bytes, under the names that an audit gives them."""
    per_split: dict[str, dict[str, int]] = {}
    for split, label in zip(listing.splits, listing.labels, strict=True):
        per_class = per_split.setdefault(split or "all", {})
        per_class[label] = per_class.get(label, 0) + 1
    facts = list(read_all(_facts, listing.files, "reading sizes"))
    sizes = Counter(size for _, size, _ in facts if size)
    return {
        "photos": len(listing),
        "per_split": per_split,
        "formats": dict(Counter(name for name, _, _ in facts).most_common()),
        "sizes": dict(sizes.most_common(MOST_FREQUENT)),
        "different_sizes": len(sizes),
        "bytes": sum(count for _, _, count in facts),
    }


def _facts(file: Path) -> tuple[str, str, int]:
    """Return a file's format, its size in pixels and in bytes, by its first lines."""
    try:
        count = file.stat().st_size
        with open_photo(file) as photo:
            return photo.format or "unknown", f"{photo.width}×{photo.height}", count
    except (BrokenPhotoError, OSError):
        return "not readable", "", 0
