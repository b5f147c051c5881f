"""`predictions.csv`: where a model's predictions lie, and what they say of each image. Light.

A run that was trained on all images keeps the predictions of the cross-validation that decides in `out_of_fold.csv`.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.errors import UserError
from melanoma_pl.files import TableReader, TableWriter, write_atomically
from melanoma_pl.messages import SYNTHETIC, hydra_word
from melanoma_pl.runs.run_folder import LATEST, RECORD, REPORT, UNREADABLE, Run, open_run, reason_of, report_name

if TYPE_CHECKING:
    from melanoma_pl.evaluation.metrics import Counts

PREDICTIONS = "predictions.csv"
METRICS = "metrics.json"
OUT_OF_FOLD = "out_of_fold.csv"
SPLITS = ("test", "validation")  # in the order of preference
COLUMNS = ("path", "probability", "decision", "label")


@dataclass(frozen=True)
class Source:
    """A place that predictions come from: the folder of a run or of a report, or a table.

    Attributes:
        path: The place, as it was typed.
        tables: Split → its table.
        run: The run whose folder `path` is or lies in, if any.
    """

    path: Path
    tables: Mapping[str, Path]
    run: Run | None

    def command(self, split: str) -> str:
        """Return the command that writes the table of a split."""
        run = "run=<run folder>" if self.run is None else hydra_word("run", str(self.run.folder))
        return f"melanoma-evaluate {run} split={split}"


class OutOfFold(NamedTuple):
    """The prediction of an image by the network of a cross-validation that was not trained on its fold.

    Attributes:
        path: Path relative to the root of the images, with `/`.
        sha256: Hash of the file; empty if unknown.
        label: Name of the class.
        logit: The logit, before calibration.
        network: Folder of the network's run.
    """

    path: str
    sha256: str
    label: str
    logit: float
    network: str


def read_out_of_fold(table: Path, hashes: Mapping[str, str] | None = None, network: str = "") -> list[OutOfFold]:
    """Return the rows of `out_of_fold.csv`, or those of a report's `predictions.csv` with what that lacks.

    Args:
        table: The file.
        hashes: Path → hash of each image of a report; a missing one is unknown.
        network: Folder of the run that a report is of.

    Raises:
        UserError: If it cannot be read, or is empty.
    """
    try:
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = [
                row if hashes is None else {**row, "sha256": hashes.get(row["path"], ""), "network": network}
                for row in TableReader(file)
            ]
        found = [
            OutOfFold(row["path"], row["sha256"], row["label"], float(row["logit"]), row["network"]) for row in rows
        ]
        if not found or not all(math.isfinite(each.logit) for each in found):
            raise ValueError("it lacks logits")
    except UNREADABLE as error:
        raise UserError(f"{table} cannot be read ({reason_of(error)})", "make it anew, or restore it") from error
    return found


def write_out_of_fold(run: Run, predictions: Sequence[OutOfFold]) -> None:
    """Write `out_of_fold.csv` into a run's folder."""
    with write_atomically(run.folder / OUT_OF_FOLD) as file:
        writer = TableWriter(file, OutOfFold._fields)
        writer.writeheader()
        writer.writerows(each._asdict() for each in predictions)


def find_source(path: Path) -> Source:
    """Return the source of predictions at a path; `latest` is the newest finished run.

    Raises:
        UserError: If nothing there can hold predictions.
    """
    if not path.exists():
        if str(path) == LATEST:
            return find_source(open_run(LATEST).folder)
        raise UserError(f"{path} does not exist", "name a run's folder; melanoma-runs list shows them")
    run = next((Run(folder) for folder in (path, *path.absolute().parents) if (folder / RECORD).is_file()), None)
    is_run = run is not None and run.folder == path
    table = path if path.is_file() else path / PREDICTIONS
    if table.is_file() and not is_run:
        named = split_of(table)
        return Source(path, {split: table for split in SPLITS if named == split or named not in SPLITS}, run)
    report = path / REPORT if is_run else path
    tables = {split: report / split / PREDICTIONS for split in SPLITS}
    found = {split: table for split, table in tables.items() if table.is_file()}
    if found or is_run:
        return Source(path, found, run)
    raise UserError(
        f"{path} is not a run's folder and does not hold {PREDICTIONS}",
        "name a run's folder (melanoma-runs list shows them), or a report's that melanoma-evaluate wrote",
    )


def split_of(table: Path) -> str:
    """Return the split that a table's folder names: `test` for both `test` and `test_dihedral`."""
    return table.resolve().parent.name.partition("_")[0]


def choose_split(first: Source, second: Source, wanted: str | None) -> str:
    """Return the split to compare on: the wanted one, or else the first that both sources have.

    Raises:
        UserError: If one of the sources does not have it.
    """
    for split in (wanted,) if wanted else SPLITS:
        if split in first.tables and split in second.tables:
            return split
    split = wanted or SPLITS[0]
    missing = [source for source in (first, second) if split not in source.tables]
    raise UserError(
        f"{' and '.join(str(source.path) for source in missing)} hold{'s' if len(missing) == 1 else ''} no "
        f"predictions of the {split} images",
        "make them: " + " and ".join(dict.fromkeys(source.command(split) for source in missing)),
    )


