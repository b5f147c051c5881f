"""An npz file from elsewhere: whole, with the arrays that are needed, and no pickled objects, which could run code."""

import lzma
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from melanoma_pl.errors import UserError, first_of

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError, RuntimeError)


def open_npz(file: Path, needed: Sequence[str], opened: ExitStack) -> NpzFile:
    """Open a file that has these arrays.

    Raises:
        UserError: If it is damaged, a single array, or lacks one of them.
    """
    try:
        archive = np.load(opened.enter_context(file.open("rb")))
    except DAMAGED as error:
        raise UserError(f"{file} is cut short or no npz{_why(error)}", "download it anew") from error
    if not isinstance(archive, NpzFile):
        raise UserError(f"{file} is a single array", "give the whole npz file")
    opened.enter_context(archive)
    if absent := [name for name in needed if name not in archive.files]:
        raise UserError(f"{file} has no {first_of(absent)}", f"it has {first_of(archive.files)}; give the set's own")
    return archive


def read_array(file: Path, archive: NpzFile, name: str) -> NDArray[Any]:
    """Read one of its arrays.

    Raises:
        UserError: If it is damaged, or holds objects instead of numbers.
    """
    try:
        return np.asarray(archive[name])
    except DAMAGED as error:
        raise UserError(f"{file}: {name} is damaged{_why(error)}", "download it anew") from error


def _why(error: Exception) -> str:
    """Return NumPy's reason, unless it tells to allow pickled objects."""
    return "" if "pickle" in str(error) else f" ({error})"
