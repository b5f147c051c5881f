"""The table that comes with a set: its rows with their lines, and cells that say the same thing in one way.

Sets that are a table and images in folders: which file shows which row.
"""

import csv
import filecmp
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from melanoma_pl.data.layout import ENDINGS, is_image
from melanoma_pl.data.public_sets.download import About, Download, ImageFacts, LeftOut, SourceImage, saver
from melanoma_pl.errors import UserError, did_you_mean, first_of

NOTHING = {"", "unknown", "unk", "nan", "none", "null", "na", "n/a"}
SEXES = {"m": "male", "f": "female", "male": "male", "female": "female"}
OLDEST = 120  # years
ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}


@dataclass(frozen=True)
class TableRow:
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


def read_rows(table: Path, required: Sequence[str], one_of: Sequence[str] = ()) -> list[TableRow]:
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


def _read(table: Path, file: TextIO, required: Sequence[str], one_of: Sequence[str]) -> list[TableRow]:
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
    rows: list[TableRow] = []
    for cells in filter(None, lines):  # an empty line has no cells
        rows.append(TableRow(table, lines.line_num, dict(zip(columns, (cell.strip() for cell in cells), strict=False))))
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


@dataclass(frozen=True)
class FolderSet:
    """How a set's folder is laid out.

    Attributes:
        tables: Names that its table goes by, in lower case.
        key: Column with the image's name, with or without its ending.
        required: Columns that the table must have besides.
        one_of: Columns of which it must have at least one.
        describe: Says what a row says.
        about: What a summary says of the set.
    """

    tables: Sequence[str]
    key: str
    required: Sequence[str]
    describe: Callable[[TableRow], ImageFacts]
    about: About
    one_of: Sequence[str] = ()


def read_folder_set(layout: FolderSet, source: Path, missing: str) -> Download:
    """Read a set's table and find its images, wherever below `source` they lie.

    Args:
        layout: How the set is laid out.
        source: Its folder.
        missing: What a row without an image or an image without a row gets: `stop` (an error) or `leave-out`.

    Raises:
        UserError: If the table or, with `stop`, an image or row is missing; or two images have one name.
    """
    table = find_table(source, layout.tables)
    rows = _by_image(read_rows(table, (layout.key, *layout.required), layout.one_of), layout.key)
    images, twice = find_images(source)
    without_image = [row for name, row in rows.items() if name not in images]
    without_row = sorted(image for name, image in images.items() if name not in rows)
    if missing == "stop":
        _refuse(source, table, layout.key, without_image, without_row)
    entries = [
        SourceImage(images[name], row.where, layout.describe(row)) for name, row in rows.items() if name in images
    ]
    left_out = [LeftOut(row.cells[layout.key], "", "no image") for row in without_image]
    left_out += [LeftOut(image, "", f"no row in {table.name}") for image in without_row]
    return Download(layout.about, tuple(entries), saver(source), source, tuple(left_out), _notes(twice))


def _notes(twice: int) -> tuple[str, ...]:
    if not twice:
        return ()
    lie = "1 image lies" if twice == 1 else f"{twice} images lie"
    return (f"{lie} in the download twice, the same in every byte; one of each is taken",)


def find_table(source: Path, names: Collection[str]) -> Path:
    """Return the one file below `source` that has one of these names, in lower case.

    Raises:
        UserError: If `source` is no folder, or holds no such file or several.
    """
    wanted = " or ".join(names)
    if not source.exists():
        raise UserError(f"{source} does not exist", f"give the folder with {wanted} and the images")
    if not source.is_dir():
        raise UserError(f"{source} is a file", f"extract it, and give the folder with {wanted} and the images")
    found = sorted(file for file in source.rglob("*") if file.name.lower() in names and file.is_file())
    if not found:
        raise UserError(f"{source} holds no {wanted}", f"give the folder of the download{archives_hint(source)}")
    if len(found) > 1:
        raise UserError(f"{source} holds {found[0]} and {found[1]}", "give the folder of one, or take the other away")
    return found[0]


def find_images(source: Path) -> tuple[dict[str, str], int]:
    """Find every image below a folder.

    Returns:
        Its name without ending → its path relative to `source`, with `/`; and how many more are copies of those.

    Raises:
        UserError: If two different images have one name.
    """
    images: dict[str, str] = {}
    twice = 0
    for file in sorted(file for file in source.rglob("*") if is_image(file.relative_to(source)) and file.is_file()):
        first = images.setdefault(_stem(file.name), file.relative_to(source).as_posix())
        if source / first == file:
            continue
        if not filecmp.cmp(source / first, file, shallow=False):
            raise UserError(
                f"{source / first} and {file} have one name and differ", "keep the one of the set's own download"
            )
        twice += 1
    return images, twice


def archives_hint(source: Path) -> str:
    """Return what to add to an error where a folder holds archives that nobody extracted."""
    archives = sorted(file.name for file in source.rglob("*.zip"))
    return f"; extract {first_of(archives)} first" if archives else ""


def _by_image(rows: list[TableRow], key: str) -> dict[str, TableRow]:
    by_image: dict[str, TableRow] = {}
    for row in rows:
        if not row.known(key):
            raise UserError(f"{row.where}: no {key}", "name the image, or take the line out")
        first = by_image.setdefault(_stem(row.cells[key]), row)
        if first is not row:
            raise UserError(f"{row.where}: '{row.cells[key]}' has line {first.line} already", "leave one of them")
    return by_image


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in ENDINGS else path.name


def _refuse(source: Path, table: Path, key: str, without_image: list[TableRow], without_row: list[str]) -> None:
    way_out = "complete the download, or leave them out with --missing leave-out"
    if without_image:
        first = without_image[0]
        raise UserError(
            f"{first.where}: there is no image {first.cells[key]} below {source}; rows without an image: "
            f"{len(without_image)}",
            way_out + archives_hint(source),
        )
    if without_row:
        raise UserError(
            f"{source / without_row[0]} has no row in {table}; images without a row: {len(without_row)}", way_out
        )
