"""Meanings of diagnoses as the datasets write them: `diagnoses.csv` beside this file, and a table of the user's own.

Columns: `set`; `written`, in upper or lower case; `diagnosis`, one name for all datasets; `malignancy`: benign,
malignant or uncertain; `kind`: melanoma, nevus, other, or empty where the name is too coarse to say whether it is a
melanoma; `why`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.data.public_sets.download import TableRow, read_rows
from melanoma_pl.errors import UserError, did_you_mean

TABLE = Path(__file__).with_name("diagnoses.csv")
COLUMNS = ("set", "written", "diagnosis", "malignancy", "kind", "why")
ALLOWED = {"malignancy": ("benign", "malignant", "uncertain"), "kind": ("melanoma", "nevus", "other", "")}


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


@dataclass(frozen=True)
class Diagnoses:
    """The diagnoses of one dataset.

    Attributes:
        meanings: Diagnosis as written, in lower case → its meaning.
    """

    meanings: dict[str, Diagnosis]

    def __contains__(self, written: str) -> bool:
        return _normal(written) in self.meanings

    def find(self, written: Sequence[str]) -> Diagnosis | None:
        """Return the meaning of the first of these names that is known; None if none is.

        A name that is not in the table is so covered by a coarser one that is: ISIC's names form a hierarchy.
        """
        return next((self.meanings[_normal(name)] for name in written if name in self), None)


def read_diagnoses(dataset: str, own: Path | None = None) -> Diagnoses:
    """Read the diagnoses of one dataset.

    Args:
        dataset: Its name.
        own: A table of the user's own with the same columns, whose rows replace or join ours.

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
    return Diagnoses(meanings)


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
