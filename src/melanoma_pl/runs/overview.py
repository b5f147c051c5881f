"""What `run.json` says of a run, as far as runs are compared by it. Light: nothing heavy is imported."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.runs.folder import BROKEN, PHOTOS, RECORD, REPORT, Run
from melanoma_pl.runs.listed import ListedPhoto, read_list

FINISHED, STOPPED = "finished", "stopped, or still training"
TEST_METRICS = Path(REPORT, "test", "metrics.json")


@dataclass(frozen=True)
class ValidationPhotos:
    """What runs must have in common for their validation figures to be of the same photos.

    Attributes:
        fingerprint: Of the training folder's photos with their labels and lesions; where none is noted, their place.
        on_test: Whether the test photos served as validation.
        group_column: Column that kept a lesion on one side of the cut, or None.
        fold: The fold that was validated on; None where a share was cut.
        fraction: Share of the photos that was cut; None with a fold or on test.
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
        """How the validation photos were chosen, in words."""
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
        photos: Name of the photo set; "synthetic" where it was drawn.
        is_synthetic: Whether it was drawn.
        validation: What its validation figures are of.
        figures: By tag, `val/…` and `test/…`; the latter where the test split was opened.
    """

    folder: Path
    name: str
    status: str
    started: str
    epochs: int
    photos: str
    is_synthetic: bool
    validation: ValidationPhotos
    figures: dict[str, float]


@dataclass(frozen=True)
class Broken:
    """A record, or a list of photos, that cannot be read, and why."""

    record: Path
    reason: str


def read_overview(run: Run) -> Overview | Broken:
    """Return a run's row, or what is wrong with its record."""
    try:
        photos = read_list(run)
    except BROKEN as error:
        return Broken(run.folder / PHOTOS, str(error))
    try:
        return _overview(run.folder, run.read(), photos)
    except BROKEN as error:
        missing = f"it holds no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        return Broken(run.folder / RECORD, missing)


def _overview(folder: Path, record: Mapping[str, Any], photos: list[ListedPhoto] | None) -> Overview:
    config, is_finished = record["config"], record["finished"]
    data = config["data"]
    figures = record["figures"] if is_finished else {}
    return Overview(
        folder=folder,
        name=str(config["name"]),
        status=FINISHED if is_finished else str(record.get("error", STOPPED)),
        started=str(record["started"]),
        epochs=int(config["trainer"]["max_epochs"]),
        photos=configured_name(data),
        is_synthetic=bool(data["synthetic"]),
        validation=_validation(record.get("fingerprint"), data, photos),
        # a sweep's job opens no test split; melanoma-evaluate may have done so since
        figures=_numbers({**(_test_metrics(folder) if is_finished else {}), **figures}),
    )


def configured_name(data: Mapping[str, Any]) -> str:
    """Return what a configuration's photos are called: their folder's or table's name."""
    return "synthetic" if data["synthetic"] else Path(data.get("table") or data["root"]).name


def _validation(fingerprint: str | None, data: Mapping[str, Any], photos: list[ListedPhoto] | None) -> ValidationPhotos:
    on_test, fold = data["validate_on"] == "test", data.get("fold")
    is_cut = not on_test and fold is None
    return ValidationPhotos(
        fingerprint=fingerprint or str(data.get("table") or data["root"]),
        on_test=on_test,
        group_column=data["group_column"],
        fold=fold,
        fraction=float(data["validation_fraction"]) if is_cut else None,
        seed=int(data["split_seed"]) if is_cut else None,
        listed=_hash([photo for photo in photos or () if photo.split == "validation"]),
    )


def _hash(photos: list[ListedPhoto]) -> str | None:
    lines = sorted(f"{photo.path}\t{photo.sha256}" for photo in photos)
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
