"""What a threshold decides, with intervals that hold for images drawn independently.

What a decision is worth where melanomas are rarer, or commoner, than among these images.

Bayes' formula carries sensitivity and specificity, which images of cases and controls tell, to another share of
malignant ones: of moles looked at by a general practitioner few in a hundred are malignant, of a test set's often half.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from scipy.stats import norm

from melanoma_pl.evaluation.checks import check_images, check_unit
from melanoma_pl.evaluation.intervals import ALWAYS_SO, Estimate, Interval, wilson
from melanoma_pl.evaluation.metrics import Counts, count
from melanoma_pl.evaluation.results import Decisions


def decide(
    name: str, probabilities: ArrayLike, targets: ArrayLike, threshold: float, prevalence: float | None = None
) -> Decisions:
    """Return what the decision probability >= threshold makes of these images.

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
    """Return what calling every image benign is worth: what any model must beat.

    Args:
        targets: int `(N,)`, 1 is malignant.
        prevalence: share of malignant ones, in (0, 1), at which predictive values are wanted too.

    Returns:
        Sensitivity 0, specificity 1, balanced accuracy 0.5 and, at the given prevalence, a negative predictive value of
        1 less that, all `ALWAYS_SO`: they follow from the rule. Accuracy and predictive value at the share of malignant
        images among these have intervals, for that share could be another one.
    """
    _, labels = check_images(np.zeros(np.shape(targets)), targets)
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
    """Return the mean of sensitivity and specificity, which different images tell, so that they are independent.

    How far Wilson's intervals of the two reach on each side is added as squares (Newcombe, Statistics in Medicine 17,
    1998, pages 873-890, method 10; in general Zou and Donner, Statistics in Medicine 27, 2008).
    """
    value = counts.balanced_accuracy
    sensitivity = wilson(counts.true_positives, counts.positives)
    specificity = wilson(counts.true_negatives, counts.negatives)
    if value is None or sensitivity is None or specificity is None:
        return Estimate(None, None, "no malignant images" if counts.positives == 0 else "no benign images")
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
        sensitivity=share(counts.true_positives, counts.positives, "no malignant images"),
        specificity=share(counts.true_negatives, counts.negatives, "no benign images"),
        balanced_accuracy=balanced_accuracy(counts),
        accuracy=share(counts.true_positives + counts.true_negatives, counts.n, "no images"),
        positive_predictive_value=share(counts.true_positives, called_malignant, "no image was called malignant"),
        negative_predictive_value=share(
            counts.true_negatives, counts.n - called_malignant, "no image was called benign"
        ),
        positive_predictive_value_at=None if prevalence is None else positive_predictive_value_at(counts, prevalence),
        negative_predictive_value_at=None if prevalence is None else negative_predictive_value_at(counts, prevalence),
    )


@dataclass(frozen=True)
class _Call:
    """One decision, seen by those images whose class it names and by the others."""

    name: str
    right: int
    right_of: int
    wrong: int
    wrong_of: int
    prevalence: float


def positive_predictive_value_at(counts: Counts, prevalence: float, confidence: float = 0.95) -> Estimate:
    """Return the share of malignant decisions that is right, where the given share of images is malignant.

    The interval is symmetric on the logit scale (Mercaldo, Lau and Zhou, Statistics in Medicine 26, 2007, section 2.2);
    where sensitivity or specificity is 0 or 1, the same paper's adjustment adds half of z² to each outcome. Prevalence
    is taken as known, and images as independent.

    Args:
        counts: outcomes of the decisions.
        prevalence: share of malignant ones, in (0, 1).
        confidence: wanted coverage, in (0, 1).
    """
    share = check_unit("prevalence", prevalence, open_ends=True)
    call = _Call("malignant", counts.true_positives, counts.positives, counts.false_positives, counts.negatives, share)
    return _predictive_value(call, confidence)


def negative_predictive_value_at(counts: Counts, prevalence: float, confidence: float = 0.95) -> Estimate:
    """Return the share of benign decisions that is right, where the given share of images is malignant.

    Args:
        counts: outcomes of the decisions.
        prevalence: share of malignant ones, in (0, 1).
        confidence: wanted coverage of the interval, which is as of `positive_predictive_value_at`, in (0, 1).
    """
    rest = 1 - check_unit("prevalence", prevalence, open_ends=True)
    call = _Call("benign", counts.true_negatives, counts.negatives, counts.false_negatives, counts.positives, rest)
    return _predictive_value(call, confidence)


def _predictive_value(call: _Call, confidence: float) -> Estimate:
    check_unit("confidence", confidence, open_ends=True)
    for size, name in ((call.right_of, call.name), (call.wrong_of, _other(call.name))):
        if size == 0:
            return Estimate(None, None, f"no {name} images")
    if call.right == call.wrong == 0:
        return Estimate(None, None, f"no image was called {call.name}")
    right = call.right / call.right_of * call.prevalence
    value = right / (right + call.wrong / call.wrong_of * (1 - call.prevalence))
    low, high = _logit_interval(call, float(norm.ppf((1 + confidence) / 2)))
    return Estimate(value, (min(low, value), max(high, value)))  # adjusted ends leave a value of 0 or 1 outside


def _logit_interval(call: _Call, z: float) -> tuple[float, float]:
    certain = call.right in (0, call.right_of) or call.wrong in (0, call.wrong_of)
    added = z**2 / 2 if certain else 0.0
    rate = (call.right + added) / (call.right_of + 2 * added)
    false_rate = (call.wrong + added) / (call.wrong_of + 2 * added)
    centre = math.log(rate * call.prevalence / (false_rate * (1 - call.prevalence)))
    variance = (1 - rate) / (rate * (call.right_of + 2 * added))
    variance += (1 - false_rate) / (false_rate * (call.wrong_of + 2 * added))
    low, high = expit(centre + np.array([-1, 1]) * z * math.sqrt(variance))
    return float(low), float(high)


def _other(name: str) -> str:
    return "benign" if name == "malignant" else "malignant"
