"""The list of photos that training should do without, as a CSV table. Light."""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path

from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically

COLUMNS = ("image", "reason", "sha256")
SHOWN = 3


def write_quarantine(table: Path, quarantine: Mapping[str, str], sha256: Mapping[str, str]) -> None:
    """Write the list.

    Args:
        table: The CSV file.
        quarantine: Path of each photo → why.
        sha256: Path → hash of the file.

    Raises:
        UserError: If its folder does not exist.
    """
    if not table.resolve().parent.is_dir():
        raise UserError(f"--fix {table}: the folder {table.parent} does not exist", "make it first")
    with write_atomically(table) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([path, reason, sha256[path]] for path, reason in quarantine.items())


def read_excluded(table: Path, paths: Collection[str]) -> list[str]:
    """Temporary, until exclusion.py is there."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        return [row["image"] for row in csv.DictReader(file)]
