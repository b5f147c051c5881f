"""Meanings of diagnoses as the datasets write them, and the class that an image gets in each task.

The meanings are in `diagnoses.csv` beside this file, and in a table of the user's own. Columns: `set`; `written`, in
upper or lower case; `diagnosis`, one name for all datasets; `malignancy`: benign, malignant or uncertain; `kind`:
melanoma, nevus, other, or empty where the name is too coarse to say whether it is a melanoma; `why`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.data.public_sets.download import LeftOut, SourceImage, TableRow, read_rows
from melanoma_pl.errors import UserError, did_you_mean

TABLE = Path(__file__).with_name("diagnoses.csv")
COLUMNS = ("set", "written", "diagnosis", "malignancy", "kind", "why")
ALLOWED = {"malignancy": ("benign", "malignant", "uncertain"), "kind": ("melanoma", "nevus", "other", "")}
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
class Diagnosis:
    """The meaning of a written diagnosis.

    Attributes:
        name: One name for all datasets.
        malignancy: `benign`, `malignant` or `uncertain`.
        kind: `melanoma`, `nevus`, `other`, or empty where the name is too coarse to say.
    """

    name: str
    malignancy: str
    kind: str


@dataclass(frozen=True, slots=True)
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


def read_diagnoses(dataset: str, own: Path | None = None) -> dict[str, Diagnosis]:
    """Read the diagnoses of one dataset.

    Args:
        dataset: Its name.
        own: A table of the user's own with the same columns, whose rows replace or join ours.

    Returns:
        Diagnosis as written, in lower case → its meaning.

    Raises:
        UserError: If the user's table is missing or wrong; file and line are named.
    """
    ours = read_rows(TABLE, COLUMNS)
    meanings = _meanings(ours, dataset)
    if own is not None:
        if not own.is_file():
            way_out = f"give a CSV table with the columns {','.join(COLUMNS)}"
            raise UserError(f"--diagnoses {own} does not exist", way_out)
        rows, names = read_rows(own, COLUMNS[:-1]), {row.cells["set"] for row in ours}
        for row in rows:
            if (name := row.cells["set"]).lower() not in names:
                raise UserError(f"{row.where}: there is no dataset '{name}'", did_you_mean(name, names))
        meanings |= _meanings(rows, dataset)
    return meanings


def malignancies() -> dict[str, str]:
    """Return the malignancy of each diagnosis, whichever dataset wrote it: name in lower case → malignancy.

    A name that datasets understand differently is `uncertain`.
    """
    found: dict[str, str] = {}
    for row in read_rows(TABLE, COLUMNS):
        for name in (_normal(row.cells["written"]), _normal(row.cells["diagnosis"])):
            same = found.setdefault(name, row.cells["malignancy"]) == row.cells["malignancy"]
            found[name] = found[name] if same else "uncertain"
    return found


def _meanings(rows: list[TableRow], dataset: str) -> dict[str, Diagnosis]:
    meanings: dict[str, Diagnosis] = {}
    for row in rows:
        written = _normal(row.cells["written"])
        if row.cells["set"].lower() != dataset:
            continue
        if written in meanings:
            raise UserError(f"{row.where}: '{row.cells['written']}' already has a row", "delete one of them")
        meanings[written] = _meaning(row)
    return meanings


def _meaning(row: TableRow) -> Diagnosis:
    for column, allowed in ALLOWED.items():
        if row.cells[column].lower() not in allowed:
            names = [name or "nothing" for name in allowed]
            raise UserError(f"{row.where}: {column} is '{row.cells[column]}'", did_you_mean(row.cells[column], names))
    malignancy, kind = (row.cells[column].lower() for column in ALLOWED)
    if (kind, malignancy) in {("melanoma", "benign"), ("nevus", "malignant")}:
        raise UserError(f"{row.where}: a {malignancy} {kind} is not possible", "change malignancy or kind")
    return Diagnosis(row.cells["diagnosis"], malignancy, kind)


def _normal(written: str) -> str:
    return " ".join(written.lower().split())


def choose_images(
    entries: Iterable[SourceImage], task: str, diagnoses: Mapping[str, Diagnosis], unknown: str
) -> tuple[list[Chosen], list[LeftOut]]:
    """Give each image its class, or leave it out.

    Args:
        entries: The images.
        task: Name of the task.
        diagnoses: Meanings of the dataset's diagnoses, as of `read_diagnoses`.
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


def _decide(entry: SourceImage, task: str, diagnoses: Mapping[str, Diagnosis]) -> tuple[str, str]:
    """Return the class and the diagnosis, or an empty class and the reason why the image is left out."""
    written, classes = entry.facts.written, TASKS[task]
    if entry.facts.unfit or not written:
        return "", entry.facts.unfit or NO_DIAGNOSIS
    # a name that is not in the table is covered by a coarser one that is: ISIC's names form a hierarchy
    found = next((diagnoses[name] for name in map(_normal, written) if name in diagnoses), None)
    if found is None:
        return "", UNKNOWN
    # a benign lesion is not a melanoma, whatever its kind
    is_clear = found.kind or classes == CLASS_NAMES or ("rest" in classes and found.malignancy == "benign")
    if not is_clear and _normal(written[0]) not in diagnoses:
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
