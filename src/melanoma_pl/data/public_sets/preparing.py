"""What `melanoma-data prepare` prints: how many images, what was left out and why, whose they are, what to do next.

The prepared set on disk: images in their places, the table, and the list of what is not in it.

A public set's own download → train and test folders of classes, or a table alone, and what was left out and why.
"""

import csv
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES
from melanoma_pl.data.partition.target_folder import check_target, free_paths, staged_folder
from melanoma_pl.data.public_sets import dermamnist, kaggle, table_sets
from melanoma_pl.data.public_sets.diagnoses import read_diagnoses
from melanoma_pl.data.public_sets.download import COLUMNS, LEFT_OUT_COLUMNS, Download, LeftOut
from melanoma_pl.data.public_sets.tasks import (
    SEED,
    TEST_FRACTION,
    Chosen,
    Task,
    check_copy,
    check_split,
    check_task,
    choose_images,
    group_images,
)
from melanoma_pl.errors import UserError
from melanoma_pl.messages import DISCLAIMER, hydra_word

SHOWN = 20  # kinds of images left out; the file lists every image


@dataclass(frozen=True)
class Prepared:
    """A set that has been prepared.

    Attributes:
        name: Of the set.
        target: The folder that was made.
        task: What its classes tell apart.
        download: What it was made from.
        rows: Of `metadata.csv`.
        left_out: Images that are not in it.
        made: What was done with images (linked, copied, written) → how many.
        table_only: Whether the images stayed where they were.
    """

    name: str
    target: Path
    task: Task
    download: Download
    rows: tuple[Mapping[str, Any], ...]
    left_out: tuple[LeftOut, ...]
    made: Mapping[str, int]
    table_only: bool

    def text(self) -> str:
        """Return the summary."""
        parts = [self._title(), *self._counts(), *self._left_out(), *self._rights(), *self._next(), DISCLAIMER]
        return "\n".join(parts)

    def _title(self) -> str:
        done = ", ".join(f"{count} {what}" for what, count in self.made.items()) or "none copied or linked"
        return f"{self.name}, {self.task.name}: {len(self.rows)} images ({done}) → {self.target}\n"

    def _counts(self) -> list[str]:
        counts = Counter((row["split"], row["label"]) for row in self.rows)
        lines = [["", *self.task.classes]]
        lines += [[split, *(str(counts[split, label]) for label in self.task.classes)] for split in ("train", "test")]
        return ["".join(f"{cell:>11}" for cell in line) for line in lines] + [""]

    def _left_out(self) -> list[str]:
        if not self.left_out:
            return ["left out: none", ""]
        kinds = Counter(": ".join(filter(None, (image.reason, image.diagnosis))) for image in self.left_out)
        lines = [f"{count:7d}  {kind}" for kind, count in kinds.most_common(SHOWN)]
        if len(kinds) > SHOWN:
            lines.append(f"{'':7}  and {len(kinds) - SHOWN} rarer ones")
        return [f"left out: {len(self.left_out)}, each listed in {self.target / 'left_out.csv'}", *lines, ""]

    def _rights(self) -> list[str]:
        licences = Counter(row["licence"] or "none stated" for row in self.rows).most_common()
        listed = ", ".join(f"{licence} ({count})" if len(licences) > 1 else licence for licence, count in licences)
        about = self.download.about
        notes = [f"note: {note}" for note in self.download.notes] + [f"warning: {fault}" for fault in about.warnings]
        return [f"licence: {listed}", f"cite: {about.citation}", *notes, ""]

    def _next(self) -> list[str]:
        table = self.target / "metadata.csv"
        audited, data = self.target, f"data=folder {hydra_word('data.root', str(self.target))}"
        if self.table_only:
            audited, data = table, f"data=table {hydra_word('data.table', str(table))}"
        audit, train = ["melanoma-data audit", shlex.quote(str(audited))], ["melanoma-train", data]
        if any(row["group"] for row in self.rows):
            audit.append("--group-column group")
            train.append("data.group_column=group")
        return [f"next: {' '.join(audit)}", f"      {' '.join([*train, *self._class_names()])}"]

    def _class_names(self) -> list[str]:
        known = {*CLASS_NAMES, *FOLDER_NAMES}
        return [] if known.issuperset(self.task.classes) else [f"'data.class_names=[{','.join(self.task.classes)}]'"]


Rows = list[dict[str, Any]]


def write_set(
    download: Download,
    chosen: Sequence[Chosen],
    left_out: Sequence[LeftOut],
    target: Path,
    table_only: bool,
    copy: bool,
) -> tuple[Rows, Counter[str]]:
    """Make `target`, complete or not at all.

    Args:
        download: Where the images come from.
        chosen: The images, with group and split.
        left_out: Images that are not among them.
        target: Folder to make.
        table_only: Leave the images where they are.
        copy: Copy them instead of linking them.

    Returns:
        The table's rows; and what was done with images (linked, copied, written) → how many.
    """
    places = _places(download, target, chosen, table_only)
    rows = [_row(image, place) for image, place in zip(chosen, places, strict=True)]
    with staged_folder(target) as staged:
        made = Counter() if table_only else _save(download, chosen, staged, places, copy)
        _write(staged / "metadata.csv", COLUMNS, sorted(rows, key=lambda row: str(row["image"])))
        if left_out:
            _write(staged / "left_out.csv", LEFT_OUT_COLUMNS, map(vars, left_out))
    return rows, made


