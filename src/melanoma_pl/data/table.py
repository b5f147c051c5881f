"""`data=table`: photos wherever a CSV table says that they are; none of them is moved."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from melanoma_pl.data.folder import Photos, class_numbers, number_of
from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES
from melanoma_pl.data.listing import SPLIT_NAMES
from melanoma_pl.data.metadata import photo_path, read_table, require_column
from melanoma_pl.errors import UserError, did_you_mean, first_of
from melanoma_pl.overrides import class_word

Rows = Mapping[str, Mapping[str, str]]


def list_table(
    table: Path,
    split: str,
    class_names: Sequence[str] = CLASS_NAMES,
    folder_names: Mapping[str, str] = FOLDER_NAMES,
    *,
    image_column: str = "image",
    label_column: str = "label",
    split_column: str = "split",
    every_class: bool = True,
) -> Photos:
    """List one split of a table of photos.

    Args:
        table: CSV file with a row a photo.
        split: `train` or `test`.
        class_names: In the order of their numbers, the positive class last.
        folder_names: Other labels → the class they stand for.
        image_column: Column with the photo's path, relative to the table's folder.
        label_column: Column with its class.
        split_column: Column with its split; rows of a validation split count as `train`, of which one is cut anew.
        every_class: Whether each class needs a photo: it does for training.

    Raises:
        UserError: If a column or a photo is missing, or a cell means nothing; the message names file and line.
    """
    rows = read_table(table, image_column)
    _require_columns(table, rows, label_column, split_column)
    for path, row in rows.items():
        if not row[split_column] or row[split_column].lower() not in SPLIT_NAMES:
            raise _no_split(table, image_column, path, row[split_column])
    # a validation split is no test split: what it was kept for, a cut of our own is made for
    wanted = {name for name, meant in SPLIT_NAMES.items() if (meant == "test") == (split == "test")}
    labels = {path: row[label_column] for path, row in rows.items() if row[split_column].lower() in wanted}
    numbers = class_numbers(class_names, folder_names)
    targets = {path: number_of(label, numbers) for path, label in labels.items()}
    for path, target in targets.items():
        if target is None:
            raise _no_class(table, image_column, path, labels[path], numbers)
    found = sorted((target, path) for path, target in targets.items() if target is not None)
    photos = Photos(table.parent, tuple(path for _, path in found), np.array([target for target, _ in found], np.int64))
    _require_photos(table, image_column, photos, split, class_names if every_class or not len(photos) else ())
    return photos


def _require_columns(table: Path, rows: Rows, label_column: str, split_column: str) -> None:
    if not rows:
        raise UserError(f"{table} has no rows", "give a table with a row a photo")
    columns = list(next(iter(rows.values())))
    require_column(table, columns, label_column, "data.label_column")
    if split_column not in columns:
        message = f"{table} has no column '{split_column}' (data.split_column; {did_you_mean(split_column, columns)})"
        raise UserError(message, _cut_one(table))


def _require_photos(table: Path, image_column: str, photos: Photos, split: str, class_names: Sequence[str]) -> None:
    for number, name in enumerate(class_names):
        if number not in photos.targets:
            raise UserError(f"{table} has no {split} photo of the class '{name}'", _cut_one(table))
    gone = [path for path, file in zip(photos.paths, photos.files, strict=True) if not file.is_file()]
    if gone:
        place = _where(table, image_column, gone[0])
        raise UserError(
            f"{place}: {len(gone)} of {len(photos)} {split} photos are not there ({first_of(gone)})",
            f"paths start from the table's folder, {table.parent.resolve()}",
        )


def _no_split(table: Path, image_column: str, path: str, cell: str) -> UserError:
    place = _where(table, image_column, path)
    if not cell:
        return UserError(f"{place}: '{path}' is in no split", _cut_one(table))
    return UserError(f"{place}: '{cell}' is no split", did_you_mean(cell, SPLIT_NAMES))


def _no_class(table: Path, image_column: str, path: str, label: str, numbers: Mapping[str, int]) -> UserError:
    word = class_word(label, "<class>")
    way_out = f"mend it, leave the row out, or name its class: {word}" if word else "mend it, or leave the row out"
    place = _where(table, image_column, path)
    return UserError(f"{place}: the label '{label}' is no class; {did_you_mean(label, numbers)}", way_out)


def _cut_one(table: Path) -> str:
    return f"cut a split: melanoma-data split {table} <target folder>"


def _where(table: Path, image_column: str, path: str) -> str:
    """Return file and line of a photo; found only once there is something to say of it."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        line = next(reader.line_num for row in reader if photo_path(row[image_column]) == path)
    return f"{table}, line {line}"
