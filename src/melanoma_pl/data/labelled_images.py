"""Labelled images of a folder or a CSV table, listed without opening any of them.

Training, evaluation, the audit, `melanoma-data split`, the data card and prediction all find images through this
module. So they agree on file endings, hidden files, the order of the images and the names of the classes.
"""

import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.data.metadata import has_ending, image_path, open_table, read_table, require_column
from melanoma_pl.data.options import (
    ENDINGS,
    HEIC,
    SPLIT_NAMES,
    DataOptions,
    check_layout,
    is_image,
    is_readable,
    split_folders,
    split_of,
)
from melanoma_pl.errors import UserError, did_you_mean, first_of
from melanoma_pl.image_files import GET_HEIC
from melanoma_pl.messages import amount, class_word, listed

BOOKKEEPING = ("metadata.csv", "split.csv", "left_out.csv", "synthetic.json", "README.md", "SHA256SUMS", "LICENSE")
DEFAULT_OPTIONS = DataOptions()
BY_SYSTEMS = ("Thumbs.db", "desktop.ini")  # hidden where they come from
FORMS = "<root>/{train,test}/<class>/…, <root>/<class>/…, or a CSV table with the columns image and label"


@dataclass(frozen=True)
class LabelledImages:
    """Labelled images of a dataset or of one of its splits.

    Attributes:
        root: The folder that `paths` are relative to.
        paths: N paths with `/`.
        labels: N class names.
        splits: N of `train`, `validation` and `test`, or empty where an image is in no split.
        others: Sorted paths of the other files in the folder, without hidden files.
        groups: N names of lesions or patients, or None where they are unknown. Images of one lesion share a name.
        class_names: The two classes, the positive one last.
    """

    root: Path
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    others: tuple[str, ...] = ()
    groups: tuple[str, ...] | None = None
    class_names: tuple[str, ...] = DEFAULT_OPTIONS.class_names

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[Path]:
        """The images' files."""
        return [self.root / path for path in self.paths]

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """Each image's index in `class_names`, int64 `(N,)`: 1 for the positive class, -1 for a foreign label."""
        indices = {name: index for index, name in enumerate(self.class_names)}
        return np.array([indices.get(label, -1) for label in self.labels], dtype=np.int64)

    @property
    def fingerprint(self) -> str:
        """Hash of all paths, splits and labels, 16 hexadecimal digits; it does not depend on the files' content."""
        lines = ("\0".join(line) for line in sorted(zip(self.paths, self.splits, self.labels, strict=True)))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "LabelledImages":
        """Return some of the images, in the order of `indices`."""
        chosen = np.asarray(indices, dtype=np.int64).tolist()
        taken: dict[str, Any] = {}
        for name in ("paths", "labels", "splits", "groups"):
            values = getattr(self, name)
            taken[name] = None if values is None else tuple(values[index] for index in chosen)
        return replace(self, **taken)

    def without(self, excluded: Iterable[str]) -> "LabelledImages":
        """Return the images without those of some paths."""
        left_out = set(excluded)
        return self.take([index for index, path in enumerate(self.paths) if path not in left_out])


class Row(NamedTuple):
    """One image as a folder or a table names it; a validation split counts as `validation`."""

    path: str
    label: str
    split: str


def list_images(
    source: Path, image_column: str = "image", label_column: str = "label", split_column: str | None = "split"
) -> LabelledImages:
    """List all labelled images of a folder or a table, sorted by path.

    Args:
        source: A folder with or without splits, or a CSV file whose paths are relative to its own folder.
        image_column: Column of a table with the image's path.
        label_column: Column of a table with the class.
        split_column: Column of a table with the split. A table without a column `split` is accepted, one without
            another column named here is not. None ignores the splits of a table.

    Raises:
        UserError: If the source does not exist or holds no labelled images.
    """
    require_source(source)
    if source.is_dir():
        root, (rows, others) = source, _read_folder(source)
    else:
        root, rows, others = source.parent, _read_table(source, image_column, label_column, split_column), []
    if not rows:
        raise UserError(f"{source} holds no labelled images", f"give {FORMS}")
    images = _from_rows(root, sorted(rows), others=tuple(others))
    return replace(images, labels=standard_labels(images.labels))


