"""Classes of images in a task, images that a task leaves out with the reason, and images that must stay together."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.public_sets.diagnoses import COLUMNS, Diagnoses
from melanoma_pl.data.public_sets.download import LeftOut, SourceImage
from melanoma_pl.errors import UserError

NO_DIAGNOSIS = "no diagnosis"
UNKNOWN = "unknown diagnosis"
UNCERTAIN = "malignancy uncertain"
TOO_COARSE = "diagnosis too coarse to tell melanoma"


TASKS = {  # the classes to tell apart, the positive class last
    "malignant-vs-benign": CLASS_NAMES,
    "melanoma-vs-nevus": ("nevus", "melanoma"),
    "melanoma-vs-rest": ("rest", "melanoma"),
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
    entries: Iterable[SourceImage], task: str, diagnoses: Diagnoses, unknown: str
) -> tuple[list[Chosen], list[LeftOut]]:
    """Give each image its class, or leave it out.

    Args:
        entries: The images.
        task: Name of the task.
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


def _decide(entry: SourceImage, task: str, diagnoses: Diagnoses) -> tuple[str, str]:
    """Return the class and the diagnosis, or an empty class and the reason why the image is left out."""
    written, classes = entry.facts.written, TASKS[task]
    if entry.facts.unfit or not written:
        return "", entry.facts.unfit or NO_DIAGNOSIS
    found = diagnoses.find(written)
    if found is None:
        return "", UNKNOWN
    # a benign lesion is not a melanoma, whatever its kind
    is_clear = found.kind or classes == CLASS_NAMES or ("rest" in classes and found.malignancy == "benign")
    if not is_clear and written[0] not in diagnoses:
        return "", UNKNOWN
    if found.malignancy == "uncertain":
        return "", UNCERTAIN
    if not is_clear:
        return "", TOO_COARSE
    label = next((name for name in (found.malignancy, found.kind, "rest") if name in classes), "")
    return (label, found.name) if label else ("", f"not used by {task}")


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
