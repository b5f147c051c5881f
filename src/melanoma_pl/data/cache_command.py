"""`melanoma-data cache`: what photos that did not fit into memory take on the disk, and making room. Light."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from melanoma_pl.data.cached_set import BROKEN, DEFAULT_FOLDER, CachedSet, Record, find_sets
from melanoma_pl.errors import UserError
from melanoma_pl.reporting.words import amount, readable, size_in_bytes

DAY = 24 * 60 * 60  # seconds


@dataclass(frozen=True)
class Entry:
    """One set as it is listed.

    Attributes:
        place: Where it lies.
        record: What it says of itself; None where it is unfinished or damaged.
        size: Bytes on the disk.
        used: When it was last used, in seconds since 1970.
    """

    place: CachedSet
    record: Record | None
    size: int
    used: float

    @property
    def photos(self) -> str:
        """What the set holds, in words."""
        if self.record is None:
            return "unfinished or damaged"
        return f"{amount(self.record.photos, 'photo')} of {readable(self.record.root)}, {self.record.image_size} px"


def read_entries(folder: Path) -> list[Entry]:
    """Return the sets in a folder, the one that was used last first.

    Raises:
        UserError: If a folder other than the default one is not there.
    """
    if not folder.is_dir() and folder != DEFAULT_FOLDER:
        raise UserError(
            f"the folder {folder} does not exist", f"name that of data.cache_folder, {DEFAULT_FOLDER} by default"
        )
    entries = [_read_entry(place) for place in find_sets(folder)]
    return sorted(entries, key=lambda entry: -entry.used)


def _read_entry(place: CachedSet) -> Entry:
    try:
        record = place.read()
    except BROKEN:
        record = None
    times = [file.stat().st_mtime for file in place.files if file.is_file()]
    return Entry(place, record, place.size, max(times, default=0.0))


def format_entries(folder: Path) -> str:
    """Return a line for each set, and what they take together."""
    entries = [entry for entry in read_entries(folder) if entry.size]
    if not entries:
        return f"no decoded photos are kept in {folder}"
    lines = [f"{'set':<16}  {'size':>9}  {'last used':<16}  photos"]
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        note = ", in use now" if entry.place.is_used() else ""
        lines.append(f"{entry.place.folder.name}  {size_in_bytes(entry.size):>9}  {used}  {entry.photos}{note}")
    total = size_in_bytes(sum(entry.size for entry in entries))
    return "\n".join([*lines, f"{amount(len(entries), 'set')}, {total}; made anew when they are needed again"])


def clean(folder: Path, older_than: float = 0) -> str:
    """Remove the sets of a folder, but none that a process uses, and nothing else that lies there.

    Args:
        folder: As `data.cache_folder` names it.
        older_than: Days since a set was last used.

    Returns:
        What was freed.

    Raises:
        UserError: If a set is used; the others are removed all the same.
    """
    if older_than < 0:
        raise UserError(f"--older-than {older_than:g} is negative", "give a number of days, 0 or more")
    chosen = [entry for entry in read_entries(folder) if time.time() - entry.used >= older_than * DAY]
    freed, used = _remove(chosen)
    if not freed and not used:
        return f"there is nothing to remove in {folder}"
    text = f"freed {size_in_bytes(sum(entry.size for entry in freed))} of {amount(len(freed), 'set')} in {folder}"
    if used:
        names = ", ".join(str(entry.place.folder) for entry in used)
        raise UserError(f"{names}: another process uses it; {text}", "wait until it has ended, then clean again")
    return text


def _remove(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Return what was removed, and what is used."""
    freed, used = [], []
    for entry in entries:
        try:
            size = entry.place.remove()
        except Timeout:
            used.append(entry)
            continue
        if size:
            freed.append(entry)
    return freed, used
