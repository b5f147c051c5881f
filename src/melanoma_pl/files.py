"""Files that are written completely or not at all, and checks that they can be written. Light."""

import csv
import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from melanoma_pl.errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORMULA = re.compile(r"'*[=+\-@\t\r].", re.DOTALL)  # a lone - means that a value is unknown


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Give a path beside `path`; the file written there replaces `path` at the end, unless an error comes first.

    File and folder are flushed to the disk: after a power cut a renamed file that was not flushed would be empty.
    """
    temporary = beside_of(path)
    try:
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def beside_of(path: Path) -> Path:
    """Return the path of the unfinished file that will replace `path`."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def write_atomically(path: Path) -> Iterator[TextIO]:
    """Open a text file that replaces `path` once it is complete; until then the previous file stays as it is.

    The file is UTF-8, but names of files that are not UTF-8 keep their bytes.
    """
    with (
        replacement(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        yield file


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder beside `path`, which becomes `path` at the end, unless an error comes first.

    Raises:
        FileExistsError: If something has appeared at `path` meanwhile.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    made = [parent for parent in path.parents if not parent.exists()]  # the innermost first
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for file in filter(Path.is_file, temporary.rglob("*")):
            flush_to_disk(file)
        flush_folder(temporary)
        if path.exists():  # renaming would replace an empty folder
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        temporary.rename(path)
        flush_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        with suppress(OSError):  # those that are not empty stay
            for parent in made:
                parent.rmdir()


def copy(source: Path, target: Path) -> None:
    """Copy a file, as a hard link if the disk supports it.

    A link is safe because the source is only ever replaced, never changed in place.
    """
    with replacement(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            temporary.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, temporary)


class TableWriter(csv.DictWriter):  # type: ignore[type-arg] # Python 3.11 has no DictWriter[str]
    """Writes a CSV table that people may open with a spreadsheet; `TableReader` returns the same cells.

    A text that a spreadsheet would run as a formula gets an apostrophe before it. Numbers stay as they are.
    """

    def writerow(self, rowdict: Mapping[str, Any]) -> Any:
        """Write one row."""
        return super().writerow({column: as_text(cell) for column, cell in rowdict.items()})

    def writerows(self, rowdicts: Iterable[Mapping[str, Any]]) -> None:
        """Write several rows."""
        for row in rowdicts:
            self.writerow(row)


class TableReader(csv.DictReader):  # type: ignore[type-arg]
    """Reads a CSV table, without the apostrophes that `TableWriter` wrote."""

    def __init__(self, file: Iterable[str], **options: Any) -> None:
        super().__init__(file, **options)
        self.fieldnames = [without_apostrophe(name) for name in self.fieldnames or ()] or None

    def __next__(self) -> dict[str | Any, str | Any]:
        row = super().__next__()
        # most cells have none, and a large table has millions of cells
        return {column: without_apostrophe(cell) if cell and cell[0] == "'" else cell for column, cell in row.items()}


def as_text(cell: object) -> object:
    """Return a cell of a table, after an apostrophe if a spreadsheet would run it as a formula."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) and not is_number(cell) else cell


def without_apostrophe(cell: Any) -> Any:
    """Return a cell as it was before `as_text`."""
    is_marked = isinstance(cell, str) and cell.startswith("'") and as_text(cell[1:]) == cell
    return cell[1:] if is_marked else cell


def is_number(text: str) -> bool:
    """Tell whether a text is a number, such as -1.5."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_file_target(path: Path, typed: str) -> None:
    """Refuse a path that no file can be written to, before time is spent on its content.

    Args:
        path: The file; an existing one will be replaced.
        typed: The user's words for it, such as `--csv predictions.csv`.

    Raises:
        UserError: If the path is a folder, or its folder does not exist or is not writable.
    """
    try:
        beside_of(path).exists()  # its name is longer than that of the file
        if path.is_dir():
            raise UserError(f"{typed} is a folder", f"name a file, {path / 'file'} for instance")
        if not path.resolve().parent.is_dir():
            raise UserError(f"{typed}: the folder {path.parent} does not exist", "make it first")
    except (OSError, RuntimeError) as error:
        raise _cannot_be_written(typed, error, "name another file") from error
    check_folder_target(path.resolve().parent, typed)


def check_folder_target(folder: str | Path, typed: str) -> None:
    """Refuse a folder that cannot be made or written, without making it.

    An empty folder is made for a moment where the first file or folder would appear: some systems, such as `/proc` and
    disks mounted read-only, do not show in the permissions that nothing can be written.

    Args:
        folder: The folder; its parents need not exist.
        typed: The user's words for it, such as `--heatmaps maps`.

    Raises:
        UserError: If the name is empty, or the folder or its first existing parent is a file or not writable.
    """
    if not str(folder):
        raise UserError(f"{typed} names no folder", "name one, or leave the option out")
    try:
        path = Path(folder).resolve()
        nearest = next(parent for parent in (path, *path.parents) if parent.exists())
        if not nearest.is_dir():
            raise UserError(f"{typed} cannot be made: {nearest} is a file", "name another folder")
        with tempfile.TemporaryDirectory(prefix=".melanoma-", dir=nearest):
            pass
    except (OSError, RuntimeError) as error:
        raise _cannot_be_written(typed, error, "name another folder") from error


def _cannot_be_written(typed: str, error: OSError | RuntimeError, way_out: str) -> UserError:
    reason = error.strerror if isinstance(error, OSError) else "links that lead back to themselves"
    return UserError(f"{typed} cannot be written ({reason})", way_out)
