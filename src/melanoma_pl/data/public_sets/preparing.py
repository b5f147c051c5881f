"""A public set's own download → train and test folders of classes, or a table alone, and what was left out and why."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from melanoma_pl.data.placing import check_target
from melanoma_pl.data.public_sets import dermamnist, ham10000, isic, kaggle, pad_ufes_20
from melanoma_pl.data.public_sets.diagnoses import read_diagnoses
from melanoma_pl.data.public_sets.grouping import group_photos
from melanoma_pl.data.public_sets.options import SEED, TEST_SHARE, check_copy, check_split, check_task
from melanoma_pl.data.public_sets.record import LeftOut
from melanoma_pl.data.public_sets.summary import Prepared
from melanoma_pl.data.public_sets.tasks import Chosen, Task, choose_photos
from melanoma_pl.data.public_sets.writing import write_set
from melanoma_pl.errors import UserError

SETS = {
    "kaggle-benign-malignant": kaggle.read,
    "ham10000": ham10000.read,
    "isic": isic.read,
    "pad-ufes-20": pad_ufes_20.read,
    "dermamnist": dermamnist.read,
}


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
    test_share: float = TEST_SHARE,
    seed: int = SEED,
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
        test_share: Share of the photos to test on, in (0, 1); of sets with an official split only the default.
        seed: Of the split; not negative; of sets with an official split only the default.

    Raises:
        UserError: If anything is wrong with these or the download; then `target` is as it was.
    """
    chosen_task = check_task(name, SETS, task, diagnoses)
    check_split(name, test_share, seed)
    check_copy(table_only, copy)
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
        rows, made = write_set(
            download, _split(group_photos(chosen), test_share, seed), left_out, target, table_only, copy
        )
    return Prepared(name, target, chosen_task, download, tuple(rows), left_out, made, table_only)


def _require_classes(chosen: Sequence[Chosen], task: Task, left_out: Sequence[LeftOut]) -> None:
    for label in task.classes:
        if not any(photo.label == label for photo in chosen):
            reasons = Counter(photo.reason for photo in left_out).most_common(3)
            why = ", ".join(f"{reason} ({count})" for reason, count in reasons)
            raise UserError(
                f"no photo is {label} in {task.name}" + (f"; left out: {why}" if why else ""),
                "give more of the set, another --task, or a diagnosis table of your own",
            )


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