def list_split(
    source: Path,
    split: str,
    options: DataOptions = DEFAULT_OPTIONS,
    *,
    with_validation: bool = False,
    every_class: bool = True,
    whole: bool = False,
) -> LabelledImages:
    """List one split as training uses it, sorted by class, then by path.

    Args:
        source: A folder in the layout `{train,val,test}/{benign,malignant}`, or a CSV file with a row per image.
        split: `train`, `validation` or `test`.
        options: Names of the classes, and of the columns of a table.
        with_validation: Whether to add the images of the validation split, if the dataset has one.
        every_class: Whether each class needs an image; if not, one image of either class suffices.
        whole: Whether all images of a folder count as images of the split, with or without folders for splits.

    Raises:
        UserError: If the folder or table is not laid out so, a class or an image file is missing, or a label is not a
            class. For a table the message names the line.
    """
    is_table = source.is_file()
    others: list[str] = []
    wanted = (split, "validation") if with_validation else (split,)
    if is_table:
        columns = options.image_column, options.label_column, options.split_column
        rows = [row for row in _read_table(source, *columns, for_training=True) if row.split in wanted]
    elif whole:
        rows, others = _read_folder(source)
        rows = [row._replace(split=split) for row in rows]
    else:
        check_layout(source, split, options)
        rows, others = _read_folder(source, *wanted)
    # a class folder may hold nothing but images in a format that is not read
    unread = [Row(path, label, split) for path in others if "/__" not in path and (label := _label_of(path))]
    labels = {row.label: options.class_of(row.label) for row in [*rows, *unread]}
    for row in [*rows, *unread]:
        if labels[row.label] is None:
            raise _not_a_class(source, row, options)
    named = [row._replace(label=labels[row.label] or "") for row in rows]
    named.sort(key=lambda row: (options.class_names.index(row.label), row.path))
    root = source.parent if is_table else source
    images = _from_rows(root, named, class_names=options.class_names, others=tuple(others))
    for name in wanted:
        own = {row.label for row in named if row.split == name}
        if (every_class or not named) and (own or name == split):
            for label in options.class_names:
                if label not in own:
                    raise _without_class(source, name, label, options, others, whole)
    missing = [row for row in named if is_table and not (root / row.path).is_file()]
    if missing:
        raise UserError(
            f"{_line_of(source, options.image_column, missing[0].path)}: {len(missing)} of {len(images)} {split} "
            f"images do not exist ({first_of([row.path for row in missing])})",
            f"paths start from the table's folder, {source.parent.resolve()}",
        )
    return images


def not_read(others: Sequence[str]) -> str:
    """Return how many files of a folder are not read, by ending, with the first of them; empty if there are none."""
    left = [path for path in others if PurePosixPath(path).name not in BY_SYSTEMS]
    if not left:
        return ""
    endings = Counter(PurePosixPath(path).suffix.lower() or "no ending" for path in left)
    is_heic = any(ending in endings for ending in HEIC) and not is_readable(HEIC[0])
    text = f"{amount(len(left), 'file is', 'files are')} not read as images: {listed(endings)} ({first_of(left)})"
    return f"{text}; {GET_HEIC}" if is_heic else text


def _from_rows(root: Path, rows: Sequence[Row], **others: Any) -> LabelledImages:
    paths, labels, splits = zip(*rows, strict=True) if rows else ((), (), ())
    return LabelledImages(root, paths, labels, splits, **others)


def _without_class(
    source: Path, split: str, label: str, options: DataOptions, others: Sequence[str], whole: bool
) -> UserError:
    if source.is_file():
        return UserError(f"{source} has no {split} image of the class '{label}'", _cut_a_split(source, options))
    folder = source if whole else split_folders(source, split)[0]
    endings = ", ".join(filter(is_readable, ENDINGS))
    note = not_read(others)
    problem = f"{folder} has no image of the class '{label}'{note and f'; {note}'}"
    return UserError(problem, f"put images ({endings}) into {folder / label}")


def _not_a_class(source: Path, row: Row, options: DataOptions) -> UserError:
    if source.is_file():
        problem = f"{_line_of(source, options.image_column, row.path)}: the label '{row.label}' is not a class"
        ways_out = ["correct it", "delete the row"]
    else:
        first = row.path.partition("/")[0]
        problem = (
            f"{source / first if split_of(first) else source} holds the folder '{row.label}', which is not a class"
        )
        ways_out = ["move it away", "rename it"]
    if word := class_word(row.label, "<class>"):
        ways_out.append(f"name its class: {word}")
    advice = f"{', '.join(ways_out[:-1])}, or {ways_out[-1]}"
    return UserError(f"{problem}; {did_you_mean(row.label, options.known_names)}", advice)


