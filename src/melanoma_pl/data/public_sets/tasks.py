"""Which class an image gets in a task, and which images are left out of it, with the reason.

Which images of a set must stay on one side of its split: those of one patient, and those of one lesion.

What can be asked of which set: an option that would do nothing is refused, not passed over.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.public_sets.diagnoses import COLUMNS, Diagnoses, Diagnosis
from melanoma_pl.data.public_sets.download import LeftOut, SourceImage
from melanoma_pl.errors import UserError, did_you_mean

NO_DIAGNOSIS = "no diagnosis"
UNKNOWN = "unknown diagnosis"
UNCERTAIN = "malignancy uncertain"
TOO_COARSE = "diagnosis too coarse to tell melanoma"


@dataclass(frozen=True)
class Task:
    """What is to be told apart.

    Attributes:
        name: As typed.
        classes: Names of the class folders, the positive class last.
        choose: Returns the class of a diagnosis of certain malignancy, or nothing where the task has no use for it.
        asks_kind: Says of a diagnosis whether its malignancy is not enough: whether it must also name its kind.
    """

    name: str
    classes: tuple[str, str]
    choose: Callable[[Diagnosis], str]
    asks_kind: Callable[[Diagnosis], bool]


@dataclass(frozen=True)
class Chosen:
    """An image that the task uses.

    Attributes:
        label: Its class.
        diagnosis: By the name of all sets; empty where the set has labels alone, or a name too coarse.
        group: Its patient or lesion; empty where unknown.
        split: `train` or `test`.
    """

    entry: SourceImage
    label: str
    diagnosis: str
    group: str = ""
    split: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return PurePosixPath(self.entry.name or self.entry.original).name


TASKS = {
    task.name: task
    for task in (
        Task("malignant-vs-benign", CLASS_NAMES, lambda diagnosis: diagnosis.malignancy, lambda diagnosis: False),
        Task(
            "melanoma-vs-nevus",
            ("nevus", "melanoma"),
            lambda diagnosis: diagnosis.kind if diagnosis.kind in ("nevus", "melanoma") else "",
            lambda diagnosis: True,
        ),
        Task(
            "melanoma-vs-rest",
            ("rest", "melanoma"),
            lambda diagnosis: "melanoma" if diagnosis.kind == "melanoma" else "rest",
            lambda diagnosis: diagnosis.malignancy != "benign",  # what is benign is no melanoma, whatever it is
        ),
    )
}
DEFAULT = "malignant-vs-benign"


def choose_images(
    entries: Iterable[SourceImage], task: Task, diagnoses: Diagnoses, unknown: str
) -> tuple[list[Chosen], list[LeftOut]]:
    """Give each image its class, or leave it out.

    Args:
        entries: The images.
        task: What is to be told apart.
        diagnoses: What the set's diagnoses mean.
        unknown: What an image of a diagnosis that is not among them gets: `stop` (an error) or `leave-out`.

    Raises:
        UserError: With `stop`, if there is such an image; it names the first file and line, and all such diagnoses.
    """
    chosen: list[Chosen] = []
    left_out: list[LeftOut] = []
    strangers: list[SourceImage] = []
    for entry in entries:
        label, text = (entry.label, "") if entry.label else _decide(entry, task, diagnoses)
        if label:
            chosen.append(Chosen(entry, label, text))
            continue
        left_out.append(LeftOut(entry.original, "".join(entry.facts.written[:1]), text))
        if text == UNKNOWN:
            strangers.append(entry)
    if strangers and unknown == "stop":
        _refuse(strangers)
    return chosen, left_out


def _decide(entry: SourceImage, task: Task, diagnoses: Diagnoses) -> tuple[str, str]:
    """Return the class and the diagnosis, or no class and the reason why the image is left out."""
    written = entry.facts.written
    if entry.facts.unfit or not written:
        return "", entry.facts.unfit or NO_DIAGNOSIS
    found = diagnoses.find(written)
    coarse = found is not None and not found.kind and task.asks_kind(found)
    if found is None or (coarse and written[0] not in diagnoses):
        return "", UNKNOWN
    if found.malignancy == "uncertain":
        return "", UNCERTAIN
    if coarse:
        return "", TOO_COARSE
    label = task.choose(found)
    return (label, found.name) if label else ("", f"not used by {task.name}")


def _refuse(strangers: list[SourceImage]) -> None:
    counts = Counter(entry.facts.written[0] for entry in strangers)
    listed = ", ".join(f"'{name}' ({count})" for name, count in counts.most_common())
    raise UserError(
        f"{strangers[0].where}: the diagnosis '{strangers[0].facts.written[0]}' is not in the diagnosis table; all "
        f"that are not, with their images: {listed}",
        f"say what they mean with --diagnoses FILE (a CSV table with the columns {','.join(COLUMNS)}), or leave these "
        "images out with --unknown leave-out",
    )


def group_images(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Give each image its group: its patient, as it or another image of its lesion says, else its lesion.

    Patients with images of one lesion, which only a mistake in the set's table explains, are one group.
    """
    from melanoma_pl.data.partition.grouping import joined  # with SciPy

    facts = [image.entry.facts for image in chosen]
    patients = {fact.lesion: fact.patient for fact in facts if fact.lesion and fact.patient}
    groups = [fact.patient or patients.get(fact.lesion, fact.lesion) for fact in facts]
    names = [image.entry.original for image in chosen]
    groups = joined(groups, names, _lesions(chosen))
    return [replace(image, group=group) for image, group in zip(chosen, groups, strict=True)]


def _lesions(chosen: Sequence[Chosen]) -> list[list[str]]:
    """Return the images of each lesion."""
    lesions = defaultdict(list)
    for image in chosen:
        if image.entry.facts.lesion:
            lesions[image.entry.facts.lesion].append(image.entry.original)
    return list(lesions.values())


WITHOUT_DIAGNOSES = ("kaggle-benign-malignant",)
WITH_SPLIT = ("kaggle-benign-malignant", "dermamnist")
TEST_FRACTION = 0.2
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


def check_split(name: str, test_fraction: float, seed: int) -> None:
    """Check what a split made here depends on.

    Raises:
        UserError: If share or seed is not allowed, or the set keeps a split of its own; another value than the default
            was typed then, and would do nothing.
    """
    if not 0 < test_fraction < 1:
        raise UserError(f"--test={test_fraction:g} is not allowed", "give a share between 0 and 1, 0.2 for instance")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed={seed} is not allowed", f"give a whole number from 0 to {2**32 - 1}")
    asked = [f"--test={test_fraction:g}"] * (test_fraction != TEST_FRACTION) + [f"--seed={seed}"] * (seed != SEED)
    if name in WITH_SPLIT and asked:
        raise UserError(
            f"{name} keeps its own split, so {' and '.join(asked)} would change nothing",
            "leave that out; `melanoma-data split` cuts prepared images anew",
        )


def check_copy(table_only: bool, copy: bool) -> None:
    """Check what is done with the images.

    Raises:
        UserError: If they are to be copied and left where they are.
    """
    if table_only and copy:
        raise UserError(
            "--table-only leaves the images where they are, and --copy copies them", "leave one of them out"
        )
