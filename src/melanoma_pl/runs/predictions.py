"""Where a model's predictions lie: in a run's folder, in a report's, or in a table by itself. Light.

A model's predictions of some images, as `predictions.csv` holds them. Light.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.errors import UserError
from melanoma_pl.messages import SYNTHETIC, hydra_word
from melanoma_pl.runs.run_folder import BROKEN, RECORD, REPORT, Run

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
        f"predictions of the {split} images",
        "make them: " + " and ".join(dict.fromkeys(source.evaluating(split) for source in missing)),
    )


METRICS = "metrics.json"
COLUMNS = ("path", "probability", "decision", "label")
CLASS_NAMES = ("benign", "malignant")  # of a table that belongs to no run


@dataclass(frozen=True)
class PredictedImage:
    """What a model says of one image, and what is true.

    Attributes:
        probability: Of malignant, in [0, 1].
        is_called_malignant: The decision at the model's own threshold.
        is_malignant: The label.
        group: The lesion; empty where it is not known.
        is_seen: Whether it shows a lesion, or is a copy of an image, of the train folder; a part of that validates.
    """

    probability: float
    is_called_malignant: bool
    is_malignant: bool
    group: str
    is_seen: bool


@dataclass(frozen=True)
class Predictions:
    """The predictions of one model.

    Attributes:
        source: Where they come from.
        table: The file.
        split: `test` or `validation`.
        images: By path, in the order of the table.
        threshold: That the decisions were taken with; None where it is not noted.
        own_images: Whether these are images of the run's own set, so that paths mean what they mean in `images.csv`.
        is_synthetic: Whether the images were drawn.
        runs: The run, or all those that judged together; none where they are not known.
        records: What their `run.json` say, in the same order.
    """

    source: Source
    table: Path
    split: str
    images: dict[str, PredictedImage]
    threshold: float | None
    own_images: bool
    is_synthetic: bool
    runs: tuple[Run, ...]
    records: tuple[dict[str, Any], ...]

    @property
    def record(self) -> dict[str, Any] | None:
        """What the first run's `run.json` says; None where no run is known."""
        return next(iter(self.records), None)


def read_predictions(source: Source, split: str) -> Predictions:
    """Return the predictions of one split, which are there.

    Raises:
        UserError: If the table, or the record of a run that judged, cannot be read.
    """
    table = source.table(split)
    assert table is not None  # choose_split saw to it
    report = _read_report(table.parent / METRICS)
    runs = (source.run,) if source.run else _evaluates(report)
    records = tuple(map(_record, runs))
    names = records[0]["config"]["data"]["class_names"] if records else CLASS_NAMES
    images = {}
    for path, image in _read_rows(table, tuple(names)):
        if path in images:
            raise UserError(f"{table} lists {path} twice", f"make it anew: {source.evaluating(split)}")
        images[path] = image
    if not images:
        raise UserError(f"{table} holds no images", f"make it anew: {source.evaluating(split)}")
    own = source.run is not None and _is_own(table, source.run, split)
    drawn = own and bool(records[0]["config"]["data"]["synthetic"])
    drawn = drawn or SYNTHETIC in report.get("notes", ())
    return Predictions(source, table, split, images, report.get("threshold"), own, drawn, runs, records)


def _is_own(table: Path, run: Run, split: str) -> bool:
    """Tell whether a table is of the run's own images: one of another set lies a folder deeper."""
    return table.resolve().parent.parent == (run.folder / REPORT).resolve() and split_of(table) == split


def _read_report(metrics: Path) -> dict[str, Any]:
    """Return what stands beside a table; nothing where that cannot be read."""
    try:
        return dict(json.loads(metrics.read_text(encoding="utf-8")))
    except BROKEN:
        return {}


def _evaluates(report: dict[str, Any]) -> tuple[Run, ...]:
    """Return the runs that judged together, as the report names them, if they are all there."""
    try:
        runs = [Run(Path(folder)) for folder in report["runs"]]
    except BROKEN:
        return ()
    return tuple(runs) if all((run.folder / RECORD).is_file() for run in runs) else ()


def _record(run: Run) -> dict[str, Any]:
    try:
        record = run.read()
        record["config"]["data"]["class_names"]  # what is needed of it
    except BROKEN as error:
        raise UserError(f"{run.folder / RECORD} cannot be read ({error})") from error
    return record


def _read_rows(table: Path, names: tuple[str, ...]) -> Iterator[tuple[str, PredictedImage]]:
    try:
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{table} has no column {missing[0]}", "take a predictions.csv that melanoma-evaluate wrote"
                )
            for row in reader:
                yield row["path"], _image(table, reader.line_num, row, names)
    except (OSError, csv.Error) as error:
        raise UserError(f"{table} cannot be read ({error})") from error


def _image(table: Path, line: int, row: dict[str, str], names: tuple[str, ...]) -> PredictedImage:
    try:
        probability = float(row["probability"])
    except (TypeError, ValueError):
        probability = -1
    if not 0 <= probability <= 1:
        raise UserError(f"{table}, line {line}: the probability {row['probability']} is no number from 0 to 1")
    for column in ("decision", "label"):
        if row[column] not in names:
            raise UserError(f"{table}, line {line}: the {column} {row[column]} is neither {' nor '.join(names)}")
    malignant = names[-1]
    return PredictedImage(
        probability,
        row["decision"] == malignant,
        row["label"] == malignant,
        row.get("group") or "",
        row.get("shares_lesion_with_train") == "1",
    )
