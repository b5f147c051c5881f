"""The metadata table beside the images, such as which images show one lesion. It never reaches the network."""

import csv
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from melanoma_pl.data.options import ENDINGS
from melanoma_pl.errors import UserError, did_you_mean, first_of
from melanoma_pl.files import TableReader

METADATA_FILE = "metadata.csv"
MOST_TEXTS = 10_000  # different cells that are kept to be shared; a column of paths has another one in each row
SEPARATORS = ",;\t|"  # a spreadsheet writes semicolons where a comma separates decimals


def find_metadata(source: Path, metadata: str | Path | None, option: str = "--metadata") -> Path | None:
    """Return the path of the metadata table, or None where there is none.

    Args:
        source: A folder of images, or a table of images.
        metadata: A file, None for no metadata, or `auto`: the folder's `metadata.csv` if it exists, or the table of
            images itself.
        option: The option or key that the user typed, for errors.

    Raises:
        UserError: If the named table does not exist.
    """
    if metadata is None:
        return None
    beside = source if source.is_file() else source / METADATA_FILE
    if metadata == "auto":
        return beside if beside.is_file() else None
    table = Path(metadata)
    if not table.is_file():
        raise UserError(f"{option}={metadata} does not exist", f"name a CSV file, or leave it out (auto: {beside})")
    return table


def read_table(
    table: Path, image_column: str, option: str = "data.image_column", listed: Collection[str] = ()
) -> dict[str, Mapping[str, str]]:
    """Read a table with a row per image; its cells are separated by commas, semicolons, tabs or bars.

    Args:
        table: A CSV file.
        image_column: Column with the image's path.
        option: The option or key that the user typed for the column, for errors.
        listed: Paths of images as they were listed. A cell that equals one of them stays as it is written, and a cell
            without ending means the one image of that name.

    Returns:
        Each image's path relative to the root, with `/` → its row.

    Raises:
        UserError: If the column is missing, an image has two rows or a row has too few cells. The message names file
            and line.
    """
    rows: dict[str, Mapping[str, str]] = {}
    texts: dict[str, str] = {}
    places: dict[str, int] = {}
    without_ending: Mapping[str, Sequence[str]] | None = None
    try:
        with open_table(table, image_column) as reader:
            require_column(table, reader.fieldnames or [], image_column, option)
            for row in reader:
                line = f"{table}, line {reader.line_num}"
                if None in row.values() or None in row:
                    raise UserError(f"{line}: not as many cells as the header has", "correct the line")
                path = image_path(row[image_column], listed)
                if listed and path not in listed and not has_ending(path):
                    without_ending = without_ending or _without_ending(listed)
                    meant = without_ending.get(path, (path,))
                    if len(meant) > 1:
                        raise UserError(
                            f"{line}: '{path}' may be {' or '.join(meant[:2])}", "write the path and ending"
                        )
                    path = meant[0]
                if not is_utf8("".join(row.values())) and path not in listed and not (table.parent / path).exists():
                    raise UserError(f"{line} is not in UTF-8", "save it as CSV UTF-8")
                if path in rows:
                    raise UserError(f"{line}: '{path}' has two rows", "delete one of them")
                places = places or {column: place for place, column in enumerate(row)}
                rows[path] = MetadataRow(places, _shared(row.values(), texts))
    except csv.Error as error:
        raise UserError(f"{table} is not a CSV table ({error})", "save it as CSV UTF-8") from error
    return rows


class MetadataRow(Mapping[str, str]):
    """A row of a table, column → cell, in a third of the memory of a dict.

    Args:
        places: Column → index of its cell; all rows of a table share it.
        cells: The cells.
    """

    __slots__ = ("_cells", "_places")

    def __init__(self, places: Mapping[str, int], cells: tuple[str, ...]) -> None:
        self._places, self._cells = places, cells

    def __getitem__(self, column: str) -> str:
        return self._cells[self._places[column]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _shared(cells: Iterable[str], texts: dict[str, str]) -> tuple[str, ...]:
    """Return cells with one object for equal ones, of those that came first: half the memory of a large table."""
    if len(texts) < MOST_TEXTS:
        return tuple([texts.setdefault(cell, cell) for cell in cells])
    return tuple([texts.get(cell, cell) for cell in cells])


@contextmanager
def open_table(table: Path, image_column: str) -> Iterator[TableReader]:
    """Open a table with or without a byte order mark.

    Of the separators, it takes the first one by which the header names the column, or else that with the most columns.
    Names of files that are not UTF-8 keep their bytes.

    Raises:
        UserError: If the header is not in UTF-8.
    """
    with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        header = file.readline()
        file.seek(0)
        if not is_utf8(header):
            raise UserError(f"{table} is not a CSV table in UTF-8", "save it as CSV UTF-8")
        columns = {separator: next(csv.reader([header], delimiter=separator), []) for separator in SEPARATORS}
        separator = max(SEPARATORS, key=lambda each: (image_column in columns[each], len(columns[each])))
        yield TableReader(file, delimiter=separator)


def is_utf8(text: str) -> bool:
    """Tell whether a text that was read with `surrogateescape` was UTF-8."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


def has_ending(path: str) -> bool:
    """Tell whether a path ends as an image's file does."""
    return PurePosixPath(path).suffix.lower() in ENDINGS


def _without_ending(listed: Collection[str]) -> dict[str, list[str]]:
    """Return the images by their names and by their paths, both without ending."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(listed):
        for name in {PurePosixPath(path).stem, str(PurePosixPath(path).with_suffix(""))}:
            found[name].append(path)
    return dict(found)


def image_path(cell: str, listed: Collection[str] = ()) -> str:
    r"""Return the path in a cell with `/` and without `./`, as images are listed.

    Linux allows names such as `a\b.jpg`, so a cell that equals one of the `listed` paths stays as it is.
    """
    return cell if cell in listed else cell.replace("\\", "/").removeprefix("./")


def require_column(table: Path, columns: Sequence[str], column: str, option: str) -> None:
    """Refuse a column that the table lacks.

    Raises:
        UserError: Naming the table, the option and the columns that exist.
    """
    if not columns:
        raise UserError(f"{table} is empty", "its first line should name the columns")
    if column not in columns:
        raise UserError(f"{table} has no column '{column}' ({option})", did_you_mean(column, columns))


def group_of(cell: str, path: str) -> str:
    """Return an image's lesion or patient; an image with a blank cell is a group of its own."""
    return cell.strip() or f"image:{path}"


def read_groups(
    paths: Sequence[str], table: Path, image_column: str, group_column: str, without_row: str = "stop"
) -> tuple[str, ...]:
    """Return the name of the lesion that each image shows.

    Args:
        paths: Paths of N images.
        table: The metadata.
        image_column: Column with the image's path relative to the root.
        group_column: Column whose equal values mean one lesion. A blank cell means that the lesion is unknown.
        without_row: What happens to an image without a row: `stop` raises an error, `own_group` makes it a lesion.

    Returns:
        N names.

    Raises:
        UserError: If a column or, with `stop`, an image's row is missing.
    """
    rows = read_table(table, image_column, listed=set(paths))
    if rows:
        require_column(table, list(next(iter(rows.values()))), group_column, "data.group_column")
    missing = [path for path in paths if path not in rows]
    if missing and without_row == "stop":
        raise UserError(
            f"{table} has no row for {len(missing)} of {len(paths)} images ({first_of(missing)})",
            "add them, or count each as a lesion of its own with data.without_row=own_group",
        )
    return tuple(group_of(rows[path][group_column] if path in rows else "", path) for path in paths)
