"""Metrics of many bootstrap replicates at once.

Weights are int `(B, N)`: how often each of B replicates contains each image. A thousand calls of scikit-learn take
seconds; these functions take milliseconds and return what scikit-learn returns with `sample_weight`. Metrics of a
replicate that lacks a class are NaN.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_pl.evaluation.checks import Floats, Integers, check_groups

Flags = NDArray[np.bool_]


class WeightedCurves(NamedTuple):
    """The ROC curves of B replicates as counts at each threshold, from the highest to the lowest.

    Attributes:
        true_positives: int64 `(B, K + 1)`, the first 0; K is the number of different scores.
        false_positives: int64 `(B, K + 1)`, the first 0.
    """

    true_positives: Integers
    false_positives: Integers


class Order(NamedTuple):
    """The images sorted by descending score, for use with any number of replicates.

    Attributes:
        indices: int64 `(N,)`, the index of each sorted image among the unsorted ones.
        is_last: bool `(N,)`, whether the image is the last with its score.
        is_malignant: bool `(N,)`.
    """

    indices: Integers
    is_last: Flags
    is_malignant: Flags


def order_of(scores: Floats, targets: Integers) -> Order:
    """Return the order of the images.

    Args:
        scores: float64 `(N,)`, such as probabilities: the higher, the more suspicious.
        targets: int64 `(N,)`, 1 is malignant.
    """
    indices = np.argsort(-scores, kind="stable")
    return Order(indices, np.append(np.diff(scores[indices]) != 0, True), targets[indices] == 1)


def ordered_groups(order: Order, groups: ArrayLike | None) -> NDArray[Any]:
    """Return groups `(N,)` with which the bootstrap draws the same images but returns their weights in sorted order.

    Args:
        order: Order of the images.
        groups: `(N,)`, such as lesions, of the unsorted images; None if the images are independent.
    """
    return order.indices if groups is None else check_groups(groups, order.indices.size)[order.indices]


def curves(weights: Integers, scores: Floats, targets: Integers) -> WeightedCurves:
    """Return the ROC curve of every replicate; images of equal score form one step.

    Args:
        weights: int `(B, N)`, at least 0.
        scores: float64 `(N,)`, such as probabilities.
        targets: int64 `(N,)`, 1 is malignant.
    """
    order = order_of(scores, targets)
    return ordered_curves(np.asarray(weights)[:, order.indices], order)


def ordered_curves(weights: Integers, order: Order) -> WeightedCurves:
    """Return the ROC curve of every replicate from weights, int `(B, N)`, that are already in sorted order."""
    narrow = np.asarray(weights).astype(np.int32)  # which sums faster
    return WeightedCurves(
        *(_cumulate(narrow * own, order.is_last) for own in (order.is_malignant, ~order.is_malignant))
    )


def auroc(points: WeightedCurves) -> Floats:
    """Return the area under each ROC curve, float64 `(B,)`, by the trapezoidal rule."""
    height, width = points.true_positives, np.diff(points.false_positives)
    doubled = np.sum(width * (height[:, 1:] + height[:, :-1]), axis=1)  # integers, so exact
    return _divide(doubled / 2, height[:, -1] * points.false_positives[:, -1])


def average_precision(points: WeightedCurves) -> Floats:
    """Return the mean precision over the melanomas of each replicate, float64 `(B,)`; NaN also if all are melanomas."""
    found, called = points.true_positives[:, 1:], points.true_positives[:, 1:] + points.false_positives[:, 1:]
    precision = found / np.maximum(called, 1)
    summed = np.sum(np.diff(points.true_positives) * precision, axis=1)
    return _divide(np.where(points.false_positives[:, -1] > 0, summed, np.nan), found[:, -1])


def partial_auroc(points: WeightedCurves, sensitivity: float = 0.8) -> Floats:
    """Return the area of each ROC curve above a sensitivity, float64 `(B,)` in [0, 1 - sensitivity]."""
    height = _divide(points.true_positives, points.true_positives[:, -1:])  # sensitivity, (B, K + 1)
    benign = _divide(points.false_positives[:, -1:] - points.false_positives, points.false_positives[:, -1:])
    low, high = height[:, :-1], height[:, 1:]
    bottom = np.maximum(low, sensitivity)
    rise = np.maximum(high - bottom, 0)
    # Specificity falls linearly between two points; the part of a segment below the given sensitivity does not count.
    skipped = np.divide(bottom - low, high - low, out=np.zeros_like(low), where=high > low)
    start = benign[:, :-1] + (benign[:, 1:] - benign[:, :-1]) * skipped
    return np.asarray(np.sum(rise * (start + benign[:, 1:]) / 2, axis=1), dtype=np.float64)


def specificity_at_sensitivity(points: WeightedCurves, sensitivity: float) -> Floats:
    """Return the highest specificity of each replicate that reaches a sensitivity in (0, 1], float64 `(B,)`."""
    enough = points.true_positives >= _fewest(points.true_positives[:, -1], sensitivity)[:, None]
    first = np.argmax(enough, axis=1)[:, None]  # both rates only rise, so the first is the best
    false_positives = np.take_along_axis(points.false_positives, first, axis=1)[:, 0]
    specificity = 1 - _divide(false_positives, points.false_positives[:, -1])
    return np.where(points.true_positives[:, -1] > 0, specificity, np.nan)


def mean(weights: Integers, values: Floats) -> Floats:
    """Return the mean of `values` `(N,)` or `(N, S)` over each replicate, float64 `(B,)` or `(B, S)`."""
    totals = np.sum(weights, axis=1)
    return _divide(np.asarray(weights) @ values, totals if values.ndim == 1 else totals[:, None])


def _cumulate(weights: NDArray[np.int32], is_last: Flags) -> Integers:
    """Return the cumulative sums at each step, int64 `(B, K + 1)`."""
    sums = np.cumsum(weights, axis=1, dtype=np.int64)
    return np.pad(sums if is_last.all() else sums[:, is_last], ((0, 0), (1, 0)))


def _fewest(malignant: Integers, sensitivity: float) -> Integers:
    """Return the smallest numbers of found melanomas, int64 `(B,)`, whose quotient reaches a sensitivity as rounded."""
    fewest = np.ceil(sensitivity * malignant)
    fewest -= _divide(fewest - 1, malignant) >= sensitivity
    return np.asarray(fewest + (_divide(fewest, malignant) < sensitivity), dtype=np.int64)


def _divide(part: Floats | Integers, whole: Integers) -> Floats:
    """Divide; return NaN where the divisor is 0."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    quotient = np.full(shape, np.nan)
    np.divide(part, whole, out=quotient, where=np.broadcast_to(whole, shape) > 0)
    return quotient
