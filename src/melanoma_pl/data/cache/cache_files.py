"""Decoded images on disk: their files and record, the processes that use them, and `melanoma-data cache`. Light.

Each cached dataset has a folder, named after its key, in a folder that the user chose:

    <key>/pixels.u8    uint8 (N, S, S, 3), the images that can be read, in order
    <key>/set.json     the record; it is written last, so pixels without a record are ignored
    <key>/.progress    while it is written: the images whose pixels are in .pixels.u8.part already
    <key>.lock         held by the process that writes, opens or removes the dataset
"""

import json
import os
import re
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from filelock import BaseFileLock, FileLock, Timeout

from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import amount, format_table, readable, size_in_bytes

if sys.platform != "win32":
    import fcntl

DEFAULT_FOLDER = Path("outputs/cache")
FORMAT = 2  # to be raised with every change that alters a cached pixel or the meaning of a file
KEY = re.compile(r"[0-9a-f]{16}")
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError)  # errors of reading a damaged record
FLUSHED = 1024  # images that are flushed to the disk together: what a power cut can cost
DAY = 24 * 60 * 60  # seconds


@dataclass(frozen=True)
class CacheRecord:
    """The record of a cached dataset.

    Attributes:
        root: Folder of the images when they were decoded.
        images: Number of images, broken ones included.
        image_size: Side in pixels.
        sha256: Hash of the file of each image that can be read, in order.
        broken: Path → reason, of the images that cannot be read.
    """

    root: str
    images: int
    image_size: int
    sha256: tuple[str, ...]
    broken: dict[str, str]


class CachedDataset:
    """The folder of a cached dataset, which need not exist.

    Attributes:
        folder: The folder.
        pixels: The file of the pixels.
        part: The file of pixels that are being written, or were when their writer was killed.
        progress: The list of the images whose pixels are in `part`.
        record: The file of the record; its modification time is the time of the last use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.pixels = folder, folder / "pixels.u8"
        self.part, self.record = folder / ".pixels.u8.part", folder / "set.json"
        self.progress = folder / ".progress"

    @property
    def files(self) -> list[Path]:
        """The files that exist in the folder, unfinished ones included."""
        record_part = self.folder / ".set.json.part"
        every = (self.pixels, self.part, self.progress, self.record, record_part)
        return [file for file in every if file.is_file()]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

    @property
    def last_use(self) -> float:
        """Time of the last use in seconds since 1970; 0 without files."""
        return max((file.stat().st_mtime for file in self.files), default=0.0)

    def read(self) -> CacheRecord:
        """Return the record.

        Raises:
            ValueError, KeyError, TypeError, OSError: If it is missing, damaged or of another format, or does not fit
                the pixels.
        """
        values: Any = json.loads(self.record.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError(f"{self.record} is of another format")
        record = CacheRecord(**{**values, "sha256": tuple(values["sha256"])})
        size, expected = self.pixels.stat().st_size, len(record.sha256) * bytes_per_image(record.image_size)
        if size != expected:
            raise ValueError(f"{self.pixels} has {size} bytes instead of {expected}")
        return record

    def write(self, record: CacheRecord) -> None:
        """Write the record, which completes the dataset."""
        with write_atomically(self.record) as file:
            json.dump({"format": FORMAT, **asdict(record)}, file)
            file.flush()
            os.fsync(file.fileno())

    def lock(self, timeout: float = -1) -> BaseFileLock:
        """Return the lock for opening, writing and removing the dataset; the system releases it with the process.

        Args:
            timeout: Seconds to wait for the lock before `Timeout` is raised; negative waits without limit.
        """
        return FileLock(f"{self.folder}.lock", timeout=timeout)

    def is_used(self) -> bool:
        """Tell whether a process writes the dataset, opens it or trains from it."""
        try:
            with self.lock(timeout=0):
                return _is_held(self.pixels)
        except Timeout:
            return True

    def remove(self) -> int:
        """Remove the dataset's files, and its folder if nothing else lies in it.

        Returns:
            The bytes that were freed.

        Raises:
            Timeout: If a process uses the dataset.
        """
        with self.lock(timeout=0) as lock:
            if _is_held(self.pixels):
                raise Timeout(str(self.pixels))
            freed = self.size
            for file in self.files:
                file.unlink()
            with suppress(OSError):
                self.folder.rmdir()  # fails unless the folder is empty
            if sys.platform != "win32":  # Windows removes no open file; there the lock removes its file when released
                Path(lock.lock_file).unlink()
        return freed


class UnfinishedDataset:
    """The images of a dataset that is being written; a process that is killed leaves them to the next one.

    Pixels are on the disk before the lines that name them, so that no line promises pixels that a power cut took.

    Args:
        cached: The dataset.
        image_size: Side in pixels.

    Attributes:
        sha256: Hash of the file of each image whose pixels are written, in order.
        broken: Path → reason, of the images that cannot be read.
    """

    def __init__(self, cached: CachedDataset, image_size: int) -> None:
        self.sha256: list[str] = []
        self.broken: dict[str, str] = {}
        size, valid = bytes_per_image(image_size), 0
        for file in (cached.part, cached.progress):
            file.touch()
        room = cached.part.stat().st_size // size
        for line in cached.progress.read_bytes().splitlines(keepends=True):
            entry = _read_line(line)
            if entry is None or (isinstance(entry, str) and len(self.sha256) == room):
                break
            self._add(entry)
            valid += len(line)
        self._pixels, self._lines = cached.part.open("rb+"), cached.progress.open("rb+")
        for opened, end in ((self._pixels, len(self.sha256) * size), (self._lines, valid)):
            opened.truncate(end)
            opened.seek(end)
        self._waiting: list[str] = []

    def __len__(self) -> int:
        """Return the number of images that were read, broken ones included."""
        return len(self.sha256) + len(self.broken)

    def add(self, path: str, sha256: str, pixels: memoryview | None, reason: str) -> None:
        """Add the next image; its pixels are None, and it has a reason, if it cannot be read."""
        if pixels is not None:
            self._pixels.write(pixels)
        entry = [path, reason] if pixels is None else sha256
        self._add(entry)
        self._waiting.append(f"{json.dumps(entry)}\n")
        if len(self._waiting) == FLUSHED:
            self.flush()

    def flush(self) -> None:
        """Write everything to the disk."""
        for opened, lines in ((self._pixels, []), (self._lines, self._waiting)):
            opened.writelines(line.encode() for line in lines)
            opened.flush()
            os.fsync(opened.fileno())
        self._waiting = []

    def close(self) -> None:
        """Close the files."""
        for opened in (self._pixels, self._lines):
            with suppress(OSError):  # a full disk refuses what is left, which is then removed
                opened.close()

    def _add(self, entry: str | list[str]) -> None:
        if isinstance(entry, str):
            self.sha256.append(entry)
        else:
            self.broken[entry[0]] = entry[1]


def _read_line(line: bytes) -> str | list[str] | None:
    """Return a line of a progress file; None if it was cut short."""
    with suppress(ValueError):
        entry: Any = json.loads(line)
        if line.endswith(b"\n") and (isinstance(entry, str) or (isinstance(entry, list) and len(entry) == 2)):
            return entry
    return None


def bytes_per_image(image_size: int) -> int:
    """Return the bytes of one image's pixels."""
    return 3 * image_size * image_size


