"""`melanoma-data prepare`: from the download of a public dataset to train and test folders, or to a table alone."""

import hashlib
import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from melanoma_pl import __version__
from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.data.partition.partition_tables import class_words
from melanoma_pl.data.partition.target_folder import check_target, free_paths, link_or_copy, staged_folder, write_csv
from melanoma_pl.data.public_sets.dermamnist import read_dermamnist
from melanoma_pl.data.public_sets.diagnoses import TASKS, Chosen, choose_images, group_images, read_diagnoses
from melanoma_pl.data.public_sets.download import Download, LeftOut
from melanoma_pl.data.public_sets.isic2024 import read_isic2024
from melanoma_pl.data.public_sets.kaggle import read_kaggle
from melanoma_pl.data.public_sets.table_sets import HAM10000, ISIC, PAD_UFES_20
from melanoma_pl.errors import UserError, did_you_mean, first_of
from melanoma_pl.files import beside_of
from melanoma_pl.image_files import BrokenImageError, open_image, read_all
from melanoma_pl.messages import DISCLAIMER, amount, counted, format_table, hydra_word, readable

SETS = {
    "kaggle-benign-malignant": read_kaggle,
    "ham10000": HAM10000.read,
    "isic": ISIC.read,
    "isic2024": read_isic2024,
    "pad-ufes-20": PAD_UFES_20.read,
    "dermamnist": read_dermamnist,
}
WITHOUT_DIAGNOSES = ("kaggle-benign-malignant", "isic2024")
WITH_SPLIT = ("kaggle-benign-malignant", "dermamnist")
DEFAULT_TASK = "malignant-vs-benign"
TEST_FRACTION, SEED = 0.2, 0
COLUMNS = (
    "image",
    "label",
    "split",
    "diagnosis",
    "written",  # the finest diagnosis, as the dataset writes it
    "confirmed_by",  # how the diagnosis was confirmed: histopathology, follow-up, …
    "lesion",
    "patient",
    "age",  # years
    "sex",  # male, female or empty
    "site",
    "skin_type",  # Fitzpatrick, 1 to 6
    "source",
    "licence",
    "group",  # images that must stay together: the patient's, else the lesion's
    "original",
)
LEFT_OUT_FILE, LEFT_OUT_COLUMNS = "left_out.csv", ("original", "diagnosis", "reason")
SHOWN = 20  # kinds of images left out in the summary; the file lists every image


@dataclass(frozen=True)
class Prepared:
    """A dataset that has been prepared.

    Attributes:
        name: Its name.
        target: The folder that was made.
        task: Name of the task.
        download: The download it was made from.
        rows: The rows of `metadata.csv`.
        left_out: Images that are not in it.
        made: What was done with images (linked, copied, written) → number of images; empty where only the table was
            written.
    """

    name: str
    target: Path
    task: str
    download: Download
    rows: Sequence[Mapping[str, Any]]
    left_out: Sequence[LeftOut]
    made: Mapping[str, int]

    def text(self) -> str:
        """Return the summary for the terminal: counts, images left out, rights, and the next commands."""
        done = ", ".join(f"{count} {what}" for what, count in self.made.items()) or "none copied or linked"
        counts = Counter((row["split"], row["label"]) for row in self.rows)
        classes = TASKS[self.task]
        table: list[list[object]] = [["", *classes]]
        table += ([split, *(counts[split, name] for name in classes)] for split in ("train", "test"))
        lines = [
            f"{self.name}, {self.task}: {amount(len(self.rows), 'image')} ({done}) → {self.target}",
            "",
            *format_table(table),
            "",
            *self._left_out(),
            "",
            f"licence: {self._licences()}",
            f"cite: {self.download.citation}",
            *(f"note: {note}" for note in self.download.notes),
            *(f"warning: {warning}" for warning in self.download.warnings),
            "",
            *self._next(),
            DISCLAIMER,
        ]
        return "\n".join(lines)

    def _left_out(self) -> list[str]:
        if not self.left_out:
            return ["left out: none"]
        kinds = Counter(": ".join(filter(None, (image.reason, image.diagnosis))) for image in self.left_out)
        lines = [f"{count:7d}  {readable(kind)}" for kind, count in kinds.most_common(SHOWN)]
        if len(kinds) > SHOWN:
            lines.append(f"{'':7}  and {len(kinds) - SHOWN} rarer ones")
        return [f"left out: {len(self.left_out)}, all listed in {self.target / LEFT_OUT_FILE}", *lines]

    def _licences(self) -> str:
        licences = Counter(readable(row["licence"]) or "none stated" for row in self.rows).most_common()
        return ", ".join(f"{licence} ({count})" if len(licences) > 1 else licence for licence, count in licences)

    def _next(self) -> list[str]:
        audited, data = self.target, f"data=folder {hydra_word('data.root', str(self.target))}"
        if not self.made:
            audited = self.target / METADATA_FILE
            data = f"data=table {hydra_word('data.table', str(audited))}"
        audit, train = ["melanoma-data audit", shlex.quote(str(audited))], ["melanoma-train", data]
        if any(row["group"] for row in self.rows):
            audit.append("--group-column group")
            train.append("data.group_column=group")
        return [f"next: {' '.join(audit)}", f"      {' '.join([*train, *class_words(TASKS[self.task])])}"]