def find_images(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the image files at any depth of a folder, labelled or not, and the paths of its other files, sorted."""
    paths = sorted(_files(folder))
    images = [path for path in paths if is_image(Path(path))]
    return [folder / path for path in images], sorted(set(paths) - set(images) - set(BOOKKEEPING))


def require_source(source: Path) -> None:
    """Refuse a source that does not exist.

    Raises:
        UserError: If it does not exist.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist", f"give {FORMS}")


def standard_label(name: str) -> str:
    """Return `benign` or `malignant` where a label stands for one of them by default, else the label itself."""
    return DEFAULT_OPTIONS.class_of(name) or name


def standard_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels as `benign` and `malignant` if all of them stand for one of the two, else as they are.

    In a dataset of melanoma and rest, melanoma must not become malignant: the rest contains carcinomas. Labels that
    differ only in case become one.
    """
    standard = {label: standard_label(label) for label in set(labels)}
    if not set(standard.values()) <= set(DEFAULT_OPTIONS.class_names):
        spellings = {label.lower(): label for label in sorted(standard, reverse=True)}
        standard = {label: spellings[label.lower()] for label in standard}
    return tuple(map(standard.__getitem__, labels))


# Folders


def _read_folder(root: Path, *splits: str) -> tuple[list[Row], list[str]]:
    """Return the images of a folder, or of some of its splits, and the paths of the other files, sorted."""
    own = [folder for split in splits for folder in split_folders(root, split)]
    starts = [(folder, f"{folder.name}/") for folder in own] if splits else [(root, "")]
    rows, others = [], []
    for path in sorted(file for folder, prefix in starts for file in _files(folder, prefix)):
        *folders, name = path.split("/")
        label = _label_of(path)
        if label and not label.startswith("__") and is_image(Path(name)):
            rows.append(Row(path, label, split_of(folders[0])))
        elif folders or name not in BOOKKEEPING:
            others.append(path)
    return rows, sorted(others, key=lambda path: path.split("/"))


def _label_of(path: str) -> str:
    """Return the name of the class folder of a file, which may lie in the folder of a split; empty if it has none."""
    folders = path.split("/")[:-1]
    return next(iter(folders[1:] if folders and split_of(folders[0]) else folders), "")


def _files(folder: Path, prefix: str = "", above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Return the paths of all visible files below a folder, with `prefix` before them.

    Links to folders are followed, except where one leads back to a folder that it lies in.

    Raises:
        UserError: If a folder cannot be read, because its images would be missing silently.
    """
    here = os.path.realpath(folder)
    if here in above:
        return
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{folder} cannot be read", error.strerror or "") from error
    for entry in visible:
        if entry.is_dir():
            yield from _files(Path(entry.path), f"{prefix}{entry.name}/", above | {here})
        else:
            yield f"{prefix}{entry.name}"


# Tables


def _read_table(
    table: Path, image_column: str, label_column: str, split_column: str | None, *, for_training: bool = False
) -> list[Row]:
    """Return the images of a table, in its order.

    Training needs a split for every row. Its errors name keys of the configuration, the others name options of
    `melanoma-data`.
    """
    option = "data.{}_column" if for_training else "--{}-column"
    rows = read_table(table, image_column, option.format("image"))
    if not all(map(has_ending, rows)):  # ISIC's tables name images without the ending of their files
        files = {file.relative_to(table.parent).as_posix() for file in find_images(table.parent)[0]}
        files |= {path for path in rows if (table.parent / path).is_file()}
        rows = read_table(table, image_column, option.format("image"), files)
    if not rows:
        if for_training:
            raise UserError(f"{table} has no rows", "give a table with a row per image")
        return []
    columns = list(next(iter(rows.values())))
    require_column(table, columns, label_column, option.format("label"))
    cut_a_split = _cut_a_split(table, DataOptions(image_column=image_column, label_column=label_column))
    if split_column not in columns and for_training:
        message = f"{table} has no column '{split_column}' (data.split_column)"
        raise UserError(f"{message}; {did_you_mean(str(split_column), columns)}", cut_a_split)
    if split_column not in (None, "split", *columns):
        require_column(table, columns, str(split_column), option.format("split"))
    found = []
    for path, row in rows.items():
        cell = "" if split_column is None else row.get(split_column, "").strip()
        if not cell and for_training:
            raise UserError(f"{_line_of(table, image_column, path)}: '{path}' is not in a split", cut_a_split)
        if cell and not split_of(cell):
            message = f"{_line_of(table, image_column, path)}: '{cell}' is not a split"
            raise UserError(message, did_you_mean(cell, SPLIT_NAMES))
        found.append(Row(path, row[label_column], split_of(cell)))
    return found


def _cut_a_split(table: Path, options: DataOptions) -> str:
    """Return the command that cuts the images of a table into splits."""
    words = ["melanoma-data", "split", str(table)]
    for name in ("image_column", "label_column"):
        if (column := getattr(options, name)) != getattr(DEFAULT_OPTIONS, name):
            words += [f"--{name.replace('_', '-')}", column]
    return f"cut a split: {shlex.join(words)} <target folder>"


def _line_of(table: Path, image_column: str, path: str) -> str:
    """Return the file and line of an image, for an error: reading the table again then costs nothing that matters."""
    with open_table(table, image_column) as reader:
        for row in reader:
            cell = image_path(row[image_column])
            if cell == path or PurePosixPath(path).stem == cell or str(PurePosixPath(path).with_suffix("")) == cell:
                break
        return f"{table}, line {reader.line_num}"
