"""Net benefit: malignant images found less false alarms, weighted by what a false alarm costs.

A. J. Vickers and E. B. Elkin, Decision curve analysis, Medical Decision Making 26:565-574, 2006. The threshold
probability t is the probability of malignancy at which a person would just have a mole examined further: one malignant
image found is then worth (1 - t) / t false alarms.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from melanoma_pl.evaluation import weighted_metrics
from melanoma_pl.evaluation.checks import (
    NO_POSITIVES,
    Floats,
    Integers,
    check_probabilities,
    check_unit,
    missing_class,
)
from melanoma_pl.evaluation.intervals import Estimate, Interval
from melanoma_pl.evaluation.metrics import Counts, count
from melanoma_pl.evaluation.resampling import bootstrap, percentile_interval, resampled

NAMED_THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class NetBenefit:
    """Net benefits at one threshold probability: malignant images found less weighted false alarms, per image.

    Attributes:
        threshold: Threshold probability, in [0, 1).
        network: Calls an image malignant if its probability is at least the threshold probability.
        decisions: Calls an image malignant if its probability is at least the network's own threshold.
        everything: Calls every image malignant. Calling none malignant has a net benefit of 0.
    """

    threshold: float
    network: Estimate
    decisions: Estimate
    everything: float


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit for threshold probabilities from 0 to ten times the prevalence, below 1.

    Attributes:
        prevalence: Proportion of malignant images.
        is_standardised: False if the prevalence is that of the evaluated images.
        thresholds: T threshold probabilities, ascending.
        network: T net benefits of the network; empty, like all others, if they cannot be computed.
        low: Lower ends of their pointwise 95 % intervals; NaN without an interval.
        high: Upper ends.
        decisions: T net benefits of the decisions at the network's own threshold.
        everything: T net benefits of calling every image malignant.
        named: Net benefits at round threshold probabilities.
        useful: Threshold probabilities between which the decisions at the network's own threshold have a higher net
            benefit than calling all or no images malignant; None if there are none.
        reason: Why the curve is missing; otherwise empty.
    """

    prevalence: float
    is_standardised: bool
    thresholds: tuple[float, ...] = ()
    network: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    decisions: tuple[float, ...] = ()
    everything: tuple[float, ...] = ()
    named: tuple[NetBenefit, ...] = ()
    useful: Interval | None = None
    reason: str = ""


def net_benefit(
    probabilities: ArrayLike, targets: ArrayLike, thresholds: ArrayLike, prevalence: float | None = None
) -> Floats:
    """Return the net benefit of calling images malignant from each threshold probability on.

    It is TP / N - FP / N · t / (1 - t), or, at another prevalence p, sensitivity · p - (1 - specificity) · (1 - p) ·
    t / (1 - t): a false alarm costs t / (1 - t) of what a malignant image found is worth.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        thresholds: float `(T,)` in [0, 1).
        prevalence: Proportion of malignant images, in [0, 1]; None for that of these images.

    Returns:
        float64 `(T,)`; NaN at another prevalence if these images lack a class.
    """
    values, labels = check_probabilities(probabilities, targets)
    steps = _check_thresholds(thresholds)
    order = weighted_metrics.order_of(values, labels)
    points = weighted_metrics.ordered_curves(np.ones((1, labels.size), dtype=np.int64), order)
    return np.asarray(_benefits(points, _columns(values, order, steps), steps, prevalence)[0])


def net_benefit_of_all(prevalence: float, thresholds: ArrayLike) -> Floats:
    """Return the net benefit of calling every image malignant, float64 `(T,)`, for thresholds `(T,)` in [0, 1)."""
    steps = _check_thresholds(thresholds)
    return np.asarray(prevalence - (1 - check_unit("prevalence", prevalence)) * steps / (1 - steps))


def at_prevalence(probabilities: ArrayLike, before: float, after: float) -> Floats:
    """Return probabilities adjusted by Bayes' formula from one prevalence to another.

    The log-odds of each probability move by the difference between the log-odds of the prevalences (Saerens, Latinne
    and Decaestecker, Neural Computation 14, 2002), which assumes that images of one class look alike at both.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        before: Proportion of malignant images that the probabilities refer to, in (0, 1).
        after: Proportion of malignant images that the result refers to, in (0, 1).
    """
    shift = logit(check_unit("prevalence", after, "(0, 1)")) - logit(check_unit("prevalence", before, "(0, 1)"))
    return np.asarray(expit(logit(np.asarray(probabilities, dtype=np.float64)) + shift), dtype=np.float64)


