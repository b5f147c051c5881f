"""`root/{train,test}/{benign,malignant}` → a list of images, by torchvision's ImageFolder but with classes by name.

`data=table`: images wherever a CSV table says that they are; none of them is moved.

Images of any labelled set, before it is in the layout that training wants: what audit, split and card start from.
"""

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import ImageFolder

from melanoma_pl.data.layout import CLASS_NAMES, ENDINGS, FOLDER_NAMES, check_layout, is_image
from melanoma_pl.data.metadata import image_path, read_table, require_column
from melanoma_pl.errors import UserError, did_you_mean, first_of
from melanoma_pl.messages import class_word


@dataclass(frozen=True)
class LabelledImages:
    """Images of one split: where they are, what they show, and which belong to one lesion.

    Attributes:
        root: The folder that `paths` are relative to.
        paths: N paths with `/`, sorted within a class.
        targets: int64 `(N,)`, 1 for the positive class, which is the last of `class_names`.
        groups: N names of lesions (images of one lesion share one), or None where unknown.
    """

    root: Path
    paths: tuple[str, ...]
    targets: NDArray[np.int64]
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[Path]:
        """The images' files."""
        return [self.root / path for path in self.paths]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "LabelledImages":
        """Return some of the images, in the order of `indices`."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            paths=tuple(self.paths[index] for index in chosen),
            targets=self.targets[chosen],
            groups=None if self.groups is None else tuple(self.groups[index] for index in chosen),
        )


def class_numbers(class_names: Sequence[str], folder_names: Mapping[str, str]) -> dict[str, int]:
    """Return every name that a class goes by, with the number of that class."""
    numbers = {name: number for number, name in enumerate(class_names)}
    return numbers | {name: numbers[meant] for name, meant in folder_names.items() if meant in numbers}


def number_of(name: str, numbers: Mapping[str, int]) -> int | None:
    """Return the number of the class that a name stands for, in upper or lower case; None if it stands for none."""
    return numbers.get(name.lower(), numbers.get(name))


class MoleFolder(ImageFolder):  # type: ignore[misc]
    """ImageFolder whose class numbers come from the class names, never from the alphabet.

    Args:
        directory: One split: a folder of class folders.
        class_names: In the order of their numbers, the positive class last.
        folder_names: Other names of class folders → the class they stand for.
        every_class: Whether each class needs an image; without, one is enough in all.

    Raises:
        UserError: If a class has no image or a folder stands for no class.
    """

    def __init__(
        self,
        directory: Path,
        class_names: Sequence[str] = CLASS_NAMES,
        folder_names: Mapping[str, str] = FOLDER_NAMES,
        *,
        every_class: bool = True,
    ) -> None:
        self._class_names = tuple(class_names)
        self._numbers = class_numbers(class_names, folder_names)
        super().__init__(
            str(directory), is_valid_file=lambda path: is_image(Path(path).relative_to(directory)), allow_empty=True
        )
        if every_class or not self.targets:
            self._refuse_missing_class(directory)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names, and each class folder's number."""
        numbers: dict[str, int] = {}
        for folder in sorted(Path(directory).iterdir()):
            if not folder.is_dir() or folder.name.startswith((".", "__")):
                continue
            number = number_of(folder.name, self._numbers)
            if number is None:
                message = f"{directory} holds the folder '{folder.name}', which is no class"
                word = class_word(folder.name, "<class>")
                raise UserError(
                    f"{message}; {did_you_mean(folder.name, self._numbers)}",
                    f"move it away, rename it, or name its class: {word}" if word else "move it away, or rename it",
                )
            numbers[folder.name] = number
        return list(self._class_names), numbers

    def _refuse_missing_class(self, directory: Path) -> None:
        for number, name in enumerate(self._class_names):
            if number not in self.targets:
                raise UserError(
                    f"{directory} has no image of the class '{name}'",
                    f"put images ({', '.join(ENDINGS)}) into {directory / name}",
                )


