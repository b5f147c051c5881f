"""Zip files from elsewhere: whole, and with no member that could land outside the folder it is meant for."""

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from melanoma_pl.errors import UserError

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


@contextmanager
def whole_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose every member has been read once and agrees with its checksum.

    Raises:
        UserError: If it is cut short, damaged, encrypted, or holds a link or a member that leads elsewhere.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            _read_members(archive)
            yield archive
    except DAMAGED as error:
        raise UserError(f"{path} is cut short or no zip ({error})", "download it anew") from error
    except NotImplementedError as error:
        raise UserError(
            f"{path} cannot be read ({error})", "extract it with another program, give the folder"
        ) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names: set[str] = set()
    for member in members:
        if problem := _problem(member, names):
            raise UserError(f"{path}: its member '{member.filename}' {problem}", "download the set from its own page")
        names.add(member.filename)


def _read_members(archive: zipfile.ZipFile) -> None:
    """Read every member once; `BadZipFile` for what damaged bzip2 raises too."""
    try:
        damaged = archive.testzip()
    except OSError as error:
        if error.errno is not None:  # of the disk: bzip2's own error has no number
            raise
        raise zipfile.BadZipFile(f"a member is damaged: {error}") from error
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} is damaged")


def _problem(member: zipfile.ZipInfo, names: set[str]) -> str:
    name = member.orig_filename.replace("\\", "/")
    if name.startswith("/") or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        return "leads out of its folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    return "is there twice" if member.filename in names else ""
