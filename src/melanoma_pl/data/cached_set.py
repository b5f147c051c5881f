"""Decoded photos kept on disk: the files of one set, what its record says, and who uses it. Light: no PyTorch.

A set is a folder named after its key, in a folder that the user chose:

    <key>/pixels.u8    uint8 (N, S, S, 3), the photos that can be read, in order
    <key>/set.json     what was learnt of them; written last, so that pixels without it count for nothing
    <key>.lock         held by who writes, opens or removes the set
"""

import json
import os
import re
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import BaseFileLock, FileLock, Timeout

from melanoma_pl.files import write_atomically

if sys.platform != "win32":
    import fcntl

DEFAULT_FOLDER = Path("outputs/cache")
FORMAT = 1  # raise it with every change that alters a cached pixel or the meaning of a set's files
KEY = re.compile(r"[0-9a-f]{16}")
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError)  # what reading a damaged record can raise


@dataclass(frozen=True)
class Record:
    """What is known of a set besides its pixels.

    Attributes:
        root: Folder of the photos when they were decoded.
        photos: How many there are, broken ones too.
        image_size: Side in pixels.
        sha256: Of the file of each photo that can be read, in order.
        broken: Path → reason, of the others.
    """

    root: str
    photos: int
    image_size: int
    sha256: tuple[str, ...]
    broken: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of the pixels."""
        return len(self.sha256) * bytes_per_photo(self.image_size)


@dataclass(frozen=True)
class CachedSet:
    """One set's folder, whether anything lies in it or not."""

    folder: Path

    @property
    def pixels(self) -> Path:
        """The photos' pixels."""
        return self.folder / "pixels.u8"

    @property
    def record(self) -> Path:
        """What was learnt of the photos; its time of change says when the set was last used."""
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

    def read(self) -> Record:
        """Return what the record says.

        Raises:
            ValueError, KeyError, TypeError, OSError: If it is missing, damaged, of another format, or does not fit
                the pixels.
        """
        values: Any = json.loads(self.record.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError(f"{self.record} is of another format")
        record = Record(**{**values, "sha256": tuple(values["sha256"])})
        if self.pixels.stat().st_size != record.size:
            raise ValueError(f"{self.pixels} has {self.pixels.stat().st_size} bytes instead of {record.size}")
        return record

    def write(self, record: Record) -> None:
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


def bytes_per_photo(image_size: int) -> int:
    """Return the bytes of one photo's pixels."""
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


def find_sets(folder: Path) -> list[CachedSet]:
    """Return the sets in a folder, unfinished ones too, by their names."""
    if not folder.is_dir():
        return []
    keys = {place.stem for place in folder.iterdir() if place.suffix == ".lock" or place.is_dir()}
    return [CachedSet(folder / key) for key in sorted(keys) if KEY.fullmatch(key)]
