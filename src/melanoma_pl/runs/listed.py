"""`photos.csv` of a run, read: which photo was in which split, and the hash of its file. Light."""

import csv
from typing import NamedTuple

from melanoma_pl.errors import UserError
from melanoma_pl.runs.folder import PHOTOS, Run


class ListedPhoto(NamedTuple):
    """A row of the list.

    Attributes:
        path: Relative to the root of the photos, with `/`.
        split: `train`, `validation` or `test`.
        sha256: Of the file.
    """

    path: str
    split: str
    sha256: str


def listed_photos(run: Run) -> list[ListedPhoto] | None:
    """Return the photos that a run has listed; None of an old run, which has no list.

    Raises:
        UserError: If the list cannot be read.
    """
    try:
        return read_list(run)
    except (OSError, ValueError) as error:
        raise UserError(f"{run.folder / PHOTOS} cannot be read ({error})") from error


def read_list(run: Run) -> list[ListedPhoto] | None:
    """Return the same.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is no such list; the message says why.
    """
    table = run.folder / PHOTOS
    if not table.is_file():
        return None
    with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        try:
            rows = [ListedPhoto(row["path"], row["split"], row["sha256"]) for row in reader]
        except KeyError as error:
            raise ValueError(f"it has no column {error}") from error
        except csv.Error as error:
            raise ValueError(str(error)) from error
    if any(None in row for row in rows):  # what DictReader gives where a line has too few cells
        raise ValueError("a line of it is cut short")
    return rows
