"""The decision that turns a logit into a class, and the errors that remain if uncertain images are referred.

A decision is a temperature and a threshold, both fitted on validation images. All thresholds between two neighbouring
probabilities make the same decisions on these images. The midpoint is taken because then no decision depends on the
last digits, which another machine or batch size may change.

A network that refers the images of which it is least certain decides the others; the risk-coverage curve tells how many
of those decisions are wrong (Geifman and El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS 2017).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from melanoma_pl.errors import did_you_mean
from melanoma_pl.evaluation import weighted_metrics
from melanoma_pl.evaluation.calibration import fit_temperature, probabilities
from melanoma_pl.evaluation.checks import (
    NO_NEGATIVES,
    NO_POSITIVES,
    Floats,
    Integers,
    check_positive,
    check_probabilities,
    check_unit,
)
from melanoma_pl.evaluation.intervals import Estimate, proportion, wilson
from melanoma_pl.evaluation.metrics import count
from melanoma_pl.evaluation.resampling import bootstrap, resampled

RULES = ("sensitivity", "youden", "fixed")
COVERAGES = tuple(percentage / 100 for percentage in range(100, 0, -5))


def choose_threshold(
    probabilities: ArrayLike,
    targets: ArrayLike,
    rule: str = "sensitivity",
    sensitivity: float = 0.95,
    value: float = 0.5,
) -> float:
    """Return the threshold that a rule chooses on these images; the decision is probability >= threshold.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        rule: One of `RULES`. `sensitivity`: the highest threshold that still finds the required proportion of these
            melanomas. `youden`: the largest sensitivity + specificity - 1 (Youden, Cancer 3, 1950), with ties resolved
            in favour of sensitivity, because missing a melanoma costs more than an unnecessary examination. `fixed`:
            `value`.
        sensitivity: Required proportion for the rule `sensitivity`, in (0, 1].
        value: Threshold of the rule `fixed`, in [0, 1], and of the others if they cannot be applied: `sensitivity`
            without malignant images, `youden` with one class only.

    Returns:
        A threshold in [0, 1].

    Raises:
        ValueError: If the rule is unknown, or a number or array is not allowed.
    """
    probabilities, targets = check_probabilities(probabilities, targets)
    check_unit("threshold", value)
    check_unit("sensitivity", sensitivity, "(0, 1]")
    if rule not in RULES:
        raise ValueError(f"threshold rule {rule!r} is unknown: {did_you_mean(rule, RULES)}")
    positives = int(targets.sum())
    if rule == "sensitivity" and positives > 0:
        return _midway(_deciding_by_sensitivity(probabilities[targets == 1], sensitivity), probabilities)
    if rule == "youden" and 0 < positives < targets.size:
        return _midway(_deciding_by_youden(probabilities, targets), probabilities)
    return float(value)


def _deciding_by_sensitivity(probabilities_of_positives: Floats, sensitivity: float) -> float:
    """Return the highest probability `(P,)` that must count as malignant to find the required proportion."""
    positives = probabilities_of_positives.size
    # Quotients are compared: 0.07 * 100 exceeds 7 in floating point, and its ceiling would require an eighth melanoma.
    enough = np.arange(1, positives + 1) / positives >= sensitivity
    return float(np.sort(probabilities_of_positives)[::-1][int(np.argmax(enough))])


def _deciding_by_youden(probabilities: Floats, targets: Integers) -> float:
    """Return the probability that, taken as threshold, gives the largest Youden index; the lowest of several."""
    candidates, group = np.unique(probabilities, return_inverse=True)  # ascending
    true_positives = np.bincount(group, weights=targets)[::-1].cumsum()[::-1]  # at each candidate and above
    false_positives = np.bincount(group, weights=1 - targets)[::-1].cumsum()[::-1]
    # Youden's index times both class sizes: integers, so that equal values compare equal.
    index = true_positives * false_positives[0] - false_positives * true_positives[0]
    return float(candidates[int(np.argmax(index))])


def _midway(deciding: float, probabilities: Floats) -> float:
    """Return the midpoint of the deciding probability and the next lower one of all images, or of 0 if there is none.

    Two adjacent floating-point numbers have no midpoint; the deciding probability itself is then returned.
    """
    lower = float(probabilities[probabilities < deciding].max(initial=0.0))
    middle = (lower + deciding) / 2
    return middle if middle > lower else deciding


@dataclass(frozen=True)
class Decision:
    """A temperature and a threshold.

    Attributes:
        temperature: Divisor of the logits, a positive number.
        threshold: Lowest probability, in [0, 1], at which an image is called malignant.

    Raises:
        ValueError: If one of them is not in its range.
    """

    temperature: float = 1.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a decision that cannot be applied."""
        check_positive("temperature", self.temperature)
        check_unit("threshold", self.threshold)

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Return calibrated probabilities, float64 `(N,)` in [0, 1], of logits, float `(N,)`."""
        return probabilities(logits, self.temperature)

    def is_malignant(self, logits: ArrayLike) -> NDArray[Any]:
        """Return which images are called malignant, bool `(N,)`, from logits, float `(N,)`."""
        return self.probabilities(logits) >= self.threshold


def fit_decision(logits: ArrayLike, targets: ArrayLike, rule: Mapping[str, Any]) -> Decision:
    """Fit the temperature, then the threshold.

    Args:
        logits: float `(N,)`, finite, of validation images.
        targets: int `(N,)`, 1 is malignant.
        rule: Further arguments of `choose_threshold`.
    """
    temperature = fit_temperature(logits, targets)
    return Decision(temperature, choose_threshold(probabilities(logits, temperature), targets, **rule))


@dataclass(frozen=True)
class SelectivePoint:
    """The decisions that remain if less certain images are referred.

    Attributes:
        coverage: Proportion of images that the network decides, in (0, 1].
        kept: Number of these images.
        wrong: Proportion of their decisions that are wrong: the selective risk.
        missed: Number of malignant images among them that are called benign.
        sensitivity: Among them.
        specificity: Among them.
    """

    coverage: float
    kept: int
    wrong: Estimate
    missed: int
    sensitivity: Estimate
    specificity: Estimate


@dataclass(frozen=True)
class RiskCoverage:
    """The risk-coverage curve.

    Attributes:
        points: From full coverage down, in steps of about 5 %.
        area: Area under the curve: the mean risk over the coverages that the images allow. Referral at random has the
            risk at full coverage.
        best_area: The same area if all wrong decisions were the least certain ones.
    """

    points: tuple[SelectivePoint, ...]
    area: Estimate
    best_area: float


def certainty(probabilities: ArrayLike, threshold: float) -> Floats:
    """Return the distance of each probability from the threshold in log-odds, float64 `(N,)`, at least 0.

    For a threshold of 0.5 it orders images like the largest class probability (Hendrycks and Gimpel, ICLR 2017).

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        threshold: Threshold in [0, 1].
    """
    nearest = np.finfo(np.float64).eps  # keeps 0 and 1 at a finite distance
    values = np.clip(np.asarray(probabilities, dtype=np.float64), nearest, 1 - nearest)
    own = np.clip(check_unit("threshold", threshold), nearest, 1 - nearest)
    distances = np.abs(logit(values) - logit(own))
    return np.asarray(distances.round(12), dtype=np.float64)  # 0.4 and 0.6 may differ from 0.5 in the last digit


def risk_coverage(
    probabilities: ArrayLike,
    targets: ArrayLike,
    threshold: float,
    groups: ArrayLike | None = None,
    replicates: int | None = None,
    seed: int = 0,
) -> RiskCoverage:
    """Return the errors that remain if the network refers the images nearest to its threshold.

    Images of equal certainty are referred together, so that the order of the images does not matter.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: Threshold in [0, 1] of the decisions.
        groups: `(N,)`, the lesion of each image; None if the images are independent.
        replicates: Number of bootstrap replicates, which resample lesions if they are known; None for
            `replicates_for(N)`.
        seed: Seed of the bootstrap.
    """
    values, labels = check_probabilities(probabilities, targets)
    is_wrong = (values >= check_unit("threshold", threshold)) != (labels == 1)
    sure, n = certainty(values, threshold), labels.size
    order = weighted_metrics.order_of(sure, is_wrong.astype(np.int64))
    ends = np.flatnonzero(order.is_last) + 1  # (K,), the numbers of images that can be kept
    wanted = [math.ceil(round(coverage * n, 9)) for coverage in COVERAGES]
    columns = np.unique(np.searchsorted(ends, wanted) + 1)[::-1]  # of the curves, whose first column is 0

    def statistics(weights: Integers) -> Floats:
        points = weighted_metrics.ordered_curves(weights, order)
        kept = points.true_positives + points.false_positives
        risks = points.true_positives / np.maximum(kept, 1)
        area = np.sum(np.diff(kept) * risks[:, 1:], axis=1) / kept[:, -1]
        return np.column_stack([area, np.where(kept[:, columns] > 0, risks[:, columns], np.nan)])

    area, *risks = statistics(np.ones((1, n), dtype=np.int64))[0].tolist()
    resamples = bootstrap(statistics, n, weighted_metrics.ordered_groups(order, groups), replicates, seed)
    lesions = None if groups is None else np.asarray(groups)
    points = []
    for column, (kept, risk) in enumerate(zip(ends[columns - 1].tolist(), risks, strict=True), start=1):
        chosen = order.indices[:kept]
        counts = count(values[chosen], labels[chosen], threshold)
        wrong = resampled(risk, resamples[:, column])
        if wrong.interval is None:  # none or all are wrong, or so few are kept that some replicates hold none of them
            units = kept if lesions is None else len(set(lesions[chosen].tolist()))
            wrong = Estimate(risk, wilson(round(risk * units), units))
        points.append(
            SelectivePoint(
                coverage=kept / n,
                kept=kept,
                wrong=wrong,
                missed=counts.false_negatives,
                sensitivity=proportion(counts.true_positives, counts.positives, NO_POSITIVES),
                specificity=proportion(counts.true_negatives, counts.negatives, NO_NEGATIVES),
            )
        )
    return RiskCoverage(tuple(points), resampled(area, resamples[:, 0]), best_area(int(is_wrong.sum()), n))


def best_risks(wrong: int, n: int) -> Floats:
    """Return the risk among the 1, 2, … `n` images kept if the `wrong` decisions are referred first, float64 `(n,)`."""
    kept = np.arange(1, n + 1)
    return np.maximum(kept - (n - wrong), 0) / kept


def best_area(wrong: int, n: int) -> float:
    """Return the area under the risk-coverage curve if the `wrong` of `n` decisions are referred first."""
    return float(best_risks(wrong, n).mean())
