"""Files that are written completely or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


@contextmanager
def write_atomically(path: Path) -> Iterator[TextIO]:
    """Open a text file that replaces `path` once it is complete; until then the previous file stays as it is.

    File and folder are flushed to the disk: after a power cut a renamed file that was not flushed would be empty. The
    file is UTF-8, but names of files that are not UTF-8 keep their bytes.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until the operating system has written a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the operating system has written the names in a folder to the disk, if the system supports it."""
    if os.name == "nt":  # Windows does not open folders
        return
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # some network disks cannot
        os.fsync(descriptor)
    os.close(descriptor)


def copy(source: Path, target: Path) -> None:
    """Copy a file, as a hard link if the disk supports it.

    A link is safe because the source is only ever replaced, never changed in place.
    """
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, temporary)
        flush_to_disk(temporary)
    temporary.replace(target)
    flush_folder(target.parent)
