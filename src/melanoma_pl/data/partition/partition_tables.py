"""A split that was made: the rows of its tables, and what the terminal says of it."""

import csv
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES, SPLIT_FILE
from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.messages import class_word, hydra_word

MELANOMA_OR_REST = ("rest", "melanoma")  # the positive class last, as training wants it


@dataclass(frozen=True)
class PartitionedImage:
    """One row of `split.csv`.

    Attributes:
        image: Path relative to the target, with `/`.
        source: Path relative to the source's folder, with `/`.
        label: Class name.
        split: `train` or `test`.
        fold: From 0; None in `test` and where no folds were cut.
        group: What was kept together: a lesion or patient of the metadata, near-duplicates, or the image alone.
        sha256: Of the file's bytes, in hexadecimal digits.
    """

    image: str
    source: str
    label: str
    split: str
    fold: int | None
    group: str
    sha256: str


@dataclass(frozen=True)
class Partition:
    """A split that was made.

    Attributes:
        target: Its folder.
        images: Sorted by their new paths.
        known_by: How the groups were known, in a few words.
        linked: How many images are hard links.
    """

    target: Path
    images: tuple[PartitionedImage, ...]
    known_by: str
    linked: int

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds; none where only train and test were cut."""
        return sorted({entry.fold for entry in self.images if entry.fold is not None})

    def text(self) -> str:
        """Return what was made and what comes next, for the terminal."""
        groups = Counter(entry.group for entry in self.images)
        several = sum(count > 1 for count in groups.values())
        lines = [
            self._table(),
            "",
            f"groups  {len(groups)}, {several} of them with several images; known by {self.known_by}",
            f"images  {self.linked} linked, {len(self.images) - self.linked} copied; "
            f"where each comes from: {self.target / SPLIT_FILE}",
            f"next: {self._next()}",
        ]
        return "\n".join(lines)

    def _table(self) -> str:
        labels = sorted({entry.label for entry in self.images})
        parts = [(name, [entry for entry in self.images if entry.split == name]) for name in ("train", "test")]
        parts += [(f"fold {fold}", [entry for entry in self.images if entry.fold == fold]) for fold in self.folds]
        rows = [("", *labels, "images", "groups")]
        for name, images in parts:
            counts = Counter(entry.label for entry in images)
            numbers = [*(counts[label] for label in labels), len(images), len({entry.group for entry in images})]
            rows.append((name, *map(str, numbers)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join([f"{name:<{widths[0]}}", *map(str.rjust, cells, widths[1:])]) for name, *cells in rows
        )

    def _next(self) -> str:
        words = ["melanoma-train", *(["-m"] if self.folds else []), "data=folder"]
        words.append(hydra_word("data.root", str(self.target)))
        words.append("data.group_column=group")
        if self.folds:
            words.append(f"data.fold={','.join(map(str, self.folds))}")
        return " ".join([*words, *_class_words(entry.label for entry in self.images)])


def _class_words(labels: Iterable[str]) -> list[str]:
    """Return what tells training the classes that it does not know by name."""
    names = set(labels)
    if {name.lower() for name in names} == set(MELANOMA_OR_REST):
        return [shlex.quote(f"data.class_names=[{','.join(MELANOMA_OR_REST)}]")]
    foreign = sorted(name for name in names if name.lower() not in {*CLASS_NAMES, *FOLDER_NAMES})
    words = {name: class_word(name, f"<{' or '.join(CLASS_NAMES)}>") for name in foreign}
    unspoken = [name for name, word in words.items() if word is None]
    note = [f"(first rename the folders {', '.join(unspoken)}: no override can name them)"] if unspoken else []
    return [word for word in words.values() if word is not None] + note


def write_tables(
    folder: Path, images: Sequence[PartitionedImage], rows: Mapping[str, Mapping[str, str]], image: str
) -> None:
    """Write `split.csv`, and `metadata.csv` with the source's rows under the new paths.

    Args:
        folder: To write into.
        images: Each a row.
        rows: The source's metadata by the images' source paths; empty where there is none.
        image: Column of the metadata with the path, which becomes `image`.
    """
    _write(folder / SPLIT_FILE, [asdict(entry) for entry in images])
    columns = [name for name in next(iter(rows.values()), {"label": ""}) if name not in (image, "image", "group")]
    made = []
    for entry in images:
        new = asdict(entry)
        # the source's own split and fold hold no longer; its label may say more than the class's name
        decided = ("split", "fold") if rows else ("label",)
        old = {name: rows.get(entry.source, {}).get(name, "") for name in columns}
        made.append(
            {"image": entry.image, "group": entry.group} | old | {name: new[name] for name in decided if name in old}
        )
    _write(folder / METADATA_FILE, made)


def _write(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
