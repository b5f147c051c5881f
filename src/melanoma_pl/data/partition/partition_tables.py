"""The tables of a new split, and its summary for the terminal."""

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.data.options import CLASS_NAMES, FOLDER_NAMES, SPLIT_FILE
from melanoma_pl.data.partition.target_folder import write_csv
from melanoma_pl.messages import class_word, format_table, hydra_word, readable

MELANOMA_OR_REST = ("rest", "melanoma")  # the positive class last, as training wants it


@dataclass(frozen=True)
class PartitionedImage:
    """One row of `split.csv`.

    Attributes:
        image: Path relative to the target, with `/`.
        source: Path relative to the source's folder, with `/`.
        label: Class name.
        split: `train` or `test`.
        fold: Fold, from 0; None in `test` and where no folds were cut.
        group: Name of what was kept together: a lesion or patient, near-duplicates, or the image alone.
        sha256: Hash of the file's bytes, in hexadecimal digits.
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
    """A new split.

    Attributes:
        target: Its folder.
        images: Its images, sorted by their new paths.
        known_by: Source of the groups, in a few words.
        linked: Number of images that are hard links.
        left_out: Files of the source that are not read, in words; empty if there are none.
    """

    target: Path
    images: tuple[PartitionedImage, ...]
    known_by: str
    linked: int
    left_out: str = ""

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds; empty where only train and test were cut."""
        return sorted({image.fold for image in self.images if image.fold is not None})

    def text(self) -> str:
        """Return the summary for the terminal, with the command that trains on the split."""
        groups = Counter(image.group for image in self.images)
        several = sum(count > 1 for count in groups.values())
        lines = [
            *self._table(),
            "",
            f"groups  {len(groups)}, {several} of them with several images; known by {self.known_by}",
            f"images  {self.linked} linked, {len(self.images) - self.linked} copied; "
            f"sources in {self.target / SPLIT_FILE}",
            *([f"left out  {self.left_out}"] if self.left_out else []),
            f"next: {self._next()}",
        ]
        return "\n".join(lines)

    def _table(self) -> list[str]:
        labels = sorted({image.label for image in self.images})
        parts = {name: [image for image in self.images if image.split == name] for name in ("train", "test")}
        parts |= {f"fold {fold}": [image for image in self.images if image.fold == fold] for fold in self.folds}
        rows = [["", *map(readable, labels), "images", "groups"]]
        for name, images in parts.items():
            counts = Counter(image.label for image in images)
            numbers = [*(counts[label] for label in labels), len(images), len({image.group for image in images})]
            rows.append([name, *map(str, numbers)])
        return format_table(rows)

    def _next(self) -> str:
        words = ["melanoma-train", *(["-m"] if self.folds else []), "data=folder"]
        words += [hydra_word("data.root", str(self.target)), "data.group_column=group"]
        words += [f"data.fold={','.join(map(str, self.folds))}"] if self.folds else []
        return " ".join([*words, *class_words({image.label for image in self.images})])


def class_words(names: Iterable[str]) -> list[str]:
    """Return the overrides that tell training which class a foreign class name stands for."""
    if {name.lower() for name in names} == set(MELANOMA_OR_REST):
        return [shlex.quote(f"data.class_names=[{','.join(MELANOMA_OR_REST)}]")]
    foreign = sorted(name for name in names if name.lower() not in {*CLASS_NAMES, *FOLDER_NAMES})
    words = {name: class_word(name, f"<{' or '.join(CLASS_NAMES)}>") for name in foreign}
    unspoken = [readable(name) for name, word in words.items() if word is None]
    note = [f"(first rename the folders {', '.join(unspoken)}: no override can name them)"] if unspoken else []
    return [word for word in words.values() if word is not None] + note


def write_tables(
    folder: Path, images: Sequence[PartitionedImage], rows: Mapping[str, Mapping[str, str]], image_column: str
) -> None:
    """Write `split.csv`, and `metadata.csv` with the rows of the source's metadata under the new paths.

    Args:
        folder: Folder to write into.
        images: The rows of `split.csv`.
        rows: The source's metadata by the images' source paths; empty where there is none.
        image_column: Column of that metadata with the path, which becomes `image`.
    """
    write_csv(folder / SPLIT_FILE, list(PartitionedImage.__annotations__), map(asdict, images))
    columns = [name for name in next(iter(rows.values()), ["label"]) if name not in (image_column, "image", "group")]
    # the source's own split and fold no longer hold; its label may say more than the class name
    renewed = [name for name in columns if name in (("split", "fold") if rows else ("label",))]
    made = [
        {name: rows.get(image.source, {}).get(name, "") for name in columns}
        | {name: getattr(image, name) for name in ("image", "group", *renewed)}
        for image in images
    ]
    write_csv(folder / METADATA_FILE, ["image", "group", *columns], made)