def decision_curve(
    probabilities: ArrayLike,
    targets: ArrayLike,
    threshold: float,
    groups: ArrayLike | None = None,
    prevalence: float | None = None,
    prior: float | None = None,
    replicates: int | None = None,
    seed: int = 0,
) -> DecisionCurve:
    """Return the decision curve of a network and of the decisions at its own threshold.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: The network's own threshold, in [0, 1].
        groups: `(N,)`, the lesion of each image; None if the images are independent.
        prevalence: Proportion of malignant images that the curve is standardised to, in (0, 1); None for that of these
            images. Sensitivity and specificity then carry over, and probabilities are adjusted by `at_prevalence`.
        prior: Proportion of malignant images that the probabilities refer to, such as that of the training images;
            None for that of these images. Only a standardised curve uses it.
        replicates: Number of bootstrap replicates, which resample lesions if they are known; None for
            `replicates_for(N)`.
        seed: Seed of the bootstrap.
    """
    values, labels = check_probabilities(probabilities, targets)
    counts, is_standardised = count(values, labels, threshold), prevalence is not None
    own = counts.positives / counts.n
    at = own if prevalence is None else check_unit("prevalence", prevalence, "(0, 1)")
    missing = missing_class(labels) if is_standardised else "" if counts.positives else NO_POSITIVES
    if missing:
        return DecisionCurve(at, is_standardised, reason=missing)
    last = min(10 * at, 1.0)
    named = [step for step in NAMED_THRESHOLDS if step < last]
    steps = np.array(sorted({*np.linspace(0, last, 101)[:-1].round(12).tolist(), *named}))
    order = weighted_metrics.order_of(values, labels)
    # an adjusted probability reaches a step if the probability itself reaches the step adjusted back
    limits = at_prevalence(steps, at, own if prior is None else prior) if is_standardised else steps
    columns = np.append(_columns(values, order, limits), _columns(values, order, np.full(steps.size, threshold)))

    def statistics(weights: Integers) -> Floats:
        points = weighted_metrics.ordered_curves(weights, order)
        return _benefits(points, columns, np.tile(steps, 2), prevalence)

    found = statistics(np.ones((1, labels.size), dtype=np.int64))[0]
    owners = weighted_metrics.ordered_groups(order, groups)
    resamples = bootstrap(statistics, labels.size, owners, replicates, seed)  # (B, 2T)
    intervals = [percentile_interval(column) for column in resamples[:, : steps.size].T]
    everything = net_benefit_of_all(at, steps)
    return DecisionCurve(
        prevalence=at,
        is_standardised=is_standardised,
        thresholds=tuple(steps.tolist()),
        network=tuple(found[: steps.size].tolist()),
        low=tuple(math.nan if interval is None else interval[0] for interval in intervals),
        high=tuple(math.nan if interval is None else interval[1] for interval in intervals),
        decisions=tuple(found[steps.size :].tolist()),
        everything=tuple(everything.tolist()),
        named=tuple(
            NetBenefit(
                threshold=step,
                network=resampled(float(found[place]), resamples[:, place]),
                decisions=resampled(float(found[steps.size + place]), resamples[:, steps.size + place]),
                everything=float(everything[place]),
            )
            for step, place in zip(named, np.searchsorted(steps, named).tolist(), strict=True)
        ),
        useful=useful_thresholds(counts, at),
    )


def useful_thresholds(counts: Counts, prevalence: float) -> Interval | None:
    """Return the threshold probabilities between which decisions beat calling all or no images malignant.

    Decisions beat calling none malignant below their positive predictive value, and calling all malignant above 1 minus
    their negative predictive value.

    Args:
        counts: The confusion matrix.
        prevalence: Proportion of malignant images, in [0, 1].
    """
    sensitivity, specificity = counts.sensitivity, counts.specificity
    if sensitivity is None or specificity is None:
        return None
    found, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    missed, cleared = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    if found + alarms == 0 or missed + cleared == 0:
        return None
    low, high = missed / (missed + cleared), found / (found + alarms)
    return (low, high) if low < high else None


def _check_thresholds(thresholds: ArrayLike) -> Floats:
    steps = np.asarray(thresholds, dtype=np.float64)
    if not np.all((steps >= 0) & (steps < 1)):
        raise ValueError("threshold probabilities must lie in [0, 1): at 1 a false alarm would cost infinitely much")
    return steps


def _columns(values: Floats, order: weighted_metrics.Order, thresholds: Floats) -> Integers:
    """Return the columns of `WeightedCurves` that hold the counts of each threshold, int64 `(T,)`."""
    different = values[order.indices][order.is_last]  # descending
    return np.searchsorted(-different, -thresholds, side="right")


def _benefits(
    points: weighted_metrics.WeightedCurves, columns: Integers, thresholds: Floats, prevalence: float | None
) -> Floats:
    """Return the net benefit of each replicate at each threshold, float64 `(B, T)`."""
    found, alarms = points.true_positives[:, columns], points.false_positives[:, columns]
    positives, negatives = points.true_positives[:, -1:], points.false_positives[:, -1:]
    odds = thresholds / (1 - thresholds)
    if prevalence is None:
        return np.asarray((found - alarms * odds) / (positives + negatives), dtype=np.float64)
    is_missing = (positives == 0) | (negatives == 0)
    sensitivity, false_rate = found / np.maximum(positives, 1), alarms / np.maximum(negatives, 1)
    benefits = sensitivity * prevalence - false_rate * (1 - check_unit("prevalence", prevalence)) * odds
    return np.where(is_missing, np.nan, benefits)