def list_images(
    root: Path,
    split: str,
    class_names: Sequence[str] = CLASS_NAMES,
    folder_names: Mapping[str, str] = FOLDER_NAMES,
    *,
    every_class: bool = True,
) -> LabelledImages:
    """List one split of an image folder.

    Args:
        root: Folder in the layout `root/{train,test}/{benign,malignant}`.
        split: `train` or `test`.
        class_names: In the order of their numbers, the positive class last.
        folder_names: Other names of class folders → the class they stand for.
        every_class: Whether each class needs an image: it does for training.

    Raises:
        UserError: If the folder is missing or laid out otherwise; the message says what to do.
    """
    check_layout(root, split, class_names, folder_names)
    folder = MoleFolder(root / split, class_names, folder_names, every_class=every_class)
    relative = [Path(path).relative_to(root).as_posix() for path, _ in folder.samples]
    order = sorted(range(len(relative)), key=lambda index: (folder.targets[index], relative[index]))
    targets = np.array([folder.targets[index] for index in order], dtype=np.int64)
    return LabelledImages(root, tuple(relative[index] for index in order), targets)


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
) -> LabelledImages:
    """List one split of a table of images.

    Args:
        table: CSV file with a row an image.
        split: `train` or `test`.
        class_names: In the order of their numbers, the positive class last.
        folder_names: Other labels → the class they stand for.
        image_column: Column with the image's path, relative to the table's folder.
        label_column: Column with its class.
        split_column: Column with its split; rows of a validation split count as `train`, of which one is cut anew.
        every_class: Whether each class needs an image: it does for training.

    Raises:
        UserError: If a column or an image is missing, or a cell means nothing; the message names file and line.
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
    images = LabelledImages(
        table.parent, tuple(path for _, path in found), np.array([target for target, _ in found], np.int64)
    )
    _require_images(table, image_column, images, split, class_names if every_class or not len(images) else ())
    return images


def _require_columns(table: Path, rows: Rows, label_column: str, split_column: str) -> None:
    if not rows:
        raise UserError(f"{table} has no rows", "give a table with a row an image")
    columns = list(next(iter(rows.values())))
    require_column(table, columns, label_column, "data.label_column")
    if split_column not in columns:
        message = f"{table} has no column '{split_column}' (data.split_column; {did_you_mean(split_column, columns)})"
        raise UserError(message, _cut_one(table))


def _require_images(
    table: Path, image_column: str, images: LabelledImages, split: str, class_names: Sequence[str]
) -> None:
    for number, name in enumerate(class_names):
        if number not in images.targets:
            raise UserError(f"{table} has no {split} image of the class '{name}'", _cut_one(table))
    gone = [path for path, file in zip(images.paths, images.files, strict=True) if not file.is_file()]
    if gone:
        place = _where(table, image_column, gone[0])
        raise UserError(
            f"{place}: {len(gone)} of {len(images)} {split} images are not there ({first_of(gone)})",
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
    """Return file and line of an image; found only once there is something to say of it."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        line = next(reader.line_num for row in reader if image_path(row[image_column]) == path)
    return f"{table}, line {line}"


SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"} | {
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
BOOKKEEPING = ("metadata.csv", "split.csv", "left_out.csv", "synthetic.json", "README.md", "SHA256SUMS", "LICENSE")
FORMS = "<root>/{train,test}/<class>/…, <root>/<class>/…, or a CSV table with the columns image and label"


@dataclass(frozen=True)
class ImageListing:
    """Labelled images in the order of their paths; none of them has been opened.

    Attributes:
        root: The folder that `paths` are relative to.
        paths: N paths with `/`, sorted.
        labels: N class names: `benign` and `malignant` where the names of all classes mean one of the two, else the
            classes' own names.
        splits: N of `train`, `validation`, `test`, or empty where the set has no splits.
        others: Files beside them whose names are not those of images, sorted; hidden files are left out.
    """

    root: Path
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    others: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[Path]:
        """The images' files."""
        return [self.root / path for path in self.paths]

    @property
    def fingerprint(self) -> str:
        """Of all paths with their splits and labels, 16 hexadecimal digits; no file is read."""
        lines = ("\0".join(line) for line in sorted(zip(self.paths, self.splits, self.labels, strict=True)))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def without(self, excluded: Iterable[str]) -> "ImageListing":
        """Return the listing without some paths."""
        gone = set(excluded)
        kept = [index for index, path in enumerate(self.paths) if path not in gone]
        return replace(
            self,
            paths=tuple(self.paths[index] for index in kept),
            labels=tuple(self.labels[index] for index in kept),
            splits=tuple(self.splits[index] for index in kept),
        )


