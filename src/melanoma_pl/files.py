"""Files that are written completely or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def write_atomically(path: Path) -> Iterator[TextIO]:
    """Open a text file that replaces `path` once it is complete; until then the previous file stays as it is.

    The file is UTF-8, but names of files that are not UTF-8 keep their bytes.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until the operating system has written a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


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
