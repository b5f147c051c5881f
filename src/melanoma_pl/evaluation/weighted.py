"""Figures of many weighted sets of the same photos at once, as the bootstrap needs them.

Weights are int `(B, N)`: how often each of B draws holds each photo. A thousand calls of scikit-learn take seconds;
these take milliseconds, and give what scikit-learn gives with `sample_weight`. NaN where a draw lacks a class.
"""

from typing import NamedTuple

import numpy as np

from melanoma_pl.evaluation.checks import Floats, Integers


class Curves(NamedTuple):
    """The ROC curves of B draws, in whole numbers: how many each threshold calls malignant, from the highest down.

    Attributes:
        true_positives: int64 `(B, K + 1)`, the first 0; K is the number of different probabilities.
        false_positives: int64 `(B, K + 1)`, the first 0.
    """

    true_positives: Integers
    false_positives: Integers


def curves(weights: Integers, probabilities: Floats, targets: Integers) -> Curves:
    """Return the ROC curve of every draw; photos of equal probability make one step.

    Args:
        weights: int `(B, N)`, at least 0.
        probabilities: float64 `(N,)`.
        targets: int64 `(N,)`, 1 is malignant.
    """
    order = np.argsort(-probabilities, kind="stable")
    steps = np.append(np.diff(probabilities[order]) != 0, True)  # the last photo of each probability
    sorted_weights = np.asarray(weights)[:, order]  # (B, N)
    return Curves(*(_cumulate(sorted_weights * (targets[order] == label), steps) for label in (1, 0)))


def auroc(points: Curves) -> Floats:
    """Return the area under each ROC curve, float64 `(B,)`, by the trapezoidal rule."""
    height, width = points.true_positives, np.diff(points.false_positives)
    doubled = np.sum(width * (height[:, 1:] + height[:, :-1]), axis=1)  # whole numbers, so exact
    return _divide(doubled / 2, height[:, -1] * points.false_positives[:, -1])


def average_precision(points: Curves) -> Floats:
    """Return the mean precision over the melanomas of each draw, float64 `(B,)`; NaN also with melanomas alone."""
    found, called = points.true_positives[:, 1:], points.true_positives[:, 1:] + points.false_positives[:, 1:]
    precision = found / np.maximum(called, 1)
    summed = np.sum(np.diff(points.true_positives) * precision, axis=1)
    return _divide(np.where(points.false_positives[:, -1] > 0, summed, np.nan), found[:, -1])


def partial_auroc(points: Curves, sensitivity: float = 0.8) -> Floats:
    """Return the area of each ROC curve above a sensitivity, float64 `(B,)` in [0, 1 - sensitivity]."""
    height = _divide(points.true_positives, points.true_positives[:, -1:])  # sensitivity, (B, K + 1)
    benign = _divide(points.false_positives[:, -1:] - points.false_positives, points.false_positives[:, -1:])
    low, high = height[:, :-1], height[:, 1:]
    bottom = np.maximum(low, sensitivity)
    rise = np.maximum(high - bottom, 0)
    # On the way from one point to the next, specificity falls in a straight line; below the wanted sensitivity it is
    # followed without being counted.
    way = np.divide(bottom - low, high - low, out=np.zeros_like(low), where=high > low)
    start = benign[:, :-1] + (benign[:, 1:] - benign[:, :-1]) * way
    return np.asarray(np.sum(rise * (start + benign[:, 1:]) / 2, axis=1), dtype=np.float64)


def specificity_at_sensitivity(points: Curves, sensitivity: float) -> Floats:
    """Return the highest specificity of each draw that reaches a sensitivity in (0, 1], float64 `(B,)`."""
    enough = _divide(points.true_positives, points.true_positives[:, -1:]) >= sensitivity
    first = np.argmax(enough, axis=1)[:, None]  # both rates only rise, so the first is the best
    false_positives = np.take_along_axis(points.false_positives, first, axis=1)[:, 0]
    specificity = 1 - _divide(false_positives, points.false_positives[:, -1])
    return np.where(points.true_positives[:, -1] > 0, specificity, np.nan)


def mean(weights: Integers, values: Floats) -> Floats:
    """Return the mean of `values` `(N,)` or `(N, S)` over each draw, float64 `(B,)` or `(B, S)`."""
    totals = np.sum(weights, axis=1)
    return _divide(np.asarray(weights) @ values, totals if values.ndim == 1 else totals[:, None])


def _cumulate(weights: Integers, steps: np.typing.NDArray[np.bool_]) -> Integers:
    sums = np.cumsum(weights, axis=1, dtype=np.int64)[:, steps]
    return np.pad(sums, ((0, 0), (1, 0)))


def _divide(part: Floats | Integers, whole: Integers) -> Floats:
    """Divide, with NaN where there is nothing to divide by."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    quotient = np.full(shape, np.nan)
    np.divide(part, whole, out=quotient, where=np.broadcast_to(whole, shape) > 0)
    return quotient
