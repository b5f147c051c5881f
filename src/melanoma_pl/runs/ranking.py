"""What `run.json` says of a run, as far as runs are compared by it. Light: nothing heavy is imported.

The runs below a folder, those of the same validation images side by side, the best first. Light.
"""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.config.schema import direction
from melanoma_pl.errors import UserError, did_you_mean
from melanoma_pl.runs.image_list import ListedImage, read_list
from melanoma_pl.runs.run_folder import BROKEN, IMAGES, RECORD, REPORT, Run, all_runs

FINISHED, STOPPED = "finished", "stopped, or still training"
TEST_METRICS = Path(REPORT, "test", "metrics.json")


@dataclass(frozen=True)
class ValidationImages:
    """What runs must have in common for their validation figures to be of the same images.

    Attributes:
        fingerprint: Of the training folder's images with their labels and lesions; where none is noted, their place.
        on_test: Whether the test images served as validation.
        group_column: Column that kept a lesion on one side of the cut, or None.
        fold: The fold that was validated on; None where a share was cut.
        fraction: Share of the images that was cut; None with a fold or on test.
        seed: Of that cut; None with a fold or on test.
        listed: Hash of their paths and files, which a table of splits or folds may change; None where none are listed.
    """

    fingerprint: str
    on_test: bool
    group_column: str | None
    fold: int | None
    fraction: float | None
    seed: int | None
    listed: str | None

    @property
    def cut(self) -> str:
        """How the validation images were chosen, in words."""
        if self.on_test:
            return "validated on test"
        lesions = f", lesions by {self.group_column}" if self.group_column else ""
        if self.fold is not None:
            return f"fold {self.fold}{lesions}"
        return f"{100 * (self.fraction or 0):g} % of train by seed {self.seed}{lesions}"


@dataclass(frozen=True)
class Overview:
    """One run, as a row of the list.

    Attributes:
        folder: Its folder.
        name: Its experiment, or `default`.
        status: `finished`, or what became of it.
        started: ISO 8601, UTC.
        epochs: That it was to be trained for.
        images: Name of the image set; "synthetic" where it was drawn.
        is_synthetic: Whether it was drawn.
        validation: What its validation figures are of.
        figures: By tag, `val/…` and `test/…`; the latter where the test split was opened.
    """

    folder: Path
    name: str
    status: str
    started: str
    epochs: int
    images: str
    is_synthetic: bool
    validation: ValidationImages
    figures: dict[str, float]


@dataclass(frozen=True)
class Broken:
    """A record, or a list of images, that cannot be read, and why."""

    record: Path
    reason: str


def read_overview(run: Run) -> Overview | Broken:
    """Return a run's row, or what is wrong with its record."""
    try:
        images = read_list(run)
    except BROKEN as error:
        return Broken(run.folder / IMAGES, str(error))
    try:
        return _overview(run.folder, run.read(), images)
    except BROKEN as error:
        missing = f"it holds no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        return Broken(run.folder / RECORD, missing)


def _overview(folder: Path, record: Mapping[str, Any], images: list[ListedImage] | None) -> Overview:
    config, is_finished = record["config"], record["finished"]
    data = config["data"]
    figures = record["figures"] if is_finished else {}
    return Overview(
        folder=folder,
        name=str(config["name"]),
        status=FINISHED if is_finished else str(record.get("error", STOPPED)),
        started=str(record["started"]),
        epochs=int(config["trainer"]["max_epochs"]),
        images=configured_name(data),
        is_synthetic=bool(data["synthetic"]),
        validation=_validation(record.get("fingerprint"), data, images),
        # a sweep's job opens no test split; melanoma-evaluate may have done so since
        figures=_numbers({**(_test_metrics(folder) if is_finished else {}), **figures}),
    )


def configured_name(data: Mapping[str, Any]) -> str:
    """Return what a configuration's images are called: their folder's or table's name."""
    return "synthetic" if data["synthetic"] else Path(data.get("table") or data["root"]).name


def _validation(fingerprint: str | None, data: Mapping[str, Any], images: list[ListedImage] | None) -> ValidationImages:
    on_test, fold = data["validate_on"] == "test", data.get("fold")
    is_cut = not on_test and fold is None
    return ValidationImages(
        fingerprint=fingerprint or str(data.get("table") or data["root"]),
        on_test=on_test,
        group_column=data["group_column"],
        fold=fold,
        fraction=float(data["validation_fraction"]) if is_cut else None,
        seed=int(data["split_seed"]) if is_cut else None,
        listed=_hash([image for image in images or () if image.split == "validation"]),
    )


