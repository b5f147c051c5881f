"""Files of a report: `metrics.json` and `predictions.csv`."""

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from melanoma_pl.evaluation.assessment import intervals_of, summarise
from melanoma_pl.files import write_atomically
from melanoma_pl.inference.ensemble import Ensemble
from melanoma_pl.report.analysis import SplitPredictions
from melanoma_pl.report.content import Content
from melanoma_pl.report.request import EvaluationRequest

TAGS = {"validation": "val", "test": "test"}
EMBEDDED = ("image", "heat_map", "control")  # images of a mistake: only the page shows them
COLUMNS = ("path", "probability", "decision", "label", "logit", "group", "shares_lesion_with_train")


def write_metrics(
    ensemble: Ensemble, request: EvaluationRequest, predictions: SplitPredictions, content: Content
) -> dict[str, float]:
    """Write `metrics.json`.

    Returns:
        The figures of all images by their tags (`val/auroc`); those that cannot be computed are omitted.
    """
    decision, tag = ensemble.decision, TAGS[request.split]
    rows: dict[str, dict[str, Any]] = {}
    for figures in content.sets:
        mask = ~predictions.is_seen if rows else np.ones(len(predictions.images), dtype=bool)
        arguments = predictions.probabilities[mask], predictions.images.targets[mask], decision.threshold
        rows[figures.title] = {**summarise(*arguments), "intervals": intervals_of(*arguments)}
    if len(ensemble.members) == 1:
        rows[request.split]["loss"] = _loss(ensemble, predictions)
    metrics = {f"{tag}/{name}": value for name, value in rows[request.split].items() if isinstance(value, int | float)}
    text = {
        "split": request.split,
        "runs": [str(each.run.folder.resolve()) for each in request.runs],
        "images": str(predictions.images.root.resolve()),
        "temperature": decision.temperature,
        "threshold": decision.threshold,
        "notes": [*content.warnings, *content.notes, content.disclaimer],
        "metrics": metrics,
        "rows": rows,
        "report": _plain(_repeatable(content)),
    }
    with write_atomically(request.folder / "metrics.json") as file:
        json.dump(text, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return metrics


def _loss(ensemble: Ensemble, predictions: SplitPredictions) -> float:
    """Return the loss as of the live curve: weighted, before calibration."""
    classifier = ensemble.members[0].classifier
    arrays = predictions.logits, predictions.images.targets
    with torch.inference_mode():
        return float(classifier.loss(*(torch.from_numpy(array).to(classifier.device) for array in arrays)))


def _repeatable(content: Content) -> dict[str, Any]:
    """Return the content as plain values without images, predictions and times: equal evaluations give equal files."""
    values = asdict(content)
    del values["curves"], values["facts"]["evaluated"], values["facts"]["evaluated with"]
    for mistake in (*values["false_negatives"], *values["false_positives"]):
        for name in EMBEDDED:
            del mistake[name]
    return values


def _plain(value: Any) -> Any:
    """Return a value with NaN and infinity, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_predictions(
    predictions: SplitPredictions, threshold: float, class_names: tuple[str, str], folder: Path
) -> None:
    """Write `predictions.csv`, one row an image."""
    images, is_ood = predictions.images, predictions.is_ood
    with write_atomically(folder / "predictions.csv") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "out_of_distribution"])
        for index, (path, probability) in enumerate(zip(images.paths, predictions.probabilities.tolist(), strict=True)):
            decision, label = class_names[probability >= threshold], class_names[images.targets[index]]
            group = images.groups[index] if images.groups else ""
            flags = int(predictions.is_seen[index]), "" if is_ood is None else int(is_ood[index])
            writer.writerow([path, probability, decision, label, float(predictions.logits[index]), group, *flags])