def list_source(
    source: Path, image_column: str = "image", label_column: str = "label", split_column: str | None = "split"
) -> ImageListing:
    """List an image folder, in the layout or of class folders alone, or a table of images.

    Args:
        source: The folder, or a CSV file whose paths are relative to its own folder.
        image_column: Of a table: column with the path.
        label_column: Of a table: column with the class.
        split_column: Of a table: column with the split; there need be none, unless it is another than `split`. With
            None splits do not count.

    Raises:
        UserError: If nothing is there, or nothing that is labelled.
    """
    require_source(source)
    listing = _list_folder(source) if source.is_dir() else _list_table(source, image_column, label_column, split_column)
    if not listing.paths:
        raise UserError(f"{source} holds no labelled images", f"give {FORMS}")
    return listing


def require_source(source: Path) -> None:
    """Refuse a source that is not there, before anything heavy is imported.

    Raises:
        UserError: If nothing is there.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist", f"give {FORMS}")


def meaning(name: str) -> str:
    """Return the class that a folder's name or a label stands for, or the name itself."""
    lowered = name.lower()
    return lowered if lowered in CLASS_NAMES else FOLDER_NAMES.get(lowered, name)


def meanings(names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that all labels of a set stand for, or all of them as written where one is no known name.

    Of melanoma and rest the first must not become malignant: the rest holds carcinomas.
    """
    meant = {name: meaning(name) for name in set(names)}
    if not set(meant.values()) <= set(CLASS_NAMES):
        spellings = {name.lower(): name for name in sorted(meant, reverse=True)}  # Nevus and nevus are one class
        meant = {name: spellings[name.lower()] for name in meant}
    return tuple(map(meant.__getitem__, names))


def _list_folder(root: Path) -> ImageListing:
    rows: list[tuple[str, str, str]] = []
    others: list[str] = []
    for file in sorted(_walk(root)):
        relative = file.relative_to(root)
        *folders, name = relative.parts
        split = SPLIT_NAMES.get(folders[0].lower(), "") if folders else ""
        classes = folders[1:] if split else folders
        if is_image(relative) and classes:
            rows.append((relative.as_posix(), classes[0], split))
        elif not any(part.startswith(".") for part in relative.parts) and not (not folders and name in BOOKKEEPING):
            others.append(relative.as_posix())
    return _from_rows(root, rows, others)


def _walk(root: Path) -> Iterator[Path]:
    """Return all files of a folder, those behind links to folders too, as training does.

    Raises:
        UserError: If a folder cannot be read: its images would be missing without a word.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read", error.strerror or "")

    entered: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        entered.add(os.path.realpath(folder))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(Path(folder, name)) not in entered  # links can go round
        ]
        yield from (Path(folder, name) for name in names)


def _list_table(table: Path, image_column: str, label_column: str, split_column: str | None) -> ImageListing:
    from melanoma_pl.data.metadata import read_table

    rows = read_table(table, image_column, "--image-column")
    if rows and label_column not in (columns := list(next(iter(rows.values())))):
        raise UserError(f"{table} has no column '{label_column}' (--label-column)", did_you_mean(label_column, columns))
    if rows and split_column not in (None, "split", *columns):
        raise UserError(
            f"{table} has no column '{split_column}' (--split-column)", did_you_mean(str(split_column), columns)
        )
    images = [(path, row[label_column], row.get(split_column or "", "").strip().lower()) for path, row in rows.items()]
    for path, _, split in images:
        if split and split not in SPLIT_NAMES:
            raise UserError(f"{table} gives {path} the split '{split}'", did_you_mean(split, SPLIT_NAMES))
    return _from_rows(table.parent, [(path, label, SPLIT_NAMES.get(split, "")) for path, label, split in images], [])


def _from_rows(root: Path, rows: list[tuple[str, str, str]], others: list[str]) -> ImageListing:
    paths, labels, splits = zip(*sorted(rows), strict=True) if rows else ((), (), ())
    return ImageListing(root, paths, meanings(labels), splits, tuple(others))
