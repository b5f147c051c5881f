"""Which class a photo gets in a task, and which photos are left out of it, with the reason."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.public_sets.diagnoses import COLUMNS, Diagnoses, Diagnosis
from melanoma_pl.data.public_sets.record import Entry, LeftOut
from melanoma_pl.errors import UserError

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
    """A photo that the task uses.

    Attributes:
        label: Its class.
        diagnosis: By the name of all sets; empty where the set has labels alone, or a name too coarse.
        group: Its patient or lesion; empty where unknown.
        split: `train` or `test`.
    """

    entry: Entry
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


def choose_photos(
    entries: Iterable[Entry], task: Task, diagnoses: Diagnoses, unknown: str
) -> tuple[list[Chosen], list[LeftOut]]:
    """Give each photo its class, or leave it out.

    Args:
        entries: The photos.
        task: What is to be told apart.
        diagnoses: What the set's diagnoses mean.
        unknown: What a photo of a diagnosis that is not among them gets: `stop` (an error) or `leave-out`.

    Raises:
        UserError: With `stop`, if there is such a photo; file and line of the first, and all such diagnoses, are named.
    """
    chosen: list[Chosen] = []
    left_out: list[LeftOut] = []
    strangers: list[Entry] = []
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


def _decide(entry: Entry, task: Task, diagnoses: Diagnoses) -> tuple[str, str]:
    """Return the class and the diagnosis, or no class and the reason why the photo is left out."""
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


def _refuse(strangers: list[Entry]) -> None:
    counts = Counter(entry.facts.written[0] for entry in strangers)
    listed = ", ".join(f"'{name}' ({count})" for name, count in counts.most_common())
    raise UserError(
        f"{strangers[0].where}: the diagnosis '{strangers[0].facts.written[0]}' is not in the diagnosis table; all "
        f"that are not, with their photos: {listed}",
        f"say what they mean with --diagnoses FILE (a CSV table with the columns {','.join(COLUMNS)}), or leave these "
        "photos out with --unknown leave-out",
    )