def _places(download: Download, target: Path, chosen: Sequence[Chosen], table_only: bool) -> list[str]:
    """Return each image's path relative to `target`: its place there, or, for a table alone, where it lies."""
    if table_only and download.folder is not None:
        there = os.path.relpath(download.folder.resolve(), target.resolve())
        return [Path(there, image.entry.original).as_posix() for image in chosen]
    folders = [f"{image.split}/{image.label}" for image in chosen]
    return free_paths(folders, [image.entry.name or image.entry.original for image in chosen])


def _row(image: Chosen, place: str) -> dict[str, Any]:
    facts = image.entry.facts
    said = {**vars(image.entry), **vars(facts), **vars(image), "image": place, "written": "".join(facts.written[:1])}
    return {column: said[column] for column in COLUMNS}


def _save(
    download: Download, chosen: Sequence[Chosen], staged: Path, places: Sequence[str], copy: bool
) -> Counter[str]:
    images = tqdm(zip(chosen, places, strict=True), "images", len(chosen), leave=False, unit="image", disable=None)
    return Counter(download.save(image.entry, staged / place, copy) for image, place in images)


def _write(file: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


SETS = {
    "kaggle-benign-malignant": kaggle.read_kaggle,
    "ham10000": table_sets.read_ham10000,
    "isic": table_sets.read_isic,
    "pad-ufes-20": table_sets.read_pad_ufes_20,
    "dermamnist": dermamnist.read_dermamnist,
}


def prepare_dataset(
    name: str,
    source: Path,
    target: Path,
    *,
    task: str | None = None,
    diagnoses: Path | None = None,
    unknown: str = "stop",
    missing: str = "stop",
    table_only: bool = False,
    copy: bool = False,
    test_fraction: float = TEST_FRACTION,
    seed: int = SEED,
) -> Prepared:
    """Bring a public set into the layout `target/{train,test}/<class>/<image>` with `target/metadata.csv`.

    A set with an official split keeps it. The others are split here: by class, with all images of a patient or lesion
    on one side; the split depends on the images' names and `seed` alone. `target` appears when it is complete.

    Args:
        name: One of `SETS`.
        source: The download: a folder, Kaggle's zip or DermaMNIST's npz.
        target: Folder to make; absent or empty.
        task: One of `TASKS`; None is `malignant-vs-benign`.
        diagnoses: A diagnosis table of the user's own.
        unknown: What images of a diagnosis that is in no table get: `stop` (an error) or `leave-out`.
        missing: What rows without an image and images without a row get: `stop` or `leave-out`.
        table_only: Write the table alone; its paths lead into `source`.
        copy: Copy the images instead of linking them.
        test_fraction: Share of the images to test on, in (0, 1); of sets with an official split only the default.
        seed: Of the split; not negative; of sets with an official split only the default.

    Raises:
        UserError: If anything is wrong with these or the download; then `target` is as it was.
    """
    chosen_task = check_task(name, SETS, task, diagnoses)
    check_split(name, test_fraction, seed)
    check_copy(table_only, copy)
    check_target(target, source)
    meanings = read_diagnoses(name, diagnoses)
    with ExitStack() as opened:
        download = SETS[name](source, missing, opened)
        if table_only and download.folder is None:
            raise UserError(f"--table-only: the images of {source} are in an archive", "leave --table-only out")
        chosen, not_chosen = choose_images(download.entries, chosen_task, meanings, unknown)
        left_out = (*download.left_out, *not_chosen)
        _require_classes(chosen, chosen_task, left_out)
        chosen.sort(key=lambda image: image.name)  # so that neither folders nor the table's order change the split
        rows, made = write_set(
            download, _split(group_images(chosen), test_fraction, seed), left_out, target, table_only, copy
        )
    return Prepared(name, target, chosen_task, download, tuple(rows), left_out, made, table_only)


def _require_classes(chosen: Sequence[Chosen], task: Task, left_out: Sequence[LeftOut]) -> None:
    for label in task.classes:
        if not any(image.label == label for image in chosen):
            reasons = Counter(image.reason for image in left_out).most_common(3)
            why = ", ".join(f"{reason} ({count})" for reason, count in reasons)
            raise UserError(
                f"no image is {label} in {task.name}" + (f"; left out: {why}" if why else ""),
                "give more of the set, another --task, or a diagnosis table of your own",
            )


def _split(chosen: Sequence[Chosen], test_fraction: float, seed: int) -> list[Chosen]:
    """Give each image its split: the set's own, or one by class and group."""
    if all(image.entry.split for image in chosen):
        return [replace(image, split=image.entry.split) for image in chosen]
    from melanoma_pl.data.splits import cut_fraction  # with scikit-learn

    is_test = cut_fraction(
        [image.label for image in chosen],
        [image.group or f"image:{image.name}" for image in chosen],
        test_fraction,
        seed,
        "a test split",
        "give more of the set, or another --test or --seed",
    )
    return [replace(image, split="test" if held else "train") for image, held in zip(chosen, is_test, strict=True)]
