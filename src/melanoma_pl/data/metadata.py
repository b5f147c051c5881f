"""The table beside the images: which images show one lesion. It never reaches the network."""

import csv
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from melanoma_pl.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from melanoma_pl.data.image_set import LabelledImages

METADATA_FILE = "metadata.csv"


def find_table(metadata: str | Path | None, root: Path, option: str = "data.metadata") -> Path | None:
    """Return the table's path: `auto` is `<root>/metadata.csv` if it is there.

    Args:
        metadata: `auto`, a file, or None for none.
        root: The images' folder.
        option: What the user typed it as.

    Raises:
        UserError: If a table is named and missing.
    """
    if metadata is None:
        return None
    if metadata == "auto":
        return root / METADATA_FILE if (root / METADATA_FILE).is_file() else None
    table = Path(metadata)
    if not table.is_file():
        if option.startswith("-"):
            raise UserError(f"{option} {metadata} does not exist", "name a CSV file, or leave it out")
        way_out = f"allowed are auto ({root / METADATA_FILE} if there), null, or a file"
        raise UserError(f"{option}={metadata} does not exist", way_out)
    return table


def find_metadata(source: Path, metadata: str | Path | None) -> Path | None:
    """Return the metadata table of a set: of a folder the one in it, of a table that table itself.

    Raises:
        UserError: If a table is named and missing.
    """
    if metadata == "auto" and source.is_file():
        return source
    return find_table(metadata, source if source.is_dir() else source.parent, "--metadata")


def read_table(
    table: Path, image_column: str, option: str = "data.image_column", listed: Container[str] = ()
) -> dict[str, Mapping[str, str]]:
    """Read a metadata table.

    Args:
        table: A CSV file with a row an image.
        image_column: Column with the image's path.
        option: What the user typed the column as.
        listed: Paths of images as they were listed: cells that are one of them are taken as they are written.

    Returns:
        Each image's path relative to the root, with `/` → its row.

    Raises:
        UserError: If the column is missing or an image has two rows; the message names file and line.
    """
    try:
        return _read_rows(table, image_column, option, listed)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} is no CSV table in UTF-8 ({error})", "save it as CSV UTF-8") from error


def _read_rows(table: Path, image_column: str, option: str, listed: Container[str]) -> dict[str, Mapping[str, str]]:
    rows: dict[str, Mapping[str, str]] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        require_column(table, reader.fieldnames or [], image_column, option)
        for row in reader:
            if None in row.values() or None in row:
                raise UserError(
                    f"{table}, line {reader.line_num}: not as many cells as the header has", "mend the line"
                )
            path = image_path(row[image_column], listed)
            if path in rows:
                raise UserError(f"{table}, line {reader.line_num}: '{path}' has two rows", "leave one of them")
            rows[path] = row
    return rows


def image_path(cell: str, listed: Container[str] = ()) -> str:
    r"""Return a path as images are listed by, however the table spells it: Linux allows names such as `a\b.jpg`."""
    return cell if cell in listed else cell.replace("\\", "/").removeprefix("./")


def group_of(cell: str, path: str) -> str:
    """Return an image's lesion or patient; a blank cell tells nothing, and its image is a group of its own."""
    return cell.strip() or f"image:{path}"


def require_column(table: Path, columns: Sequence[str], column: str, key: str) -> None:
    """Refuse a column that the table lacks.

    Raises:
        UserError: Naming the table, the key and the columns there are.
    """
    if not columns:
        raise UserError(f"{table} is empty", "its first line should name the columns")
    if column not in columns:
        raise UserError(f"{table} has no column '{column}' ({key})", did_you_mean(column, columns))


def with_groups(
    images: "LabelledImages", table: Path, image_column: str, group_column: str, without_row: str = "stop"
) -> "LabelledImages":
    """Return the images with the lesion that each shows.

    A blank cell means that nothing is known of that image's lesion: it becomes a group of its own.

    Args:
        images: Images of one split.
        table: The metadata.
        image_column: Column with the image's path relative to the root.
        group_column: Column whose equal values mean one lesion.
        without_row: What an image without a row gets: `stop` (an error) or `own_group`.

    Raises:
        UserError: If a column or, with `stop`, an image's row is missing.
    """
    rows = read_table(table, image_column, listed=set(images.paths))
    if rows:
        require_column(table, list(next(iter(rows.values()))), group_column, "data.group_column")
    missing = [path for path in images.paths if path not in rows]
    if missing and without_row == "stop":
        raise UserError(
            f"{table} has no row for {len(missing)} of {len(images)} images ({', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''})",
            "add them, or count each as a lesion of its own with data.without_row=own_group",
        )
    cells = {path: rows[path][group_column] for path in images.paths if path in rows}
    return replace(images, groups=tuple(group_of(cells.get(path, ""), path) for path in images.paths))
