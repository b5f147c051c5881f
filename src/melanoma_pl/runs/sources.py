"""Where a model's predictions lie: in a run's folder, in a report's, or in a table by itself. Light."""

from dataclasses import dataclass
from pathlib import Path

from melanoma_pl.errors import UserError
from melanoma_pl.overrides import hydra_word
from melanoma_pl.runs.folder import RECORD, REPORT, Run

PREDICTIONS = "predictions.csv"
SPLITS = ("test", "validation")  # in the order in which one of them is taken where none is named


@dataclass(frozen=True)
class Source:
    """Where predictions come from: a run's folder, a report's folder or a table.

    Attributes:
        place: As it was typed.
        report: Folder with a folder a split; None where `place` is, or directly holds, a table.
        run: The run whose folder it is or lies in, if any.
    """

    place: Path
    report: Path | None
    run: Run | None

    def table(self, split: str) -> Path | None:
        """Return the split's table; None where there is none."""
        if self.report is not None:
            path = self.report / split / PREDICTIONS
        else:
            path = self.place / PREDICTIONS if self.place.is_dir() else self.place
            named = split_of(path)
            if named in SPLITS and named != split:
                return None
        return path if path.is_file() else None

    def evaluating(self, split: str) -> str:
        """Return the command that makes the split's table."""
        if self.run is None:
            return f"melanoma-evaluate run=<run folder> split={split}"
        return f"melanoma-evaluate {hydra_word('run', str(self.run.folder))} split={split}"


def split_of(table: Path) -> str:
    """Return what the folder of a table says of its split: `test` of `test` and of `test_dihedral`."""
    return table.resolve().parent.name.partition("_")[0]


def find_source(place: Path) -> Source:
    """Return where predictions are to be taken from.

    Raises:
        UserError: If nothing there could hold any.
    """
    if not place.exists():
        raise UserError(f"{place} does not exist", "name a run's folder; melanoma-runs list shows them")
    run = next((Run(folder) for folder in (place, *place.absolute().parents) if (folder / RECORD).is_file()), None)
    if run is not None and run.folder == place:  # its own report, whatever else lies there
        return Source(place, place / REPORT, run)
    if place.is_file() or (place / PREDICTIONS).is_file():
        return Source(place, None, run)
    if any((place / split / PREDICTIONS).is_file() for split in SPLITS):
        return Source(place, place, run)
    raise UserError(
        f"{place} is no run's folder and holds no {PREDICTIONS}",
        "name a run's folder (melanoma-runs list shows them), or a report's that melanoma-evaluate wrote",
    )


def choose_split(first: Source, second: Source, wanted: str | None) -> str:
    """Return the split to compare on: what is wanted, else the first that both were evaluated on.

    Raises:
        UserError: If one of them was not evaluated on it.
    """
    for split in (wanted,) if wanted else SPLITS:
        if first.table(split) and second.table(split):
            return split
    split = wanted or SPLITS[0]
    missing = [source for source in (first, second) if source.table(split) is None]
    raise UserError(
        f"{' and '.join(str(source.place) for source in missing)} hold{'s' if len(missing) == 1 else ''} no "
        f"predictions of the {split} photos",
        "make them: " + " and ".join(dict.fromkeys(source.evaluating(split) for source in missing)),
    )
