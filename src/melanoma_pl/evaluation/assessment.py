"""From probabilities and targets to what `assessment` holds: every number with its interval, or with a reason.

The numbers of a set of images, gathered for JSON, and as a table for the terminal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from melanoma_pl.evaluation import metrics, weighted_metrics
from melanoma_pl.evaluation.calibration import probabilities as sigmoid
from melanoma_pl.evaluation.calibration import recalibration_intercept, recalibration_slope
from melanoma_pl.evaluation.checks import (
    SMALLEST,
    Floats,
    Integers,
    check_logits,
    check_scores,
    missing_class,
    too_small,
)
from melanoma_pl.evaluation.intervals import Estimate, Interval, delong, wilson
from melanoma_pl.evaluation.metrics import auroc, average_precision, brier, count, log_loss
from melanoma_pl.evaluation.outcomes import share
from melanoma_pl.evaluation.reliability import bin_errors, calibrated_ece_range, ece_estimate, reliability_bins
from melanoma_pl.evaluation.resampling import bootstrap, resampled
from melanoma_pl.evaluation.results import Calibration, Ranking, Subgroup

SENSITIVITIES = (0.82, 0.9, 0.95)  # 0.82: of the International Skin Imaging Collaboration's challenges


def rank(
    scores: ArrayLike, targets: ArrayLike, groups: ArrayLike | None = None, draws: int | None = None, seed: int = 0
) -> Ranking:
    """Return how well malignant images rank above benign ones.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits, which never tie where images differ, or
            probabilities, which do from a logit of 37 on, where double precision ends.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, the lesion of each image; None if each image stands alone.
        draws: of the bootstrap, which draws lesions where they are known; None for `replicates_for(N)`.
        seed: of the bootstrap.
    """
    scores, targets = check_scores(scores, targets)
    if missing := missing_class(targets):
        none = Estimate(None, None, missing)
        return Ranking(none, None if groups is None else none, none, none, dict.fromkeys(SENSITIVITIES, none))

    order = weighted_metrics.order_of(scores, targets)

    def statistics(weights: Integers) -> Floats:
        points = weighted_metrics.ordered_curves(weights, order)
        figures = [
            weighted_metrics.auroc(points),
            weighted_metrics.average_precision(points),
            weighted_metrics.partial_auroc(points),
        ]
        figures += [weighted_metrics.specificity_at_sensitivity(points, sensitivity) for sensitivity in SENSITIVITIES]
        return np.column_stack(figures)

    owners = weighted_metrics.ordered_groups(order, groups)
    area, precision, partial, *specificities = bootstrap(statistics, targets.size, owners, draws, seed).T
    return Ranking(
        auroc=auroc_with_delong(scores, targets),
        auroc_by_lesion=None if groups is None else _resampled(metrics.auroc(scores, targets), area),
        average_precision=_resampled(metrics.average_precision(scores, targets), precision),
        partial_auroc=_resampled(metrics.partial_auroc(scores, targets), partial),
        specificity_at={
            sensitivity: _resampled(metrics.specificity_at_sensitivity(scores, targets, sensitivity), values)
            for sensitivity, values in zip(SENSITIVITIES, specificities, strict=True)
        },
    )


def calibrate(
    logits: ArrayLike,
    targets: ArrayLike,
    temperature: float = 1.0,
    groups: ArrayLike | None = None,
    bins: int = 10,
    draws: int | None = None,
    seed: int = 0,
) -> Calibration:
    """Return whether sigmoid(logits / temperature) means what it says.

    Args:
        logits: float `(N,)`, finite; positive speaks for malignant.
        targets: int `(N,)`, 1 is malignant.
        temperature: above 0.
        groups: `(N,)`, the lesion of each image; None if each image stands alone.
        bins: of the reliability diagram and the ECE.
        draws: of the bootstrap and of the range of a calibrated model; None for `replicates_for(N)`.
        seed: of both.
    """
    logits, targets = check_logits(logits, targets)
    probabilities = sigmoid(logits, temperature)
    # scikit-learn's distance from 0 and 1, so that no image costs infinity.
    likely = np.clip(np.where(targets == 1, probabilities, 1 - probabilities), np.finfo(np.float64).eps, 1)
    errors = bin_errors(probabilities, targets, bins)
    losses = np.column_stack([(probabilities - targets) ** 2, -np.log(likely), errors])  # (N, 2 + bins)
    drawn = bootstrap(lambda weights: weighted_metrics.mean(weights, losses), targets.size, groups, draws, seed)
    return Calibration(
        temperature=float(temperature),
        ece=ece_estimate(errors.mean(axis=0), drawn[:, 2:]),
        ece_if_calibrated=calibrated_ece_range(probabilities, groups, bins, draws, seed),
        brier=resampled(metrics.brier(probabilities, targets), drawn[:, 0]),
        log_loss=resampled(metrics.log_loss(probabilities, targets), drawn[:, 1]),
        intercept=recalibration_intercept(logits / temperature, targets, groups),
        slope=recalibration_slope(logits / temperature, targets, groups),
        bins=reliability_bins(probabilities, targets, bins),
    )


def subgroup(
    value: str,
    probabilities: ArrayLike,
    targets: ArrayLike,
    threshold: float,
    smallest: int = SMALLEST,
    scores: ArrayLike | None = None,
) -> Subgroup:
    """Return the figures of images that share a value of a column.

    Args:
        value: that they share.
        probabilities: float64 `(N,)` in [0, 1], of being malignant; of these images only.
        targets: int `(N,)`, 1 is malignant; of these images only.
        threshold: in [0, 1].
        smallest: images of a class, at least 1, that a figure about it needs; with fewer it is "too small".
        scores: float `(N,)`, logits of these images, by which they are ranked; None for their probabilities.
    """
    counts = metrics.count(probabilities, targets, threshold)
    few_malignant = too_small(counts.positives, "malignant", smallest)
    few_benign = too_small(counts.negatives, "benign", smallest)
    few = few_malignant or few_benign
    ranked = probabilities if scores is None else scores
    return Subgroup(
        value=value,
        n=counts.n,
        positives=counts.positives,
        auroc=Estimate(None, None, few) if few else auroc_with_delong(ranked, targets),
        sensitivity=share(counts.true_positives, 0 if few_malignant else counts.positives, few_malignant),
        specificity=share(counts.true_negatives, 0 if few_benign else counts.negatives, few_benign),
    )


def auroc_with_delong(scores: ArrayLike, targets: ArrayLike) -> Estimate:
    """Return the AUROC with DeLong's interval, of logits or probabilities, float `(N,)`, and targets, int `(N,)`."""
    scores, targets = check_scores(scores, targets)
    if missing := missing_class(targets):
        return Estimate(None, None, missing)
    interval = delong(scores, targets)
    return Estimate(metrics.auroc(scores, targets), interval, "" if interval else "only one image of a class")


def _resampled(value: float | None, values: Floats) -> Estimate:
    return Estimate(None) if value is None else resampled(value, values)


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
    """Return every reported number of one set of images.

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
        rows: for each name of a set of images what `summarise` returns, and under the key `intervals`, where wanted,
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
