"""What a diagnosis, as a set writes it, means: `diagnoses.csv` beside this file, and a table of the user's own.

Columns: `set`; `written`, compared without upper and lower case; `diagnosis`, one name for all sets; `malignancy`:
benign, malignant or uncertain; `kind`: melanoma, nevus, other, or empty where the name is too coarse to say whether it
is a melanoma; `why`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.data.public_sets.source_tables import TableRow, read_rows
from melanoma_pl.errors import UserError, did_you_mean

TABLE = Path(__file__).with_name("diagnoses.csv")
COLUMNS = ("set", "written", "diagnosis", "malignancy", "kind", "why")
ALLOWED = {"malignancy": ("benign", "malignant", "uncertain"), "kind": ("melanoma", "nevus", "other", "")}


@dataclass(frozen=True)
class Diagnosis:
    """What a written diagnosis means.

    Attributes:
        name: One name for all sets.
        malignancy: `benign`, `malignant` or `uncertain`.
        kind: `melanoma`, `nevus`, `other`, or empty where the name is too coarse to say.
    """

    name: str
    malignancy: str
    kind: str


@dataclass(frozen=True)
class Diagnoses:
    """The diagnoses of one set: as written, in lower case → what it means."""

    meanings: dict[str, Diagnosis]

    def __contains__(self, written: str) -> bool:
        return _normal(written) in self.meanings

    def find(self, written: Sequence[str]) -> Diagnosis | None:
        """Return what the first of these names that is known means; None if none is.

        A name that is not in the table is covered by a coarser one that is: ISIC's names lie below each other.
        """
        known = (self.meanings.get(_normal(name)) for name in written)
        return next(filter(None, known), None)


def read_diagnoses(set_name: str, own: Path | None = None) -> Diagnoses:
    """Read the diagnoses of one set.

    Args:
        set_name: Of the set.
        own: A table of the user's own with the same columns, whose rows replace or join ours.

    Raises:
        UserError: If the user's table is missing or wrong; file and line are named.
    """
    ours = read_rows(TABLE, COLUMNS)
    meanings = _meanings(ours, set_name)
    if own is not None:
        if not own.is_file():
            way_out = f"give a CSV table with the columns {','.join(COLUMNS)}"
            raise UserError(f"--diagnoses {own} does not exist", way_out)
        rows = read_rows(own, COLUMNS[:-1])
        _check_sets(rows, {row.cells["set"] for row in ours})
        meanings |= _meanings(rows, set_name)
    return Diagnoses(meanings)


def malignancies() -> dict[str, str]:
    """Return what a diagnosis means whichever set wrote it: name in lower case → benign, malignant or uncertain.

    A name that sets understand differently is uncertain.
    """
    found: dict[str, str] = {}
    for row in read_rows(TABLE, COLUMNS):
        for name in (_normal(row.cells["written"]), _normal(row.cells["diagnosis"])):
            same = found.setdefault(name, row.cells["malignancy"]) == row.cells["malignancy"]
            found[name] = found[name] if same else "uncertain"
    return found


def _check_sets(rows: list[TableRow], names: set[str]) -> None:
    for row in rows:
        if row.cells["set"].lower() not in names:
            raise UserError(f"{row.where}: there is no set '{row.cells['set']}'", did_you_mean(row.cells["set"], names))


def _meanings(rows: list[TableRow], set_name: str) -> dict[str, Diagnosis]:
    meanings: dict[str, Diagnosis] = {}
    for row in rows:
        written = _normal(row.cells["written"])
        if row.cells["set"].lower() != set_name:
            continue
        if written in meanings:
            raise UserError(f"{row.where}: '{row.cells['written']}' has a row before", "leave one of them")
        meanings[written] = _meaning(row)
    return meanings


def _meaning(row: TableRow) -> Diagnosis:
    for column, allowed in ALLOWED.items():
        if row.cells[column].lower() not in allowed:
            names = [name or "nothing" for name in allowed]
            raise UserError(f"{row.where}: {column} is '{row.cells[column]}'", did_you_mean(row.cells[column], names))
    malignancy, kind = (row.cells[column].lower() for column in ALLOWED)
    if (kind, malignancy) in {("melanoma", "benign"), ("nevus", "malignant")}:
        raise UserError(f"{row.where}: a {malignancy} {kind}", "change malignancy or kind")
    return Diagnosis(row.cells["diagnosis"], malignancy, kind)


def _normal(written: str) -> str:
    return " ".join(written.lower().split())
