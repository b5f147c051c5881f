"""The numbers of a set of photos, gathered for JSON, and as a table for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

from numpy.typing import ArrayLike

from melanoma_pl.evaluation.intervals import Interval, delong, wilson
from melanoma_pl.evaluation.metrics import auroc, average_precision, brier, count, log_loss

NOT_COMPUTABLE = "not\ncomputable"
COLUMNS = {
    "n": "n",
    "positives": "positives",
    "auroc": "AUROC\n[95 % CI]",
    "average_precision": "average\nprecision",
    "accuracy": "accuracy\n[95 % CI]",
    "sensitivity": "sensitivity\n[95 % CI]",
    "specificity": "specificity\n[95 % CI]",
    "threshold": "threshold",
}
NAME_WIDTH = 15

Cell = list[str]


def summarise(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> dict[str, float | int | None]:
    """Return every reported number of one set of photos.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: in [0, 1]; the decision is probability >= threshold.

    Returns:
        n, positives, auroc, average_precision, accuracy, sensitivity, specificity, balanced_accuracy, log_loss, brier,
        threshold, true_positives, false_positives, true_negatives, false_negatives; None where it cannot be computed.
    """
    counts = count(probabilities, targets, threshold)
    return {
        "n": counts.n,
        "positives": counts.positives,
        "auroc": auroc(probabilities, targets),
        "average_precision": average_precision(probabilities, targets),
        "accuracy": counts.accuracy,
        "sensitivity": counts.sensitivity,
        "specificity": counts.specificity,
        "balanced_accuracy": counts.balanced_accuracy,
        "log_loss": log_loss(probabilities, targets),
        "brier": brier(probabilities, targets),
        "threshold": float(threshold),
        **asdict(counts),
    }


def intervals_of(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> dict[str, Interval | None]:
    """Return the 95 % confidence intervals of auroc (DeLong), accuracy, sensitivity and specificity (Wilson).

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: in [0, 1]; the decision is probability >= threshold.
    """
    counts = count(probabilities, targets, threshold)
    return {
        "auroc": delong(probabilities, targets),
        "accuracy": wilson(counts.true_positives + counts.true_negatives, counts.n),
        "sensitivity": wilson(counts.true_positives, counts.positives),
        "specificity": wilson(counts.true_negatives, counts.negatives),
    }


def format_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a plain-text table, at most 120 characters wide, with an interval below each number that has one.

    Args:
        rows: for each name of a set of photos what `summarise` returns, and under the key `intervals`, where wanted,
            what `intervals_of` returns (tuples, or lists as they come back from JSON).
    """
    header = [[""], *(label.split("\n") for label in COLUMNS.values())]
    body = [[_name_cell(name), *(_cell(key, row) for key in COLUMNS)] for name, row in rows.items()]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(header, *body, strict=True)]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([*_lines(header, widths), rule, *(line for row in body for line in _lines(row, widths))])


def _name_cell(name: str) -> Cell:
    return wrap(name, NAME_WIDTH) or [""]


def _cell(key: str, row: Mapping[str, Any]) -> Cell:
    """Return one cell's lines: the number and, if the row has one, its interval."""
    number = row[key]
    if number is None:
        return NOT_COMPUTABLE.split("\n")
    if isinstance(number, int):
        return [str(number)]
    # A threshold can be far below 0.001, where three decimals would show 0.
    figure = f"{number:.3g}" if key == "threshold" else f"{number:.3f}"
    intervals = row.get("intervals", {})
    if key not in intervals:
        return [figure]
    interval = intervals[key]
    return [figure, f"[{interval[0]:.3f}-{interval[1]:.3f}]" if interval else "[not computable]"]


def _lines(cells: Sequence[Cell], widths: Sequence[int]) -> list[str]:
    """Set cells side by side: the name flush left, the numbers flush right."""
    height = max(len(cell) for cell in cells)
    padded = [cell + [""] * (height - len(cell)) for cell in cells]
    return [
        "  ".join(f"{cell[line]:{'>' if place else '<'}{widths[place]}}" for place, cell in enumerate(padded)).rstrip()
        for line in range(height)
    ]
