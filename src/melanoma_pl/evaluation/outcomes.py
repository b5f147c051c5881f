"""What a threshold decides, with intervals that hold for photos drawn independently."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from melanoma_pl.evaluation.assessment import Decisions
from melanoma_pl.evaluation.checks import check_photos
from melanoma_pl.evaluation.estimate import ALWAYS_SO, Estimate
from melanoma_pl.evaluation.intervals import Interval, wilson
from melanoma_pl.evaluation.metrics import Counts, count
from melanoma_pl.evaluation.predictive import negative_predictive_value_at, positive_predictive_value_at


def decide(
    name: str, probabilities: ArrayLike, targets: ArrayLike, threshold: float, prevalence: float | None = None
) -> Decisions:
    """Return what the decision probability >= threshold makes of these photos.

    Args:
        name: of the threshold, such as "chosen on validation".
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: in [0, 1].
        prevalence: share of malignant ones, in (0, 1), at which predictive values are wanted too.

    Returns:
        Shares with Wilson's intervals, balanced accuracy with that of `balanced_accuracy`, predictive values at
        `prevalence` with those of Mercaldo et al.
    """
    return _decisions(name, float(threshold), count(probabilities, targets, threshold), prevalence)


def always_benign(targets: ArrayLike, prevalence: float | None = None) -> Decisions:
    """Return what calling every photo benign is worth: what any model must beat.

    Args:
        targets: int `(N,)`, 1 is malignant.
        prevalence: share of malignant ones, in (0, 1), at which predictive values are wanted too.

    Returns:
        Sensitivity 0, specificity 1, balanced accuracy 0.5 and, at the given prevalence, a negative predictive value of
        1 less that, all `ALWAYS_SO`: they follow from the rule. Accuracy and predictive value at the share of malignant
        photos among these have intervals, for that share could be another one.
    """
    _, labels = check_photos(np.zeros(np.shape(targets)), targets)
    malignant = int(labels.sum())
    found = _decisions("always benign", None, Counts(0, 0, labels.size - malignant, malignant), prevalence)
    later = found.negative_predictive_value_at
    return replace(
        found,
        sensitivity=_certain(found.sensitivity),
        specificity=_certain(found.specificity),
        balanced_accuracy=_certain(found.balanced_accuracy),
        negative_predictive_value_at=None if later is None else _certain(later),
    )


def share(part: int, whole: int, reason: str) -> Estimate:
    """Return part / whole with Wilson's interval; `reason` says why there is none where whole is 0."""
    return Estimate(part / whole, wilson(part, whole)) if whole else Estimate(None, None, reason)


def balanced_accuracy(counts: Counts) -> Estimate:
    """Return the mean of sensitivity and specificity, which different photos tell, so that they are independent.

    How far Wilson's intervals of the two reach on each side is added as squares (Newcombe, Statistics in Medicine 17,
    1998, pages 873-890, method 10; in general Zou and Donner, Statistics in Medicine 27, 2008).
    """
    value = counts.balanced_accuracy
    sensitivity = wilson(counts.true_positives, counts.positives)
    specificity = wilson(counts.true_negatives, counts.negatives)
    if value is None or sensitivity is None or specificity is None:
        return Estimate(None, None, "no malignant photos" if counts.positives == 0 else "no benign photos")
    first, second = counts.true_positives / counts.positives, counts.true_negatives / counts.negatives
    return Estimate(value, _halved(value, (first, sensitivity), (second, specificity)))


def _certain(estimate: Estimate) -> Estimate:
    return estimate if estimate.value is None else Estimate(estimate.value, None, ALWAYS_SO)


def _halved(value: float, *shares: tuple[float, Interval]) -> Interval:
    below = math.hypot(*(point - interval[0] for point, interval in shares)) / 2
    above = math.hypot(*(interval[1] - point for point, interval in shares)) / 2
    return value - below, value + above


def _decisions(name: str, threshold: float | None, counts: Counts, prevalence: float | None) -> Decisions:
    called_malignant = counts.true_positives + counts.false_positives
    return Decisions(
        name=name,
        threshold=threshold,
        counts=counts,
        sensitivity=share(counts.true_positives, counts.positives, "no malignant photos"),
        specificity=share(counts.true_negatives, counts.negatives, "no benign photos"),
        balanced_accuracy=balanced_accuracy(counts),
        accuracy=share(counts.true_positives + counts.true_negatives, counts.n, "no photos"),
        positive_predictive_value=share(counts.true_positives, called_malignant, "no photo was called malignant"),
        negative_predictive_value=share(
            counts.true_negatives, counts.n - called_malignant, "no photo was called benign"
        ),
        positive_predictive_value_at=None if prevalence is None else positive_predictive_value_at(counts, prevalence),
        negative_predictive_value_at=None if prevalence is None else negative_predictive_value_at(counts, prevalence),
    )
