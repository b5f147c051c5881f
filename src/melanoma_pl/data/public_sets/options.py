"""What can be asked of which set: an option that would do nothing is refused, not passed over."""

from collections.abc import Collection
from pathlib import Path

from melanoma_pl.data.public_sets.tasks import DEFAULT, TASKS, Task
from melanoma_pl.errors import UserError, did_you_mean

WITHOUT_DIAGNOSES = ("kaggle-benign-malignant",)
WITH_SPLIT = ("kaggle-benign-malignant", "dermamnist")
TEST_SHARE = 0.2
SEED = 0


def check_task(name: str, names: Collection[str], task: str | None, diagnoses: Path | None) -> Task:
    """Return the task.

    Args:
        name: Of the set.
        names: Of all sets.
        task: Its name; None is the default.
        diagnoses: A diagnosis table of the user's own.

    Raises:
        UserError: If there is no such set or task, or the set has no diagnoses and they are asked for.
    """
    if name not in names:
        raise UserError(f"there is no set {name}", did_you_mean(name, names))
    if (task or DEFAULT) not in TASKS:
        raise UserError(f"there is no task {task}", did_you_mean(str(task), TASKS))
    if name in WITHOUT_DIAGNOSES:
        if task not in (None, DEFAULT):
            raise UserError(
                f"{name} has labels but no diagnoses, so {task} cannot be told", f"leave --task out ({DEFAULT})"
            )
        if diagnoses is not None:
            raise UserError(
                f"{name} has labels but no diagnoses, so --diagnoses {diagnoses} would change nothing", "leave it out"
            )
    return TASKS[task or DEFAULT]


def check_split(name: str, test_share: float, seed: int) -> None:
    """Check what a split made here depends on.

    Raises:
        UserError: If share or seed is not allowed, or the set keeps a split of its own; another value than the default
            was typed then, and would do nothing.
    """
    if not 0 < test_share < 1:
        raise UserError(f"--test={test_share:g} is not allowed", "give a share between 0 and 1, 0.2 for instance")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed={seed} is not allowed", f"give a whole number from 0 to {2**32 - 1}")
    asked = [f"--test={test_share:g}"] * (test_share != TEST_SHARE) + [f"--seed={seed}"] * (seed != SEED)
    if name in WITH_SPLIT and asked:
        raise UserError(
            f"{name} keeps its own split, so {' and '.join(asked)} would change nothing",
            "leave that out; `melanoma-data split` cuts prepared photos anew",
        )


def check_copy(table_only: bool, copy: bool) -> None:
    """Check what is done with the photos.

    Raises:
        UserError: If they are to be copied and left where they are.
    """
    if table_only and copy:
        raise UserError(
            "--table-only leaves the photos where they are, and --copy copies them", "leave one of them out"
        )
