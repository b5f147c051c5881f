"""Run folders as training and evaluation leave them, without any training."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DATA = {
    "root": "images",
    "synthetic": None,
    "table": None,
    "class_names": ["benign", "malignant"],
    "folder_names": {},
    "validation_fraction": 0.2,
    "validate_on": "validation",
    "split_seed": 0,
    "fold": None,
    "group_column": None,
}
CONFIG = {
    "name": "default",
    "optimized_metric": "val/auroc",
    "trainer": {"max_epochs": 5},
    "checkpoint": {"evaluate": "best"},
    "augmentation": {},
    "callbacks": {},
}
FIGURES = {"n": 40, "positives": 20, "auroc": 0.8, "sensitivity": 0.95, "specificity": 0.5, "log_loss": 0.5}
Row = tuple[str, float, str]  # path, probability, label


def tagged(split: str, **changes: float) -> dict[str, float]:
    return {f"{split}/{name}": value for name, value in (FIGURES | changes).items()}


def write_run(
    folder: Path,
    figures: dict[str, float] | None = None,
    data: dict[str, Any] | None = None,
    **record: Any,
) -> Path:
    """Write `run.json` of a finished run, with some of it changed."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "format": 2,
        "command": "melanoma-train",
        "folder": "/",
        "overrides": [],
        "config_dirs": [],
        "composed": {},
        "in_sweep": False,
        "versions": {},
        "git_commit": None,
        "started": "2026-01-02T03:04:05+00:00",
        "finished": True,
        "config": CONFIG | {"data": DATA | (data or {})},
        "fingerprint": "0123456789abcdef",
        "figures": tagged("val") if figures is None else figures,
    }
    (folder / "run.json").write_text(json.dumps(content | record))
    return folder


def rows_of(probabilities: Sequence[float], labels: str, split: str = "test") -> list[Row]:
    """Return a row an image; labels are letters, `m` and `b`."""
    names = {"m": "malignant", "b": "benign"}
    pairs = zip(probabilities, labels, strict=True)
    return [(f"{split}/{index:03d}.png", value, names[letter]) for index, (value, letter) in enumerate(pairs)]


def write_predictions(
    folder: Path,
    rows: Sequence[Row],
    threshold: float = 0.5,
    groups: Sequence[str] | None = None,
) -> Path:
    """Write `predictions.csv` and `metrics.json` into a report's folder of one split."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "probability", "decision", "label", "logit", "group", "shares_lesion_with_train"])
        for index, (path, probability, label) in enumerate(rows):
            decision = "malignant" if probability >= threshold else "benign"
            writer.writerow([path, probability, decision, label, 0, groups[index] if groups else "", 0])
    (folder / "metrics.json").write_text(json.dumps({"threshold": threshold, "metrics": {"test/auroc": 0.7}}))
    return folder / "predictions.csv"


def write_images(run: Path, **splits: Sequence[Row]) -> None:
    """Write `images.csv`; a file's hash is its path's, or what follows a # in it."""
    with (run / "images.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", "label", "group", "sha256"])
        for split, rows in splits.items():
            for path, _, label in rows:
                name, _, content = path.partition("#")
                writer.writerow([name, split, label, "", content or name])
