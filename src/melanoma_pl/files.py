"""Files that are written whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def write_atomically(path: Path) -> Iterator[TextIO]:
    """Open a text file that takes its place only once it is complete; what was there before stays whole until then.

    A file's name in it that is no UTF-8 is written as the bytes it has.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until a file's bytes have left the operating system's memory."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def copy(source: Path, target: Path) -> None:
    """Give a file a second name, as a link where the disk can: the first is only ever replaced, never written into."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, temporary)
        flush_to_disk(temporary)
    temporary.replace(target)