def prepare_dataset(
    name: str,
    source: Path,
    target: Path,
    *,
    task: str = DEFAULT_TASK,
    diagnoses: Path | None = None,
    unknown: str = "stop",
    missing: str = "stop",
    table_only: bool = False,
    copy: bool = False,
    test_fraction: float = TEST_FRACTION,
    seed: int = SEED,
) -> Prepared:
    """Convert a public dataset to the layout `target/{train,test}/<class>/<image>` with `target/metadata.csv`.

    A dataset with an official split keeps it. The others are split here: by class, with all images of a patient or
    lesion in one split; the split depends only on the images' names and `seed`. `target` appears when it is complete.
    A large dataset (`isic2024`) whose preparation is killed goes on where it was, if the arguments are the same.

    Args:
        name: One of `SETS`.
        source: The download: a folder, Kaggle's zip file or DermaMNIST's npz file.
        target: Folder to make; absent or empty.
        task: One of `TASKS`.
        diagnoses: A diagnosis table of the user's own.
        unknown: What happens to images whose diagnosis is in no table: `stop` (an error) or `leave-out`.
        missing: What happens to rows without an image and images without a row: `stop` or `leave-out`.
        table_only: Whether to write only the table, with paths that lead into `source`.
        copy: Whether to copy the images instead of linking them.
        test_fraction: Fraction of the images to test on, in (0, 1); only the default with an official split.
        seed: Seed of the split, not negative; only the default with an official split.

    Raises:
        UserError: If an argument or the download is wrong; then `target` is as it was.
    """
    _check_task(name, task, diagnoses)
    _check_split(name, test_fraction, seed)
    if table_only and copy:
        raise UserError("--table-only leaves the images where they are, but --copy copies them", "omit one of them")
    check_target(target, source)
    meanings = read_diagnoses(name, diagnoses)
    with ExitStack() as opened:
        download = SETS[name](source, missing, opened)
        if table_only and not isinstance(download.images, Path):
            raise UserError(f"--table-only: the images of {source} are in an archive", "omit --table-only")
        chosen, not_chosen = choose_images(download.entries, task, meanings, unknown)
        left_out = (*download.left_out, *not_chosen)
        _require_classes(chosen, task, left_out)
        chosen.sort(key=lambda image: image.name)  # so that neither folders nor the table's order change the split
        chosen = _split(group_images(chosen), test_fraction, seed)
        paths = _new_paths(download, target, chosen, table_only)
        rows = [_row(image, path) for image, path in zip(chosen, paths, strict=True)]
        key = _key(name, task, missing, test_fraction, seed, download.identity) if download.identity else ""
        with staged_folder(target, key) as staged:
            made: Counter[str] = Counter()
            if not table_only:
                images = zip(counted(chosen, "preparing"), paths, strict=True)
                made.update(_make_file(download, image, staged / path, copy) for image, path in images)
            _refuse_broken(download, chosen, [staged / path for path in paths])
            write_csv(staged / METADATA_FILE, COLUMNS, sorted(rows, key=lambda row: str(row["image"])))
            if left_out:
                write_csv(staged / LEFT_OUT_FILE, LEFT_OUT_COLUMNS, map(_cells, left_out))
    return Prepared(name, target, task, download, rows, left_out, made)


def _check_task(name: str, task: str, diagnoses: Path | None) -> None:
    """Refuse a dataset or task that does not exist, and a task or table for which the dataset lacks diagnoses."""
    if name not in SETS:
        raise UserError(f"there is no dataset {name}", did_you_mean(name, SETS))
    if task not in TASKS:
        raise UserError(f"there is no task {task}", did_you_mean(task, TASKS))
    if name in WITHOUT_DIAGNOSES and task != DEFAULT_TASK:
        raise UserError(f"{name} has labels but no diagnoses, so {task} is not possible", "omit --task")
    if name in WITHOUT_DIAGNOSES and diagnoses is not None:
        raise UserError(f"{name} has labels but no diagnoses, so --diagnoses {diagnoses} has no effect", "omit it")


