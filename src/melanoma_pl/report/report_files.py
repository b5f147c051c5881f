"""A review's files: `report.html`, figures, `metrics.json`, `predictions.csv` and a model card."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_pl.evaluation.assessment import intervals_of, summarise
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.files import copy, write_atomically
from melanoma_pl.report.figures.figure_files import write_figures
from melanoma_pl.report.page import REPORT_PAGE, write_page
from melanoma_pl.report.request import Review

TAGS = {"validation": "val", "test": "test"}
PICTURES = ("image", "heat_map", "control")  # of a mistake: they stand in the page


def write_numbers(review: Review, decision: Decision, folder: Path) -> dict[str, float]:
    """Write `metrics.json` and `predictions.csv` into a folder, which is made if it is not there.

    Args:
        review: What was found.
        decision: Temperature and threshold that it was found with.
        folder: Where they go.

    Returns:
        The figures of all images by their tags (`val/auroc`); those that cannot be computed are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_predictions(review, decision, folder)
    return _write_metrics(review, decision, folder)


def write_pages(review: Review, folder: Path) -> None:
    """Write the page and its figures."""
    write_page(review.content, write_figures(review.content, folder / "figures"), folder)


def show_first(folder: Path, split: str) -> None:
    """Give a run's report its page: that of the test split, or of validation as long as that was not opened."""
    if split == "test" or not (folder / "test" / REPORT_PAGE).is_file():
        copy(folder / split / REPORT_PAGE, folder / REPORT_PAGE)


def rows_of(review: Review, decision: Decision) -> dict[str, dict[str, Any]]:
    """Return the main figures of all images and, where some are known to the network, of the others."""
    split, targets = review.content.split, review.evaluated.targets
    masks = {shown.title: ~review.is_seen for shown in review.content.sets[1:]}
    rows = {}
    for title, mask in {split: np.ones(len(targets), dtype=bool), **masks}.items():
        of_images = (review.malignant[mask], targets[mask], decision.threshold)
        rows[title] = {**summarise(*of_images), "intervals": intervals_of(*of_images)}
    if review.loss is not None:
        rows[split]["loss"] = review.loss
    return rows


def _write_metrics(review: Review, decision: Decision, folder: Path) -> dict[str, float]:
    content, rows = review.content, rows_of(review, decision)
    row = rows[content.split]
    tag = TAGS[content.split]
    figures = {f"{tag}/{name}": value for name, value in row.items() if isinstance(value, int | float)}
    text: Mapping[str, Any] = {
        "split": content.split,
        "runs": list(review.runs),
        "images": str(review.evaluated.root.resolve()),
        "temperature": decision.temperature,
        "threshold": decision.threshold,
        "notes": [*content.warnings, *content.notes, content.disclaimer],
        "metrics": figures,
        "rows": rows,
        "report": _plain(content_of(review)),
    }
    with write_atomically(folder / "metrics.json") as file:
        json.dump(text, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return figures


def content_of(review: Review) -> dict[str, Any]:
    """Return the report's content as plain values.

    Without its pictures, what predictions.csv holds, and when it was asked for: the same images give the same file.
    """
    content = asdict(review.content)
    del content["curves"], content["facts"]["evaluated"], content["facts"]["evaluated with"]
    for mistakes in (content["false_negatives"], content["false_positives"]):
        for mistake in mistakes:
            for name in PICTURES:
                del mistake[name]
    return content


def _plain(value: Any) -> Any:
    """Return a value with what JSON does not know, NaN and infinity, as null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_predictions(review: Review, decision: Decision, folder: Path) -> None:
    evaluated, names = review.evaluated, review.content.class_names
    columns = ["path", "probability", "decision", "label", "logit", "group", "shares_lesion_with_train"]
    with write_atomically(folder / "predictions.csv") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "out_of_distribution"])
        for index, path in enumerate(evaluated.paths):
            probability = float(review.malignant[index])
            called, label = names[int(probability >= decision.threshold)], names[evaluated.targets[index]]
            group = evaluated.groups[index] if evaluated.groups else ""
            unlike = "" if review.is_ood is None else int(review.is_ood[index])
            known = int(review.is_seen[index])
            writer.writerow([path, probability, called, label, float(review.logits[index]), group, known, unlike])