def hold(file: BinaryIO) -> None:
    """Mark a file as used while it, or a mapping of it, is open in this process or its children."""
    if sys.platform != "win32":
        with suppress(OSError):  # a network disk without locks: then nothing prevents the removal
            fcntl.flock(file, fcntl.LOCK_SH)


def _is_held(path: Path) -> bool:
    if sys.platform == "win32":  # Windows itself does not remove open files
        return False
    try:
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file does not exist
        return False
    return False


def find_cached(folder: Path) -> list[CachedDataset]:
    """Return the cached datasets in a folder, unfinished ones included, the last used first.

    Raises:
        UserError: If a folder other than the default one does not exist.
    """
    if not folder.is_dir() and folder != DEFAULT_FOLDER:
        way_out = f"name the folder of data.cache_folder, {DEFAULT_FOLDER} by default"
        raise UserError(f"the folder {folder} does not exist", way_out)
    keys = {file.stem for file in (*folder.glob("*.lock"), *folder.glob("*/")) if KEY.fullmatch(file.stem)}
    return sorted((CachedDataset(folder / key) for key in sorted(keys)), key=lambda cached: -cached.last_use)


def format_cached(folder: Path) -> str:
    """Return a table of the cached datasets in a folder, with their total size."""
    rows = [("dataset", "size", "last used", "images")]
    found = [cached for cached in find_cached(folder) if cached.size]
    for cached in found:
        used = datetime.fromtimestamp(cached.last_use).isoformat(" ", "minutes")
        images = "unfinished or damaged"
        with suppress(*BROKEN):
            record = cached.read()
            images = f"{amount(record.images, 'image')} of {readable(record.root)}, {record.image_size} px"
        note = ", in use now" if cached.is_used() else ""
        rows.append((cached.folder.name, size_in_bytes(cached.size), used, f"{images}{note}"))
    if not found:
        return f"no decoded images are kept in {folder}"
    total = f"{amount(len(found), 'dataset')}, {size_in_bytes(sum(cached.size for cached in found))}"
    return "\n".join([*format_table(rows, "<><"), f"{total}; decoded again when needed"])


def clean(folder: Path, older_than: float = 0) -> str:
    """Remove the cached datasets of a folder that no process uses; other files stay.

    Args:
        folder: The folder that `data.cache_folder` names.
        older_than: Smallest time since the last use, in days.

    Returns:
        A sentence about what was freed.

    Raises:
        UserError: If a process uses a dataset; the others are removed nevertheless.
    """
    if older_than < 0:
        raise UserError(f"--older-than {older_than:g} is negative", "give a number of days, 0 or more")
    freed, used = [], []
    for cached in find_cached(folder):
        if time.time() - cached.last_use >= older_than * DAY:
            try:
                freed.append(cached.remove())
            except Timeout:
                used.append(str(cached.folder))
    count = sum(map(bool, freed))
    text = f"freed {size_in_bytes(sum(freed))} of {amount(count, 'dataset')} in {folder}"
    if used:
        message = f"{', '.join(used)}: another process uses it; {text}"
        raise UserError(message, "wait until it has ended, then clean again")
    return text if count else f"there is nothing to remove in {folder}"
