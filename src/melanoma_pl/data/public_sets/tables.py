"""The table that comes with a set: its rows with their lines, and cells that say the same thing in one way."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from melanoma_pl.errors import UserError, did_you_mean

NOTHING = {"", "unknown", "unk", "nan", "none", "null", "na", "n/a"}
SEXES = {"m": "male", "f": "female", "male": "male", "female": "female"}
OLDEST = 120  # years
ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        table: The file.
        line: Its line there.
        cells: Column, in lower case → cell, without space around it.
    """

    table: Path
    line: int
    cells: dict[str, str]

    @property
    def where(self) -> str:
        """File and line, as an error names them."""
        return f"{self.table}, line {self.line}"

    def known(self, *columns: str) -> str:
        """Return the first of these cells that says something; empty where none does or there is no such column."""
        cells = (self.cells.get(column, "") for column in columns)
        return next((cell for cell in cells if cell.lower() not in NOTHING), "")


def read_rows(table: Path, required: Sequence[str], one_of: Sequence[str] = ()) -> list[Row]:
    """Read a table whose cells are separated by tabs, semicolons or commas: the first of these that its header shows.

    Semicolons, as Excel writes them in much of Europe, count where no cell of the header contains a comma.

    Args:
        table: The file.
        required: Columns it must have.
        one_of: Columns of which it must have at least one.

    Raises:
        UserError: If it is empty, a column is missing, a row has not as many cells as the header, or there is no row.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            return _read(table, file, required, one_of)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{table} is no table in UTF-8 ({error})", "download it anew, or save it as CSV UTF-8"
        ) from error


def _read(table: Path, file: TextIO, required: Sequence[str], one_of: Sequence[str]) -> list[Row]:
    delimiter = _delimiter(next(filter(str.strip, file), ""))
    file.seek(0)
    lines = csv.reader(file, delimiter=delimiter)
    columns = next(([cell.strip().lower() for cell in cells] for cells in lines if any(map(str.strip, cells))), [])
    if not columns:
        raise UserError(f"{table} is empty", "download it anew")
    for column in required:
        if column not in columns:
            raise UserError(f"{table} has no column '{column}'", did_you_mean(column, columns))
    if one_of and not set(one_of).intersection(columns):
        raise UserError(f"{table} has none of the columns {', '.join(one_of)}", f"available are {', '.join(columns)}")
    rows: list[Row] = []
    for cells in filter(None, lines):  # an empty line has no cells
        rows.append(Row(table, lines.line_num, dict(zip(columns, (cell.strip() for cell in cells), strict=False))))
        if len(cells) != len(columns):
            raise UserError(f"{rows[-1].where}: {len(cells)} cells, and the header has {len(columns)}", "mend the line")
    if not rows:
        raise UserError(f"{table} has no rows", "download it anew")
    return rows


def _delimiter(header: str) -> str:
    if "\t" in header:
        return "\t"
    return ";" if ";" in header and "," not in header else ","


def years(cell: str) -> str:
    """Return an age in years, `80` for `80.0` or `80,0` and `85` for `85+`; empty where it is none from 0 to 120."""
    if not re.fullmatch(r"[0-9]+([.,][0-9]+)?\+?", cell):
        return ""
    age = float(cell.removesuffix("+").replace(",", "."))
    return f"{age:g}" if age <= OLDEST else ""


def sex(cell: str) -> str:
    """Return `male`, `female` or nothing."""
    return SEXES.get(cell.lower(), "")


def skin_type(cell: str) -> str:
    """Return Fitzpatrick's skin type, written as `III`, `3`, `3.0` or `3,0`, as `1` to `6`; empty where it is none."""
    written = cell.lower().replace(",", ".").removesuffix(".0")
    return ROMAN.get(written, written if written in ROMAN.values() else "")
