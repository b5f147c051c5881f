"""Contents of a dataset's own download: its images with what is said of each, and the rows of its table."""

import csv
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.data.columns import age_in_years
from melanoma_pl.errors import UserError, did_you_mean, first_of
from melanoma_pl.image_files import LARGEST_FILE
from melanoma_pl.messages import size_in_bytes

NOTHING = {"", "unknown", "unk", "nan", "none", "null", "na", "n/a"}
SEXES = {"m": "male", "f": "female", "male": "male", "female": "female"}
LARGEST_UNPACKED = 100_000_000_000  # bytes: more than any of these datasets
UNSUSPICIOUS = 100_000_000  # bytes that may be packed to any size
MOST_PACKED = 100  # times: images are compressed already and hardly shrink
ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5", "vi": "6"}


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Facts about one image from the dataset's own table; empty where it says nothing.

    Attributes:
        written: Its diagnosis as written, the finest name first, then ever coarser ones.
        confirmed_by: How the diagnosis was confirmed.
        unfit: Why nothing should be learnt from it, whatever its diagnosis.
        lesion: Identifier of the lesion.
        patient: Identifier of the patient.
        age: Age in years.
        sex: `male` or `female`.
        site: Part of the body.
        skin_type: Fitzpatrick's skin type, `1` to `6`.
        source: Where the image comes from.
        licence: Terms of its use.
    """

    written: tuple[str, ...] = ()
    confirmed_by: str = ""
    unfit: str = ""
    lesion: str = ""
    patient: str = ""
    age: str = ""
    sex: str = ""
    site: str = ""
    skin_type: str = ""
    source: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image of a download.

    Attributes:
        original: Its path in the download, with `/`.
        where: File and line that describe it, as an error names them.
        facts: What is said of it.
        label: Its class, where the dataset has classes instead of diagnoses.
        split: `train` or `test`, where the dataset has its own splits.
        name: The new name of its file; empty keeps the name.
        folder: A folder below that of its class, for datasets too large for one folder; empty for none.
    """

    original: str
    where: str
    facts: ImageFacts
    label: str = ""
    split: str = ""
    name: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An image that is left out: its path in the download, its diagnosis as written, and the reason."""

    original: str
    diagnosis: str
    reason: str


Writer = Callable[[SourceImage, Path], None]  # writes the file of an image that the download has in an archive


@dataclass(frozen=True)
class Download:
    """A download that has been read; none of its images has been opened.

    Attributes:
        citation: The work to cite.
        warnings: Known faults of the dataset.
        entries: Its images.
        images: Folder that `original` is relative to, or for an archive the function that writes one of them.
        left_out: Rows without an image, and images without a row.
        notes: Further remarks for the user.
        identity: Size, time and hash of its files, by which a preparation that was killed goes on; empty for a dataset
            small enough to begin anew.
    """

    citation: str
    warnings: tuple[str, ...]
    entries: tuple[SourceImage, ...]
    images: Path | Writer
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    identity: str = ""


def archives_hint(source: Path) -> str:
    """Return the advice to extract the archives in a folder, to append to an error; empty where there are none."""
    archives = sorted(file.name for file in source.rglob("*.zip"))
    return f"; extract {first_of(archives)} first" if archives else ""


def check_unpacked_size(archive: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a zip or npz file that would fill the disk or the memory, before anything of it is unpacked.

    Raises:
        UserError: If a member or all of them are too large, or far larger than the file.
    """
    way_out = "download the dataset from its own page"
    for member in members:
        if member.file_size > LARGEST_FILE:
            raise UserError(
                f"{archive}: its member '{member.filename}' has {size_in_bytes(member.file_size)}, more than "
                f"{size_in_bytes(LARGEST_FILE)}",
                way_out,
            )
    packed, unpacked = archive.stat().st_size, sum(member.file_size for member in members)
    if unpacked > LARGEST_UNPACKED or (unpacked > UNSUSPICIOUS and unpacked > MOST_PACKED * packed):
        raise UserError(
            f"{archive} has {size_in_bytes(packed)} and would unpack to {size_in_bytes(unpacked)}, more than images do",
            way_out,
        )


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        table: The file.
        line: Its line in the file.
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
    """Read a whole table, as `read_each_row` does."""
    return list(read_each_row(table, required, one_of))


def read_each_row(table: Path, required: Sequence[str], one_of: Sequence[str] = ()) -> Iterator[TableRow]:
    """Yield the rows of a table whose cells are separated by the first of tab, semicolon and comma in its header.

    Semicolons, as Excel writes them in much of Europe, count only if the header contains no comma.

    Args:
        table: The file.
        required: Columns that it must have.
        one_of: Columns of which it must have at least one.

    Raises:
        UserError: If it is empty, a column is missing, a row has another number of cells than the header, or there is
            no row.
    """
    try:
        yield from _read(table, required, one_of)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{table} is not a table in UTF-8 ({error})", "download it again, or save it as CSV UTF-8"
        ) from error


def _read(table: Path, required: Sequence[str], one_of: Sequence[str]) -> Iterator[TableRow]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        header = next(filter(str.strip, file), "")
        file.seek(0)
        delimiter = "\t" if "\t" in header else ";" if ";" in header and "," not in header else ","
        lines = csv.reader(file, delimiter=delimiter)
        columns = next(([cell.strip().lower() for cell in cells] for cells in lines if any(map(str.strip, cells))), [])
        if not columns:
            raise UserError(f"{table} is empty", "download it again")
        for column in required:
            if column not in columns:
                raise UserError(f"{table} has no column '{column}'", did_you_mean(column, columns))
        if one_of and not set(one_of).intersection(columns):
            raise UserError(
                f"{table} has none of the columns {', '.join(one_of)}", f"available are {', '.join(columns)}"
            )
        row = None
        for cells in filter(None, lines):  # an empty line has no cells
            row = TableRow(table, lines.line_num, dict(zip(columns, map(str.strip, cells), strict=False)))
            if len(cells) != len(columns):
                raise UserError(
                    f"{row.where}: {len(cells)} cells, but the header has {len(columns)}", "correct the line"
                )
            yield row
        if row is None:
            raise UserError(f"{table} has no rows", "download it again")


def years(cell: str) -> str:
    """Return an age in years, `80` for `80.0` or `80,0` and `85` for `85+`; empty if it is not from 0 to 120."""
    age = age_in_years(cell.replace(",", ".")) if re.fullmatch(r"[0-9]+([.,][0-9]+)?\+?", cell) else None
    return "" if age is None else f"{age:g}"


def sex(cell: str) -> str:
    """Return `male`, `female` or an empty text."""
    return SEXES.get(cell.lower(), "")


def skin_type(cell: str) -> str:
    """Return Fitzpatrick's skin type, written as `III`, `3`, `3.0` or `3,0`, as `1` to `6`; empty if it is not one."""
    written = cell.lower().replace(",", ".").removesuffix(".0")
    return ROMAN.get(written, written if written in ROMAN.values() else "")
