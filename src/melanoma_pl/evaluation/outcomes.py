"""The performance of decisions: proportions with intervals, predictive values and counts of images at any prevalence.

All intervals assume independent images. Bayes' formula carries sensitivity and specificity over to another prevalence:
of the moles that a general practitioner examines a few in a hundred are malignant, of a test set's often half.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit
from scipy.stats import norm

from melanoma_pl.evaluation.checks import NO_NEGATIVES, NO_POSITIVES, check_probabilities, check_unit
from melanoma_pl.evaluation.intervals import BY_DEFINITION, Estimate, proportion, wilson
from melanoma_pl.evaluation.metrics import Counts, count

NO_POSITIVE_DECISIONS, NO_NEGATIVE_DECISIONS = "no positive decisions", "no negative decisions"
USUAL_PREVALENCE = 0.02  # of the 33,126 images of ISIC 2020, 584 are melanomas (Rotemberg et al., Sci Data 8:34, 2021)
PEOPLE, MOST_PEOPLE = 1_000, 1_000_000
FEWEST_OF_A_CLASS = 5  # with fewer, whole numbers say too little: more images are taken


@dataclass(frozen=True)
class Decisions:
    """The performance of the decisions that one threshold makes.

    Attributes:
        name: Name of the threshold, such as "chosen on validation", "0.5" or "always benign".
        threshold: Threshold in [0, 1]; None for always benign.
        counts: The confusion matrix.
        positive_predictive_value: At the prevalence of these images.
        negative_predictive_value: At the prevalence of these images.
        positive_predictive_value_at: At the prevalence that the user gave; None if none was given.
        negative_predictive_value_at: At the prevalence that the user gave; None if none was given.
    """

    name: str
    threshold: float | None
    counts: Counts
    sensitivity: Estimate
    specificity: Estimate
    balanced_accuracy: Estimate
    accuracy: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
    positive_predictive_value_at: Estimate | None
    negative_predictive_value_at: Estimate | None


@dataclass(frozen=True)
class PeopleCount:
    """A whole number of images, its 95 % interval, and the expected number before rounding."""

    count: int
    low: int
    high: int
    expected: float


@dataclass(frozen=True)
class InPeople:
    """Expected decisions among images of which a given proportion is malignant.

    Sensitivity and specificity are taken over from the evaluated images, with the ends of their Wilson intervals. The
    counts are whole numbers: those found and those missed add up to `malignant`.

    Attributes:
        images: 1,000, or a higher power of ten if a class would have fewer than 5 images.
        prevalence: Proportion of malignant images, in [0, 1].
        malignant: Number of malignant images.
        found: Malignant images called malignant; None if the evaluated images lack a malignant one.
        missed: Malignant images called benign.
        false_alarms: Benign images called malignant; None if the evaluated images lack a benign one.
        cleared: Benign images called benign.
        positive_predictive_value: At this prevalence.
        negative_predictive_value: At this prevalence.
        reason: Why counts are missing; otherwise empty.
    """

    images: int
    prevalence: float
    malignant: int
    found: PeopleCount | None
    missed: PeopleCount | None
    false_alarms: PeopleCount | None
    cleared: PeopleCount | None
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
    reason: str = ""


def decide(
    name: str, probabilities: ArrayLike, targets: ArrayLike, threshold: float, prevalence: float | None = None
) -> Decisions:
    """Return the performance of the decision probability >= threshold.

    Args:
        name: Name of the threshold, such as "chosen on validation".
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: Threshold in [0, 1].
        prevalence: Proportion of malignant moles, in (0, 1), for further predictive values; None for none.

    Returns:
        Proportions with Wilson's intervals, the balanced accuracy with that of `balanced_accuracy`, and predictive
        values at `prevalence` with those of Mercaldo et al.
    """
    return _decisions(name, float(threshold), count(probabilities, targets, threshold), prevalence)


def always_benign(targets: ArrayLike, prevalence: float | None = None, name: str = "always benign") -> Decisions:
    """Return the performance of calling every image benign, which any model must exceed.

    Args:
        targets: int `(N,)`, 1 is malignant.
        prevalence: Proportion of malignant moles, in (0, 1), for further predictive values; None for none.
        name: Name of this rule.

    Returns:
        Sensitivity 0, specificity 1, balanced accuracy 0.5 and, at the given prevalence, a negative predictive value of
        1 - prevalence, all `BY_DEFINITION`. Accuracy and negative predictive value at the prevalence of these images
        have intervals because that prevalence is itself estimated.
    """
    _, labels = check_probabilities(np.zeros(np.shape(targets)), targets)
    positives = int(labels.sum())
    counts = Counts(0, 0, labels.size - positives, positives)
    found = _decisions(name, None, counts, prevalence)
    later = found.negative_predictive_value_at
    return replace(
        found,
        sensitivity=_by_definition(found.sensitivity),
        specificity=_by_definition(found.specificity),
        balanced_accuracy=_by_definition(found.balanced_accuracy),
        negative_predictive_value_at=None if later is None else _by_definition(later),
    )


def balanced_accuracy(counts: Counts) -> Estimate:
    """Return the mean of sensitivity and specificity, which are independent because they come from different images.

    The squared distances between the two proportions and the ends of their Wilson intervals are added on each side
    (Newcombe, Statistics in Medicine 17, 1998, pages 873-890, method 10; in general Zou and Donner, Statistics in
    Medicine 27, 2008).
    """
    first, second = counts.sensitivity, counts.specificity
    interval = wilson(counts.true_positives, counts.positives)
    other = wilson(counts.true_negatives, counts.negatives)
    if first is None or second is None or interval is None or other is None:
        return Estimate(None, None, _missing_class(counts))
    value = (first + second) / 2
    below = math.hypot(first - interval[0], second - other[0]) / 2
    above = math.hypot(interval[1] - first, other[1] - second) / 2
    return Estimate(value, (value - below, value + above))


def positive_predictive_value_at(counts: Counts, prevalence: float, confidence: float = 0.95) -> Estimate:
    """Return the proportion of malignant decisions that would be correct at another prevalence.

    The interval is symmetric on the logit scale (Mercaldo, Lau and Zhou, Statistics in Medicine 26, 2007, section 2.2);
    if sensitivity or specificity is 0 or 1, the adjustment of the same paper adds half of z² to each outcome. The
    prevalence is taken as known, and the images as independent.

    Args:
        counts: The confusion matrix.
        prevalence: Proportion of malignant moles, in (0, 1).
        confidence: Nominal coverage, in (0, 1).
    """
    prevalence = check_unit("prevalence", prevalence, "(0, 1)")
    called = counts.true_positives + counts.false_positives
    reason = _missing_class(counts) or ("" if called else NO_POSITIVE_DECISIONS)
    return Estimate(None, None, reason) if reason else _predictive_value(counts, prevalence, confidence)


def negative_predictive_value_at(counts: Counts, prevalence: float, confidence: float = 0.95) -> Estimate:
    """Return the proportion of benign decisions that would be correct at another prevalence.

    Args:
        counts: The confusion matrix.
        prevalence: Proportion of malignant moles, in (0, 1).
        confidence: Nominal coverage, in (0, 1), of the interval, which is that of `positive_predictive_value_at`.
    """
    rest = 1 - check_unit("prevalence", prevalence, "(0, 1)")
    called = counts.true_negatives + counts.false_negatives
    reason = _missing_class(counts) or ("" if called else NO_NEGATIVE_DECISIONS)
    swapped = Counts(counts.true_negatives, counts.false_negatives, counts.true_positives, counts.false_positives)
    return Estimate(None, None, reason) if reason else _predictive_value(swapped, rest, confidence)


def in_people(counts: Counts, prevalence: float) -> InPeople:
    """Return the expected decisions among 1,000 images at a prevalence.

    Args:
        counts: The confusion matrix of the evaluated images.
        prevalence: Proportion of malignant images, in [0, 1].
    """
    prevalence, images = check_unit("prevalence", prevalence), PEOPLE
    rarer = min(prevalence, 1 - prevalence)
    while 0 < rarer * images < FEWEST_OF_A_CLASS and images < MOST_PEOPLE:
        images *= 10
    malignant = _whole(prevalence * images)
    found, missed = _people(malignant, counts.true_positives, counts.positives)
    cleared, alarms = _people(images - malignant, counts.true_negatives, counts.negatives)
    if 0 < prevalence < 1:
        positive_value = positive_predictive_value_at(counts, prevalence)
        negative_value = negative_predictive_value_at(counts, prevalence)
    else:
        positive_value = Estimate(prevalence, None, BY_DEFINITION)
        negative_value = Estimate(1 - prevalence, None, BY_DEFINITION)
    reason = "" if found and cleared else NO_NEGATIVES if found else NO_POSITIVES
    return InPeople(
        images, prevalence, malignant, found, missed, alarms, cleared, positive_value, negative_value, reason
    )


def _decisions(name: str, threshold: float | None, counts: Counts, prevalence: float | None) -> Decisions:
    called_positive = counts.true_positives + counts.false_positives
    return Decisions(
        name=name,
        threshold=threshold,
        counts=counts,
        sensitivity=proportion(counts.true_positives, counts.positives, NO_POSITIVES),
        specificity=proportion(counts.true_negatives, counts.negatives, NO_NEGATIVES),
        balanced_accuracy=balanced_accuracy(counts),
        accuracy=proportion(counts.true_positives + counts.true_negatives, counts.n),
        positive_predictive_value=proportion(counts.true_positives, called_positive, NO_POSITIVE_DECISIONS),
        negative_predictive_value=proportion(counts.true_negatives, counts.n - called_positive, NO_NEGATIVE_DECISIONS),
        positive_predictive_value_at=None if prevalence is None else positive_predictive_value_at(counts, prevalence),
        negative_predictive_value_at=None if prevalence is None else negative_predictive_value_at(counts, prevalence),
    )


def _predictive_value(counts: Counts, prevalence: float, confidence: float) -> Estimate:
    """Return the predictive value of positive decisions; swapped classes give that of negative decisions."""
    check_unit("confidence", confidence, "(0, 1)")
    right = counts.true_positives / counts.positives * prevalence
    value = right / (right + counts.false_positives / counts.negatives * (1 - prevalence))
    z = float(norm.ppf((1 + confidence) / 2))
    is_extreme = counts.true_positives in (0, counts.positives) or counts.false_positives in (0, counts.negatives)
    added = z**2 / 2 if is_extreme else 0.0
    rate = (counts.true_positives + added) / (counts.positives + 2 * added)
    false_rate = (counts.false_positives + added) / (counts.negatives + 2 * added)
    centre = math.log(rate * prevalence / (false_rate * (1 - prevalence)))
    variance = (1 - rate) / (rate * (counts.positives + 2 * added))
    variance += (1 - false_rate) / (false_rate * (counts.negatives + 2 * added))
    low, high = expit(centre + np.array([-1, 1]) * z * math.sqrt(variance)).tolist()
    return Estimate(value, (min(low, value), max(high, value)))  # adjusted ends leave a value of 0 or 1 outside


def _missing_class(counts: Counts) -> str:
    if counts.positives == 0:
        return NO_POSITIVES
    return "" if counts.negatives else NO_NEGATIVES


def _by_definition(estimate: Estimate) -> Estimate:
    return estimate if estimate.value is None else Estimate(estimate.value, None, BY_DEFINITION)


def _whole(number: float) -> int:
    return math.floor(number + 0.5)


def _people(images: int, right: int, n: int) -> tuple[PeopleCount | None, PeopleCount | None]:
    """Return how many of `images` are decided rightly, and how many wrongly, if `right` of `n` evaluated ones are."""
    interval = wilson(right, n)
    if interval is None:
        return None, None
    expected = images * right / n
    count, low, high = (_whole(images * fraction) for fraction in (right / n, *interval))
    return (
        PeopleCount(count, low, high, expected),
        PeopleCount(images - count, images - high, images - low, images - expected),
    )