@dataclass(frozen=True)
class PredictedImage:
    """A model's prediction of one image, and its true label.

    Attributes:
        probability: Probability of malignant, in [0, 1].
        is_called_malignant: Decision at the model's own threshold.
        is_malignant: True label.
        group: Lesion, or empty if unknown.
        is_seen: Whether the image shows a lesion of the train folder, or is a copy of an image in it.
    """

    probability: float
    is_called_malignant: bool
    is_malignant: bool
    group: str
    is_seen: bool


@dataclass(frozen=True)
class Predictions:
    """The predictions of one model or ensemble.

    Attributes:
        source: Where they come from.
        split: `test` or `validation`.
        images: Path → prediction, in the order of the table.
        threshold: Threshold of the decisions, in [0, 1]; None if unknown.
        own_images: Whether the images are those of the run, so that a path names the same image as in `images.csv`.
        is_synthetic: Whether the images were drawn by a program.
        runs: The run, or the members of the ensemble; none if unknown.
        records: Their records, in the same order.
    """

    source: Source
    split: str
    images: dict[str, PredictedImage]
    threshold: float | None
    own_images: bool
    is_synthetic: bool
    runs: tuple[Run, ...]
    records: tuple[dict[str, Any], ...]


def read_predictions(source: Source, split: str) -> Predictions:
    """Return the predictions of a split that the source has.

    Raises:
        UserError: If the table, or the record of a run, cannot be read.
    """
    table = source.tables[split]
    report: dict[str, Any] = {}
    members: list[Path] = []
    with suppress(*UNREADABLE):  # the table alone is enough
        report = dict(json.loads((table.parent / METRICS).read_text(encoding="utf-8")))
        members = [Path(folder) for folder in report["runs"]]
    found = all((folder / RECORD).is_file() for folder in members)
    runs = (source.run,) if source.run else tuple(open_run(folder) for folder in members if found)
    records = tuple(open_run(run.folder).read() for run in runs)
    names = records[0]["config"]["data"]["class_names"] if records else CLASS_NAMES
    images = {}
    for path, image in _read_rows(table, names):
        if path in images:
            raise UserError(f"{table} lists {path} twice", f"make it anew: {source.command(split)}")
        images[path] = image
    if not images:
        raise UserError(f"{table} holds no images", f"make it anew: {source.command(split)}")
    # a report on other images lies one folder deeper
    own = source.run is not None and table.resolve().parents[1] == (source.run.folder / REPORT).resolve()
    own = own and split_of(table) == split
    drawn = (own and bool(records[0]["config"]["data"]["synthetic"])) or SYNTHETIC in report.get("notes", ())
    return Predictions(source, split, images, report.get("threshold"), own, drawn, runs, records)


def recorded_decisions(checkpoint: Path, threshold: float, views: str = "none") -> "tuple[str, Counts] | None":
    """Return what a checkpoint's run recorded at a threshold, on its test images or else on its validation images.

    Args:
        checkpoint: The checkpoint.
        threshold: Threshold of the decisions: figures at another one do not describe them.
        views: `none` or `dihedral`.

    Returns:
        The split and its confusion matrix; None if the checkpoint lies in no run, or its run has no figures at this
        threshold.
    """
    run = Run(checkpoint.absolute().parents[1])
    if checkpoint.absolute().parent != run.checkpoints:
        return None
    from melanoma_pl.evaluation.metrics import Counts  # NumPy

    for split, tag in (("test", "test"), ("validation", "val")):
        with suppress(UserError, *UNREADABLE):
            is_evaluated = checkpoint.stem == run.read()["config"]["checkpoint"]["evaluate"]
            name = report_name(split, views, "" if is_evaluated else checkpoint.stem)
            figures = json.loads((run.folder / REPORT / name / METRICS).read_text("utf-8"))["metrics"]
            counts = Counts(**{field.name: int(figures[f"{tag}/{field.name}"]) for field in fields(Counts)})
            if math.isclose(figures[f"{tag}/threshold"], threshold, rel_tol=1e-6):
                return split, counts
    return None


def _read_rows(table: Path, class_names: tuple[str, str]) -> Iterator[tuple[str, PredictedImage]]:
    try:
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = TableReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise UserError(f"{table} lacks the column {missing[0]}", f"take a {PREDICTIONS} of melanoma-evaluate")
            for row in reader:
                yield row["path"], _image(f"{table}, line {reader.line_num}", row, class_names)
    except (OSError, csv.Error) as error:
        raise UserError(f"{table} cannot be read ({error})") from error


def _image(line: str, row: Mapping[str, str], class_names: tuple[str, str]) -> PredictedImage:
    try:
        probability = float(row["probability"])
    except (TypeError, ValueError):
        probability = -1
    if not 0 <= probability <= 1:
        raise UserError(f"{line}: the probability {row['probability']} is not a number from 0 to 1")
    for column in ("decision", "label"):
        if row[column] not in class_names:
            raise UserError(f"{line}: the {column} {row[column]} is neither {' nor '.join(class_names)}")
    is_called_malignant, is_malignant = (row[column] == class_names[1] for column in ("decision", "label"))
    is_seen = row.get("shares_lesion_with_train") == "1"
    return PredictedImage(probability, is_called_malignant, is_malignant, row.get("group") or "", is_seen)
