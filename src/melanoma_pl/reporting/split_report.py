"""What a checkpoint is worth on one split: the main table, `metrics.json` and `predictions.csv`."""

import csv
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from melanoma_pl.data.folder import Photos
from melanoma_pl.data.loader import PhotoBatches
from melanoma_pl.data.module import MoleDataModule
from melanoma_pl.evaluation.calibration import probabilities
from melanoma_pl.evaluation.table import format_table, intervals_of, summarise
from melanoma_pl.files import write_atomically
from melanoma_pl.inference import predict_logits, split_batches
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.notices import DISCLAIMER

logger = logging.getLogger(__name__)

TAGS = {"validation": "val", "test": "test"}


@dataclass(frozen=True)
class SplitReport:
    """The figures of one split.

    Attributes:
        split: `validation` or `test`.
        rows: Title → figures, of all photos and of those that share no lesion with training.
        notes: What must be said beside them.
    """

    split: str
    rows: dict[str, dict[str, Any]]
    notes: tuple[str, ...]

    @property
    def figures(self) -> dict[str, float]:
        """The figures of all photos by their tags (`val/auroc`); those that cannot be computed are left out."""
        row = self.rows[self.split]
        return {f"{TAGS[self.split]}/{name}": value for name, value in row.items() if isinstance(value, int | float)}

    def text(self) -> str:
        """Return the table with its notes."""
        return "\n".join([format_table(self.rows), *self.notes, DISCLAIMER])


def report_split(
    classifier: MelanomaClassifier,
    data: MoleDataModule,
    split: str,
    folder: Path,
    notes: tuple[str, ...] = (),
    *,
    own_photos: bool = True,
) -> SplitReport:
    """Evaluate a checkpoint's classifier on one split and write the result.

    Args:
        classifier: In evaluation mode, 32-bit.
        data: The photos.
        split: `validation` or `test`.
        folder: Where `<split>/metrics.json` and `<split>/predictions.csv` go.
        notes: What must be said beside the figures.
        own_photos: Whether these are the photos of the run, whose train folder may show the same lesions.
    """
    batches = data.split(split)
    photos = batches.loaded.photos.take(batches.positions.numpy())
    logits = predict_logits(classifier, split_batches(batches, f"evaluating on {split}"))
    malignant = probabilities(logits, classifier.temperature)
    may_share = own_photos and split == "test"
    shared = data.shared_with_train(photos) if may_share else np.zeros(len(photos), dtype=bool)
    rows = {split: _figures(malignant, photos.targets, classifier.threshold)}
    with torch.inference_mode():  # the loss of the live curve: weighted, before calibration
        answers = (torch.from_numpy(array).to(classifier.device) for array in (logits, photos.targets))
        rows[split]["loss"] = float(classifier.loss(*answers))
    if shared.any():
        title = f"{split}, no lesion of train"
        rows[title] = _figures(malignant[~shared], photos.targets[~shared], classifier.threshold)
        notes = (*notes, f"{shared.sum()} of {len(photos)} test photos show a lesion that is also in train.")
    report = SplitReport(split, rows, (*notes, *_broken_note(batches)))
    _write_metrics(folder / split, report, classifier)
    _write_predictions(folder / split, photos, logits, malignant, shared, classifier)
    return report


def _figures(malignant: NDArray[np.float64], targets: NDArray[np.int64], threshold: float) -> dict[str, Any]:
    return {**summarise(malignant, targets, threshold), "intervals": intervals_of(malignant, targets, threshold)}


def _broken_note(batches: PhotoBatches) -> tuple[str, ...]:
    broken = len(batches.loaded.broken)
    return (f"{broken} photos of this folder cannot be read and are left out.",) if broken else ()


def _write_metrics(folder: Path, report: SplitReport, classifier: MelanomaClassifier) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content: Mapping[str, Any] = {
        "split": report.split,
        "temperature": classifier.temperature,
        "threshold": classifier.threshold,
        "notes": [*report.notes, DISCLAIMER],
        "metrics": report.figures,
        "rows": report.rows,
    }
    with write_atomically(folder / "metrics.json") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _write_predictions(
    folder: Path,
    photos: Photos,
    logits: NDArray[np.float32],
    malignant: NDArray[np.float64],
    shared: NDArray[np.bool_],
    classifier: MelanomaClassifier,
) -> None:
    with write_atomically(folder / "predictions.csv") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "probability", "decision", "label", "logit", "group", "shares_lesion_with_train"])
        for index, path in enumerate(photos.paths):
            decision = classifier.class_names[int(malignant[index] >= classifier.threshold)]
            label = classifier.class_names[photos.targets[index]]
            group = photos.groups[index] if photos.groups else ""
            row = [path, float(malignant[index]), decision, label, float(logits[index]), group, int(shared[index])]
            writer.writerow(row)