def _hash(images: list[ListedImage]) -> str | None:
    lines = sorted(f"{image.path}\t{image.sha256}" for image in images)
    text = "\n".join(lines).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()[:16] if lines else None


def _test_metrics(folder: Path) -> dict[str, Any]:
    """Return the figures of the report on test; none where there is no report that can be read."""
    try:
        return dict(json.loads((folder / TEST_METRICS).read_text(encoding="utf-8"))["metrics"])
    except BROKEN:
        return {}


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {tag: value for tag, value in figures.items() if isinstance(value, int | float) and math.isfinite(value)}


BY = "val/auroc"
TEST = "test/"
COUNTS = ("n", "positives", "threshold")  # no run is better for having more of them
OUTCOMES = ("true_", "false_")


@dataclass(frozen=True)
class Group:
    """Runs whose validation figures are of the same images.

    Attributes:
        validation: Those images.
        images: Name of the image set.
        ranked: The best first; none of them where the test images served as validation.
        unranked: Those that cannot be ranked, the newest first.
    """

    validation: ValidationImages
    images: str
    ranked: tuple[Overview, ...]
    unranked: tuple[Overview, ...]

    @property
    def runs(self) -> tuple[Overview, ...]:
        """All of them, in the order of the table."""
        return (*self.ranked, *self.unranked)


@dataclass(frozen=True)
class RunRanking:
    """What a folder holds.

    Attributes:
        folder: Where was looked.
        by: The figure that ranks.
        groups: Finished runs; those that validated on test come last.
        unfinished: Runs that failed or were stopped, the newest first.
        broken: Records that cannot be read.
    """

    folder: Path
    by: str
    groups: tuple[Group, ...]
    unfinished: tuple[Overview, ...]
    broken: tuple[Broken, ...]

    @property
    def is_synthetic(self) -> bool:
        """Whether any of the ranked images were drawn."""
        return any(run.is_synthetic for group in self.groups for run in group.runs)


def rank_runs(folder: Path, by: str = BY) -> RunRanking:
    """Return the runs below a folder, ranked by a validation figure.

    Raises:
        UserError: If there is no run, or nothing can be ranked by this figure.
    """
    if by.startswith(TEST):
        raise UserError(f"--by {by} would choose on the test images", f"take a figure of validation, such as --by {BY}")
    if not folder.is_dir():
        wrong = "is no folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {wrong}", "name the folder that the runs lie in: melanoma-runs list FOLDER")
    found = [read_overview(run) for run in all_runs(folder)]
    if not found:
        raise UserError(f"there is no run below {folder}", "train one with melanoma-train, or name another folder")
    runs = [run for run in found if isinstance(run, Overview)]
    finished = [run for run in runs if run.status == FINISHED]
    _check_figure(by, finished)
    return RunRanking(
        folder,
        by,
        _group(finished, by),
        tuple(run for run in runs if run.status != FINISHED),
        tuple(run for run in found if isinstance(run, Broken)),
    )


def _check_figure(by: str, finished: list[Overview]) -> None:
    """Refuse a figure that no run has, or that makes none better.

    Raises:
        UserError: If it is one.
    """
    tags = {tag for run in finished for tag in run.figures if tag.startswith("val/")}
    rankable = {tag for tag in tags if tag[4:] not in COUNTS and not tag[4:].startswith(OUTCOMES)}
    if finished and by not in rankable:
        raise UserError(f"--by {by}: no run can be ranked by that", did_you_mean(by, rankable or {BY}))


def _group(finished: Iterable[Overview], by: str) -> tuple[Group, ...]:
    """Return the groups, that of the newest run first."""
    together: dict[ValidationImages, list[Overview]] = defaultdict(list)
    for run in sorted(finished, key=lambda run: run.started, reverse=True):
        together[run.validation].append(run)
    groups = [_ranked(validation, runs, by) for validation, runs in together.items()]
    return tuple(sorted(groups, key=lambda group: group.validation.on_test))


def _ranked(validation: ValidationImages, runs: list[Overview], by: str) -> Group:
    sign = 1 if direction(by) == "min" else -1
    can_be_ranked = [run for run in runs if by in run.figures and not validation.on_test]
    ranked = sorted(can_be_ranked, key=lambda run: sign * run.figures[by])
    return Group(validation, runs[0].images, tuple(ranked), tuple(run for run in runs if run not in can_be_ranked))
