"""A public set's own download → train and test folders of classes, or a table alone, and what was left out and why."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from melanoma_pl.data.placing import check_target
from melanoma_pl.data.public_sets import dermamnist, ham10000, isic, kaggle, pad_ufes_20
from melanoma_pl.data.public_sets.diagnoses import read_diagnoses
from melanoma_pl.data.public_sets.record import LeftOut
from melanoma_pl.data.public_sets.summary import Prepared
from melanoma_pl.data.public_sets.tasks import DEFAULT, TASKS, Chosen, Task, choose_photos
from melanoma_pl.data.public_sets.writing import write_set
from melanoma_pl.errors import UserError, did_you_mean

SETS = {
    "kaggle-benign-malignant": kaggle.read,
    "ham10000": ham10000.read,
    "isic": isic.read,
    "pad-ufes-20": pad_ufes_20.read,
    "dermamnist": dermamnist.read,
}
WITHOUT_DIAGNOSES = ("kaggle-benign-malignant",)


def prepare_set(
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
    test_share: float = 0.2,
    seed: int = 0,
) -> Prepared:
    """Bring a public set into the layout `target/{train,test}/<class>/<photo>` with `target/metadata.csv`.

    A set with an official split keeps it. The others are split here: by class, with all photos of a patient or lesion
    on one side; the split depends on the photos' names and `seed` alone. `target` appears when it is complete.

    Args:
        name: One of `SETS`.
        source: The download: a folder, Kaggle's zip or DermaMNIST's npz.
        target: Folder to make; absent or empty.
        task: One of `TASKS`; None is `malignant-vs-benign`.
        diagnoses: A diagnosis table of the user's own.
        unknown: What photos of a diagnosis that is in no table get: `stop` (an error) or `leave-out`.
        missing: What rows without a photo and photos without a row get: `stop` or `leave-out`.
        table_only: Write the table alone; its paths lead into `source`.
        copy: Copy the photos instead of linking them.
        test_share: Share of the photos to test on, in (0, 1).
        seed: Of the split; not negative.

    Raises:
        UserError: If anything is wrong with these or the download; then `target` is as it was.
    """
    chosen_task = _check(name, task, test_share, seed)
    check_target(target, source)
    meanings = read_diagnoses(name, diagnoses)
    with ExitStack() as opened:
        download = SETS[name](source, missing, opened)
        if table_only and download.folder is None:
            raise UserError(f"--table-only: the photos of {source} are in an archive", "leave --table-only out")
        chosen, not_chosen = choose_photos(download.entries, chosen_task, meanings, unknown)
        left_out = (*download.left_out, *not_chosen)
        _require_classes(chosen, chosen_task, left_out)
        chosen.sort(key=lambda photo: photo.name)  # so that neither folders nor the table's order change the split
        rows, made = write_set(download, _split(_grouped(chosen), test_share, seed), left_out, target, table_only, copy)
    return Prepared(name, target, chosen_task, download, tuple(rows), left_out, made, table_only)


def _check(name: str, task: str | None, test_share: float, seed: int) -> Task:
    if name not in SETS:
        raise UserError(f"there is no set {name}", did_you_mean(name, SETS))
    if (task or DEFAULT) not in TASKS:
        raise UserError(f"there is no task {task}", did_you_mean(str(task), TASKS))
    if name in WITHOUT_DIAGNOSES and task not in (None, DEFAULT):
        raise UserError(
            f"{name} has labels but no diagnoses, so {task} cannot be told", f"leave --task out ({DEFAULT})"
        )
    if not 0 < test_share < 1:
        raise UserError(f"--test={test_share:g} is not allowed", "give a share between 0 and 1, 0.2 for instance")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed={seed} is not allowed", f"give a whole number from 0 to {2**32 - 1}")
    return TASKS[task or DEFAULT]


def _require_classes(chosen: Sequence[Chosen], task: Task, left_out: Sequence[LeftOut]) -> None:
    for label in task.classes:
        if not any(photo.label == label for photo in chosen):
            reasons = Counter(photo.reason for photo in left_out).most_common(3)
            why = ", ".join(f"{reason} ({count})" for reason, count in reasons)
            raise UserError(
                f"no photo is {label} in {task.name}" + (f"; left out: {why}" if why else ""),
                "give more of the set, another --task, or a diagnosis table of your own",
            )


def _grouped(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Give each photo its group: its patient, as it or another photo of its lesion says, else its lesion."""
    facts = [photo.entry.facts for photo in chosen]
    patients = {fact.lesion: fact.patient for fact in facts if fact.lesion and fact.patient}
    return [
        replace(photo, group=fact.patient or patients.get(fact.lesion, fact.lesion))
        for photo, fact in zip(chosen, facts, strict=True)
    ]


def _split(chosen: Sequence[Chosen], test_share: float, seed: int) -> list[Chosen]:
    """Give each photo its split: the set's own, or one by class and group."""
    if all(photo.entry.split for photo in chosen):
        return [replace(photo, split=photo.entry.split) for photo in chosen]
    from melanoma_pl.data.splits import cut_share  # with scikit-learn

    is_test = cut_share(
        [photo.label for photo in chosen],
        [photo.group or f"photo:{photo.name}" for photo in chosen],
        test_share,
        seed,
        "a test split",
        "give more of the set, or another --test or --seed",
    )
    return [replace(photo, split="test" if held else "train") for photo, held in zip(chosen, is_test, strict=True)]
