"""A new folder of images: linked or copied, all under different names, and complete or not there at all."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from melanoma_pl.errors import UserError
from melanoma_pl.files import NO_SPACE, TableWriter, check_folder_target

LONGEST = 255  # bytes of a file's name, on nearly all file systems
MOST_OF_NAME = 40  # letters of a name that a longer one begins with


def check_target(target: Path, source: Path) -> None:
    """Refuse a target that is taken or lies within the source.

    Raises:
        UserError: If it is not empty, a file, or inside `source`, or cannot be made.
    """
    check_folder_target(target, str(target))
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{target} is {source} or lies inside it", "name a folder beside it")
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file", "name a folder to make")
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{target} is not empty", "name another folder, or empty this one")


@contextlib.contextmanager
def staged_folder(target: Path, key: str = "") -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` at the end; an error or Ctrl-C leaves nothing behind.

    Args:
        target: The folder to make.
        key: Hash of all that decides the content. With it the folder of a process that was killed is found again, with
            the files that it has; empty for a new folder each time.

    Raises:
        UserError: If the folder cannot be made, exists by the end, does not fit on the disk, or another process makes
            it with the same key.
    """
    check_folder_target(target, str(target))
    home = target.resolve()  # a link to another disk stays a link
    new = [folder for folder in home.parents if not folder.exists()]
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{home.name[:MOST_OF_NAME]}-"
        work_folder: contextlib.AbstractContextManager[str] = (
            _kept_folder(home.with_name(f"{prefix}{key}.part"), target)
            if key
            else tempfile.TemporaryDirectory(prefix=prefix, dir=home.parent)
        )
    except OSError as error:
        raise UserError(f"{target} cannot be made ({error.strerror})", "name a folder where you may write") from error
    try:
        with work_folder as name:
            staged = Path(name) / home.name
            staged.mkdir(exist_ok=bool(key))
            yield staged
            with contextlib.suppress(OSError):
                home.rmdir()  # only ever an empty one: Windows does not rename onto it
            try:
                staged.rename(home)
            except OSError as error:
                raise UserError(f"another process made {home} meanwhile", "name another folder") from error
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        # the error itself names the image that was copied, which is not at fault
        raise UserError(f"no space is left to write {target}", "make some, or name a folder on another disk") from error
    finally:
        for folder in new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where it stayed empty


@contextlib.contextmanager
def _kept_folder(folder: Path, target: Path) -> Iterator[str]:
    """Give a folder that outlives this process if it is killed, and is removed in any other case."""
    folder.mkdir(exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            try:
                yield str(folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except Timeout as error:
        raise UserError(f"another process is making {target}", "wait until it has ended") from error


def link_or_copy(image: Path, target: Path, copy: bool) -> bool:
    """Link an image to a new path, or copy it where `copy` asks for that or a link cannot be made.

    Returns:
        Whether it is a link.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        with contextlib.suppress(OSError):  # another file system, or one without links
            os.link(image.resolve(), target)
            return True
    shutil.copyfile(image, target)
    return False


def write_csv(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV table in UTF-8; names of files that are not UTF-8 keep their bytes."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as table:
        writer = TableWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def free_paths(folders: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Choose new paths for images: their own names, and names made of their paths where those would clash.

    Args:
        folders: Folder of each of N images; the names in a folder must differ in more than case, for any file system.
        sources: Paths of the N images, all different, with `/`.

    Returns:
        N paths, all different, with `/`.
    """
    tries = [0] * len(sources)
    while True:
        paths = [
            f"{folder}/{NAMINGS[tried](PurePosixPath(source))}"
            for folder, source, tried in zip(folders, sources, tries, strict=True)
        ]
        wanted = Counter(path.casefold() for path in paths)
        clashing = [index for index, path in enumerate(paths) if wanted[path.casefold()] > 1]
        movable = [index for index in clashing if tries[index] < len(NAMINGS) - 1]
        if not movable:
            return paths
        for index in movable:
            tries[index] += 1


def _all_parts(path: PurePosixPath) -> str:
    return "_".join(part for part in path.parts if part not in ("..", path.anchor))


def _joined(path: PurePosixPath) -> str:
    name = _all_parts(path)
    return name if len(os.fsencode(name)) <= LONGEST else _numbered(path)


def _numbered(path: PurePosixPath) -> str:
    name = PurePosixPath(_all_parts(path))
    stem, ending = name.stem, f"_{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}{name.suffix}"
    while len(os.fsencode(stem + ending)) > LONGEST:
        stem = stem[:-1]
    return stem + ending


NAMINGS: tuple[Callable[[PurePosixPath], str], ...] = (lambda path: path.name, _joined, _numbered)
