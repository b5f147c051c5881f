"""The list of photos that training should do without, as a CSV table. Light."""

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.files import write_atomically

COLUMNS = ("image", "reason", "sha256")


@dataclass(frozen=True)
class Reason:
    """Why a photo should be left out, and the hash of its file."""

    text: str
    sha256: str


def write_quarantine(table: Path, quarantine: Mapping[str, Reason]) -> None:
    """Write the list: path → why."""
    with write_atomically(table) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([path, reason.text, reason.sha256] for path, reason in sorted(quarantine.items()))


def read_quarantine(table: Path, paths: Collection[str]) -> dict[str, Reason]:
    """Return the photos that a list names, with the reasons, if it has some.

    Raises:
        UserError: If there is no such list, or it names photos that are not there.
    """
    if not table.is_file():
        raise UserError(f"--exclude {table} does not exist", "name a list that --fix wrote")
    named = read_table(table, COLUMNS[0], "--exclude", set(paths))
    unknown = sorted(named.keys() - set(paths))
    if unknown:
        raise UserError(
            f"--exclude {table} names {len(unknown)} photos that are not there ({first_of(unknown)})",
            "make the list anew with --fix",
        )
    return {path: Reason(row.get("reason", ""), row.get("sha256", "")) for path, row in named.items()}
