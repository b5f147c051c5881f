"""Decoded images kept on disk: the files of one set, what its record says, and who uses it. Light: no PyTorch.

A set is a folder named after its key, in a folder that the user chose:

    <key>/pixels.u8    uint8 (N, S, S, 3), the images that can be read, in order
    <key>/set.json     what was learnt of them; written last, so that pixels without it count for nothing
    <key>.lock         held by who writes, opens or removes the set

`melanoma-data cache`: what images that did not fit into memory take on the disk, and making room. Light.
"""

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from filelock import BaseFileLock, FileLock, Timeout

from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import amount, readable, size_in_bytes

if sys.platform != "win32":
    import fcntl

DEFAULT_FOLDER = Path("outputs/cache")
FORMAT = 1  # raise it with every change that alters a cached pixel or the meaning of a set's files
KEY = re.compile(r"[0-9a-f]{16}")
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError)  # what reading a damaged record can raise


@dataclass(frozen=True)
class CacheRecord:
    """What is known of a set besides its pixels.

    Attributes:
        root: Folder of the images when they were decoded.
        images: How many there are, broken ones too.
        image_size: Side in pixels.
        sha256: Of the file of each image that can be read, in order.
        broken: Path → reason, of the others.
    """

    root: str
    images: int
    image_size: int
    sha256: tuple[str, ...]
    broken: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return len(self.sha256) * bytes_per_image(self.image_size)


@dataclass(frozen=True)
class CachedDataset:
    """One set's folder, whether anything lies in it or not."""

    folder: Path

    @property
    def pixels(self) -> Path:
        """The images' pixels."""
        return self.folder / "pixels.u8"

    @property
    def record(self) -> Path:
        """What was learnt of the images; its time of change says when the set was last used."""
        return self.folder / "set.json"

    @property
    def part(self) -> Path:
        """Pixels that are being written, or were when their writer was killed."""
        return self.folder / ".pixels.u8.part"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that can lie in the folder."""
        return self.pixels, self.part, self.record, self.record.with_name(f".{self.record.name}.part")

    @property
    def size(self) -> int:
        """Bytes of all files that are there."""
        return sum(file.stat().st_size for file in self.files if file.is_file())

    def read(self) -> CacheRecord:
        """Return what the record says.

        Raises:
            ValueError, KeyError, TypeError, OSError: If it is missing, damaged, of another format, or does not fit
                the pixels.
        """
        values: Any = json.loads(self.record.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError(f"{self.record} is of another format")
        record = CacheRecord(**{**values, "sha256": tuple(values["sha256"])})
        if self.pixels.stat().st_size != record.size:
            raise ValueError(f"{self.pixels} has {self.pixels.stat().st_size} bytes instead of {record.size}")
        return record

    def write(self, record: CacheRecord) -> None:
        """Write the record, which makes the set a whole one."""
        with write_atomically(self.record) as file:
            json.dump({"format": FORMAT, **asdict(record)}, file)
            file.flush()
            os.fsync(file.fileno())

    def lock(self, timeout: float = -1) -> BaseFileLock:
        """Return what keeps others from opening, writing and removing the set; it falls with the process that holds it.

        Args:
            timeout: Seconds to wait for it, then `Timeout` is raised; negative: for ever.
        """
        return FileLock(self._lock, timeout=timeout)

    @property
    def _lock(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.lock")

    def is_used(self) -> bool:
        """Tell whether a process writes, opens or trains from the set."""
        try:
            with self.lock(timeout=0):
                return _is_held(self.pixels)
        except Timeout:
            return True

    def remove(self) -> int:
        """Remove the set's files, and its folder where nothing else lies in it.

        Returns:
            The bytes that were freed.

        Raises:
            Timeout: If a process writes, opens or trains from it.
        """
        with self.lock(timeout=0):
            if _is_held(self.pixels):
                raise Timeout(str(self.pixels))
            freed = self.size
            for file in self.files:
                file.unlink(missing_ok=True)
            with suppress(OSError):
                self.folder.rmdir()  # only ever an empty one
            with suppress(OSError):  # Windows keeps what is open
                self._lock.unlink()
        return freed


def bytes_per_image(image_size: int) -> int:
    """Return the bytes of one image's pixels."""
    return 3 * image_size * image_size


def hold(file: BinaryIO) -> None:
    """Mark a file as used, for as long as it, or a mapping made from it, is open in this process or its children."""
    if sys.platform != "win32":
        with suppress(OSError):  # a network's disk without locks: then nobody is kept from removing it
            fcntl.flock(file, fcntl.LOCK_SH)


def _is_held(path: Path) -> bool:
    if sys.platform == "win32":  # which removes no file that is open
        return False
    try:
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none
        return False
    return False


def find_cached(folder: Path) -> list[CachedDataset]:
    """Return the sets in a folder, unfinished ones too, by their names."""
    if not folder.is_dir():
        return []
    keys = {place.stem for place in folder.iterdir() if place.suffix == ".lock" or place.is_dir()}
    return [CachedDataset(folder / key) for key in sorted(keys) if KEY.fullmatch(key)]


DAY = 24 * 60 * 60  # seconds


@dataclass(frozen=True)
class CacheEntry:
    """One set as it is listed.

    Attributes:
        place: Where it lies.
        record: What it says of itself; None where it is unfinished or damaged.
        size: Bytes on the disk.
        used: When it was last used, in seconds since 1970.
    """

    place: CachedDataset
    record: CacheRecord | None
    size: int
    used: float

    @property
    def images(self) -> str:
        """What the set holds, in words."""
        if self.record is None:
            return "unfinished or damaged"
        return f"{amount(self.record.images, 'image')} of {readable(self.record.root)}, {self.record.image_size} px"


def read_entries(folder: Path) -> list[CacheEntry]:
    """Return the sets in a folder, the one that was used last first.

    Raises:
        UserError: If a folder other than the default one is not there.
    """
    if not folder.is_dir() and folder != DEFAULT_FOLDER:
        raise UserError(
            f"the folder {folder} does not exist", f"name that of data.cache_folder, {DEFAULT_FOLDER} by default"
        )
    entries = [_read_entry(place) for place in find_cached(folder)]
    return sorted(entries, key=lambda entry: -entry.used)


def _read_entry(place: CachedDataset) -> CacheEntry:
    try:
        record = place.read()
    except BROKEN:
        record = None
    times = [file.stat().st_mtime for file in place.files if file.is_file()]
    return CacheEntry(place, record, place.size, max(times, default=0.0))


def format_entries(folder: Path) -> str:
    """Return a line for each set, and what they take together."""
    entries = [entry for entry in read_entries(folder) if entry.size]
    if not entries:
        return f"no decoded images are kept in {folder}"
    lines = [f"{'set':<16}  {'size':>9}  {'last used':<16}  images"]
    for entry in entries:
        used = datetime.fromtimestamp(entry.used).isoformat(" ", "minutes")
        note = ", in use now" if entry.place.is_used() else ""
        lines.append(f"{entry.place.folder.name}  {size_in_bytes(entry.size):>9}  {used}  {entry.images}{note}")
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


def _remove(entries: Sequence[CacheEntry]) -> tuple[list[CacheEntry], list[CacheEntry]]:
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
