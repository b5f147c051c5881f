"""Classes of images in a task, images that a task leaves out with the reason, and images that must stay together."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.public_sets.diagnoses import COLUMNS, Diagnoses, Diagnosis
from melanoma_pl.data.public_sets.download import LeftOut, SourceImage
from melanoma_pl.errors import UserError

NO_DIAGNOSIS = "no diagnosis"
UNKNOWN = "unknown diagnosis"
UNCERTAIN = "malignancy uncertain"
TOO_COARSE = "diagnosis too coarse to tell melanoma"


@dataclass(frozen=True)
class Task:
    """Two classes that a network learns to tell apart.

    Attributes:
        name: Name as typed.
        classes: Names of the class folders, the positive class last.
        choose: Function from a diagnosis of certain malignancy to its class; empty where the task has no use for it.
        needs_kind: Function that tells of a diagnosis whether the task also needs its kind, not only its malignancy.
    """

    name: str
    classes: tuple[str, str]
    choose: Callable[[Diagnosis], str]
    needs_kind: Callable[[Diagnosis], bool]


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
            lambda diagnosis: diagnosis.malignancy != "benign",  # a benign lesion is not a melanoma, whatever its kind
        ),
    )
}


@dataclass(frozen=True)
class Chosen:
    """An image that the task uses.

    Attributes:
        entry: The image of the download.
        label: Its class.
        diagnosis: Its diagnosis, by the name for all datasets; empty where the dataset has only labels.
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
        """The name of its file."""
        return PurePosixPath(self.entry.name or self.entry.original).name


def choose_images(
    entries: Iterable[SourceImage], task: Task, diagnoses: Diagnoses, unknown: str
) -> tuple[list[Chosen], list[LeftOut]]:
    """Give each image its class, or leave it out.

    Args:
        entries: The images.
        task: The classes to tell apart.
        diagnoses: Meanings of the dataset's diagnoses.
        unknown: What happens to an image whose diagnosis is not among them: `stop` (an error) or `leave-out`.

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
        counts = Counter(entry.facts.written[0] for entry in strangers)
        listed = ", ".join(f"'{name}' ({count})" for name, count in counts.most_common())
        raise UserError(
            f"{strangers[0].where}: the diagnosis '{strangers[0].facts.written[0]}' is not in the diagnosis table; all "
            f"unknown diagnoses, with the number of their images: {listed}",
            f"say what they mean with --diagnoses FILE (a CSV table with the columns {','.join(COLUMNS)}), or leave "
            "these images out with --unknown leave-out",
        )
    return chosen, left_out


def _decide(entry: SourceImage, task: Task, diagnoses: Diagnoses) -> tuple[str, str]:
    """Return the class and the diagnosis, or an empty class and the reason why the image is left out."""
    written = entry.facts.written
    if entry.facts.unfit or not written:
        return "", entry.facts.unfit or NO_DIAGNOSIS
    found = diagnoses.find(written)
    coarse = found is not None and not found.kind and task.needs_kind(found)
    if found is None or (coarse and written[0] not in diagnoses):
        return "", UNKNOWN
    if found.malignancy == "uncertain":
        return "", UNCERTAIN
    if coarse:
        return "", TOO_COARSE
    label = task.choose(found)
    return (label, found.name) if label else ("", f"not used by {task.name}")


def group_images(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Give each image its group: its patient, as it or another image of its lesion says, else its lesion.

    Patients with images of one lesion, which only a mistake in the dataset's table explains, are one group.
    """
    from melanoma_pl.data.partition.partitioning import join_groups  # with SciPy

    facts = [image.entry.facts for image in chosen]
    patients = {fact.lesion: fact.patient for fact in facts if fact.lesion and fact.patient}
    groups = [fact.patient or patients.get(fact.lesion, fact.lesion) for fact in facts]
    lesions = defaultdict(list)
    for index, fact in enumerate(facts):
        if fact.lesion:
            lesions[fact.lesion].append(index)
    groups = join_groups(groups, ((members[0], member) for members in lesions.values() for member in members))
    return [replace(image, group=group) for image, group in zip(chosen, groups, strict=True)]
