"""The metadata table beside the images, such as which images show one lesion. It never reaches the network."""

import csv
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from melanoma_pl.errors import UserError, did_you_mean, first_of

METADATA_FILE = "metadata.csv"


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
    table: Path, image_column: str, option: str = "data.image_column", listed: Container[str] = ()
) -> dict[str, Mapping[str, str]]:
    """Read a table with a row per image.

    Args:
        table: A CSV file.
        image_column: Column with the image's path.
        option: The option or key that the user typed for the column, for errors.
        listed: Paths of images as they were listed. A cell that equals one of them stays as it is written.

    Returns:
        Each image's path relative to the root, with `/` → its row.

    Raises:
        UserError: If the column is missing, an image has two rows or a row has too few cells. The message names file
            and line.
    """
    rows: dict[str, Mapping[str, str]] = {}
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            require_column(table, reader.fieldnames or [], image_column, option)
            for row in reader:
                line = f"{table}, line {reader.line_num}"
                if None in row.values() or None in row:
                    raise UserError(f"{line}: not as many cells as the header has", "correct the line")
                path = image_path(row[image_column], listed)
                if path in rows:
                    raise UserError(f"{line}: '{path}' has two rows", "delete one of them")
                rows[path] = row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} is not a CSV table in UTF-8 ({error})", "save it as CSV UTF-8") from error
    return rows


def image_path(cell: str, listed: Container[str] = ()) -> str:
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
