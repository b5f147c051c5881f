"""The record of a run as a row of the list of runs: its state, its figures, and its validation images. Light."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.errors import UserError
from melanoma_pl.runs.image_list import ListedImage, listed_images
from melanoma_pl.runs.run_folder import RECORD, REPORT, UNREADABLE, Run, reason_of

FINISHED, STOPPED = "finished", "stopped, or still training"
TEST_METRICS = Path(REPORT, "test", "metrics.json")


@dataclass(frozen=True)
class ValidationImages:
    """The choices that decide on which images a run validated; figures are comparable only if all are equal.

    Attributes:
        fingerprint: Hash of the training folder's images, labels and lesions; the path of the images if unknown.
        on_test: Whether the test images served as validation.
        group_column: Column whose lesions were kept together, or None.
        fold: The fold that was validated on; None if a fraction was cut.
        fraction: Fraction of the training images that was cut, or 0; None with a fold, on test, or with a validation
            split of the dataset's own.
        seed: Seed of that cut; None in the same cases.
        listed: Hash of the listed paths and files, which a table of splits or folds may change; None without a list.
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
        """The way in which the validation images were chosen, in words."""
        if self.on_test:
            return "validated on test"
        lesions = f", lesions by {self.group_column}" if self.group_column else ""
        if self.fold is not None:
            return f"fold {self.fold}{lesions}"
        if self.fraction is None:
            return "the dataset's validation split"
        if self.fraction == 0:
            return "none, trained on all images"
        return f"{100 * self.fraction:g} % of train by seed {self.seed}{lesions}"


@dataclass(frozen=True)
class Overview:
    """One run, as a row of the list.

    Attributes:
        folder: Its folder.
        name: Its experiment, or `default`.
        status: `finished`, the error, or that it was pruned or stopped.
        started: Start in UTC, as ISO 8601.
        epochs: Number of epochs that it was to train.
        images: Name of the dataset: its folder or table, or `synthetic`.
        is_synthetic: Whether the images were drawn by a program.
        validation: The choices that decide on its validation images.
        figures: Figures by tag: `val/…`, and `test/…` if the test split was opened.
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


def read_overview(run: Run) -> Overview | str:
    """Return the row of a run, or the reason why its record or list of images cannot be read."""
    try:
        return _overview(run.folder, run.read(), listed_images(run).get("validation", []))
    except UserError as error:
        return str(error)
    except UNREADABLE as error:
        return f"{run.folder / RECORD} cannot be read ({reason_of(error)})"


def _overview(folder: Path, record: Mapping[str, Any], validation: Sequence[ListedImage]) -> Overview:
    config, data, is_finished = record["config"], record["config"]["data"], record["finished"]
    figures: dict[str, Any] = {}
    if is_finished:
        with suppress(*UNREADABLE):  # a job of a sweep does not open the test split; melanoma-evaluate may have done so
            figures |= json.loads((folder / TEST_METRICS).read_text(encoding="utf-8"))["metrics"]
        figures |= record["figures"]
    source = data["table"] or data["root"]
    on_test, fold = data["validate_on"] == "test", data["fold"]
    is_cut = not on_test and fold is None and not record.get("has_validation_split")
    lines = sorted(f"{image.path}\t{image.sha256}" for image in validation)
    listed = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]
    return Overview(
        folder=folder,
        name=str(config["name"]),
        status=FINISHED if is_finished else str(record.get("error") or record.get("pruned") or STOPPED),
        started=str(record["started"]),
        epochs=int(config["trainer"]["max_epochs"]),
        images="synthetic" if data["synthetic"] else Path(source).name,
        is_synthetic=bool(data["synthetic"]),
        validation=ValidationImages(
            fingerprint=record.get("fingerprint") or str(source),
            on_test=on_test,
            group_column=data["group_column"],
            fold=fold,
            fraction=float(data["validation_fraction"]) if is_cut else None,
            seed=int(data["split_seed"]) if is_cut else None,
            listed=listed if lines else None,
        ),
        figures={
            tag: value for tag, value in figures.items() if isinstance(value, int | float) and math.isfinite(value)
        },
    )
