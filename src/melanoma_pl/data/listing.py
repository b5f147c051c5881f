"""Photos of any labelled set, before it is in the layout that training wants: what audit, split and card start from."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES, is_photo
from melanoma_pl.errors import UserError, did_you_mean

SPLIT_NAMES = {"train": "train", "training": "train", "test": "test", "testing": "test"} | {
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
BOOKKEEPING = ("metadata.csv", "split.csv", "left_out.csv", "synthetic.json", "README.md", "SHA256SUMS", "LICENSE")
FORMS = "<root>/{train,test}/<class>/…, <root>/<class>/…, or a CSV table with the columns image and label"


@dataclass(frozen=True)
class Listing:
    """Labelled photos in the order of their paths; none of them has been opened.

    Attributes:
        root: The folder that `paths` are relative to.
        paths: N paths with `/`, sorted.
        labels: N class names: `benign` and `malignant` where the names of all classes mean one of the two, else the
            classes' own names.
        splits: N of `train`, `validation`, `test`, or empty where the set has no splits.
        others: Files beside them whose names are not those of photos, sorted; hidden files are left out.
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
        """The photos' files."""
        return [self.root / path for path in self.paths]

    @property
    def fingerprint(self) -> str:
        """Of all paths with their splits and labels, 16 hexadecimal digits; no file is read."""
        lines = ("\0".join(line) for line in sorted(zip(self.paths, self.splits, self.labels, strict=True)))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def without(self, excluded: Iterable[str]) -> "Listing":
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
) -> Listing:
    """List a photo folder, in the layout or of class folders alone, or a table of photos.

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
        raise UserError(f"{source} holds no labelled photos", f"give {FORMS}")
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


def _list_folder(root: Path) -> Listing:
    rows: list[tuple[str, str, str]] = []
    others: list[str] = []
    for file in sorted(_walk(root)):
        relative = file.relative_to(root)
        *folders, name = relative.parts
        split = SPLIT_NAMES.get(folders[0].lower(), "") if folders else ""
        classes = folders[1:] if split else folders
        if is_photo(relative) and classes:
            rows.append((relative.as_posix(), classes[0], split))
        elif not any(part.startswith(".") for part in relative.parts) and not (not folders and name in BOOKKEEPING):
            others.append(relative.as_posix())
    return _from_rows(root, rows, others)


def _walk(root: Path) -> Iterator[Path]:
    """Return all files of a folder, those behind links to folders too, as training does.

    Raises:
        UserError: If a folder cannot be read: its photos would be missing without a word.
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


def _list_table(table: Path, image_column: str, label_column: str, split_column: str | None) -> Listing:
    from melanoma_pl.data.metadata import read_table

    rows = read_table(table, image_column, "--image-column")
    if rows and label_column not in (columns := list(next(iter(rows.values())))):
        raise UserError(f"{table} has no column '{label_column}' (--label-column)", did_you_mean(label_column, columns))
    if rows and split_column not in (None, "split", *columns):
        raise UserError(
            f"{table} has no column '{split_column}' (--split-column)", did_you_mean(str(split_column), columns)
        )
    photos = [(path, row[label_column], row.get(split_column or "", "").strip().lower()) for path, row in rows.items()]
    for path, _, split in photos:
        if split and split not in SPLIT_NAMES:
            raise UserError(f"{table} gives {path} the split '{split}'", did_you_mean(split, SPLIT_NAMES))
    return _from_rows(table.parent, [(path, label, SPLIT_NAMES.get(split, "")) for path, label, split in photos], [])


def _from_rows(root: Path, rows: list[tuple[str, str, str]], others: list[str]) -> Listing:
    paths, labels, splits = zip(*sorted(rows), strict=True) if rows else ((), (), ())
    return Listing(root, paths, meanings(labels), splits, tuple(others))