def _check_split(name: str, test_fraction: float, seed: int) -> None:
    """Refuse a fraction or seed out of range, and any but the defaults for a dataset that keeps its own split."""
    if not 0 < test_fraction < 1:
        raise UserError(f"--test={test_fraction:g} is not allowed", "give a fraction between 0 and 1, such as 0.2")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed={seed} is not allowed", f"give a whole number from 0 to {2**32 - 1}")
    asked = [f"--test={test_fraction:g}"] * (test_fraction != TEST_FRACTION) + [f"--seed={seed}"] * (seed != SEED)
    if name in WITH_SPLIT and asked:
        raise UserError(
            f"{name} keeps its own split, so {' and '.join(asked)} would have no effect",
            "omit it; `melanoma-data split` makes a new split of prepared images",
        )


def _require_classes(chosen: Sequence[Chosen], task: str, left_out: Sequence[LeftOut]) -> None:
    for label in TASKS[task]:
        if not any(image.label == label for image in chosen):
            reasons = Counter(image.reason for image in left_out).most_common(3)
            why = ", ".join(f"{reason} ({count})" for reason, count in reasons)
            raise UserError(
                f"no image is {label} in {task}" + (f"; left out: {why}" if why else ""),
                "give more of the dataset, another --task, or a diagnosis table of your own",
            )


def _split(chosen: Sequence[Chosen], test_fraction: float, seed: int) -> list[Chosen]:
    """Give each image its split: the dataset's own, or one by class and group."""
    if all(image.entry.split for image in chosen):
        return [replace(image, split=image.entry.split) for image in chosen]
    from melanoma_pl.data.splits import cut_fraction  # with scikit-learn

    labels, groups = [image.label for image in chosen], [image.group or f"image:{image.name}" for image in chosen]
    way_out = "give more of the dataset, or another --test or --seed"
    is_test = cut_fraction(labels, groups, test_fraction, seed, "a test split", way_out)
    return [replace(image, split="test" if held else "train") for image, held in zip(chosen, is_test, strict=True)]


def _new_paths(download: Download, target: Path, chosen: Sequence[Chosen], table_only: bool) -> list[str]:
    """Return each image's path relative to `target`: in the new folders, or, for a table alone, where it lies."""
    if table_only and isinstance(download.images, Path):
        there = os.path.relpath(download.images.resolve(), target.resolve())
        return [Path(there, image.entry.original).as_posix() for image in chosen]
    folders = ["/".join(filter(None, (image.split, image.label, image.entry.folder))) for image in chosen]
    return free_paths(folders, [image.entry.name or image.entry.original for image in chosen])


def _make_file(download: Download, image: Chosen, file: Path, copy: bool) -> str:
    """Link, copy or write the file of an image, and return what was done."""
    if isinstance(download.images, Path):
        return "linked" if link_or_copy(download.images / image.entry.original, file, copy) else "copied"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not download.identity:
        download.images(image.entry, file)
        return "written"
    if file.is_file() and file.stat().st_size:  # a power cut leaves empty files
        return "written before an interruption"
    part = beside_of(file)  # a killed process leaves no half of an image under its name
    download.images(image.entry, part)
    part.replace(file)
    return "written"


def _refuse_broken(download: Download, chosen: Sequence[Chosen], files: Sequence[Path]) -> None:
    """Open each image, or refuse those that are none."""
    if isinstance(download.images, Path):  # where they lie: a table alone makes no files
        files = [download.images / image.entry.original for image in chosen]
    reasons = read_all(_why_broken, files, "opening images")
    broken = [f"{image.entry.original}: {why}" for image, why in zip(chosen, reasons, strict=True) if why]
    if broken:
        raise UserError(
            f"{amount(len(broken), 'image')} of {len(chosen)} cannot be read ({first_of(broken)})",
            "download the dataset again, or extract it, remove them, and give the folder with --missing leave-out",
        )


def _why_broken(file: Path) -> str:
    """Return why an image cannot be opened; empty if it can."""
    try:
        with open_image(file):
            return ""
    except BrokenImageError as error:
        return str(error)


def _row(image: Chosen, path: str) -> dict[str, Any]:
    facts = image.entry.facts
    cells = _cells(image.entry) | _cells(facts) | _cells(image)
    cells |= {"image": path, "written": "".join(facts.written[:1])}
    return {column: cells[column] for column in COLUMNS}


def _cells(record: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by their names."""
    return {each.name: getattr(record, each.name) for each in fields(record)}


def _key(*arguments: object) -> str:
    """Return a hash of all that decides the files of a preparation, 16 hexadecimal digits."""
    return hashlib.sha256(repr((__version__, *arguments)).encode()).hexdigest()[:16]
