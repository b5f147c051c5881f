"""The list of photos that training should do without, as a CSV table. Light."""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path

from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.files import write_atomically

COLUMNS = ("image", "reason", "sha256")


def write_quarantine(table: Path, quarantine: Mapping[str, str], sha256: Mapping[str, str]) -> None:
    """Write the list.

    Args:
        table: The CSV file.
        quarantine: Path of each photo → why.
        sha256: Path → hash of the file.
    """
    with write_atomically(table) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([path, reason, sha256[path]] for path, reason in quarantine.items())


def read_excluded(table: Path, paths: Collection[str]) -> list[str]:
    """Return the photos that a list names.

    Raises:
        UserError: If there is no such list, or it names photos that are not there.
    """
    if not table.is_file():
        raise UserError(f"--exclude {table} does not exist", "name a list that --fix wrote")
    named = read_table(table, COLUMNS[0], "--exclude")
    unknown = sorted(named.keys() - set(paths))
    if unknown:
        raise UserError(
            f"--exclude {table} names {len(unknown)} photos that are not there ({first_of(unknown)})",
            "make the list anew with --fix",
        )
    return sorted(named)
