"""Paired comparisons of two models on the same images: differences, p-values and detectable differences.

The figures of two models on the same images are correlated, so comparing their separate intervals would waste most of
the information. Differences are first minus second.
"""

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, norm

from melanoma_pl.evaluation import metrics, weighted_metrics
from melanoma_pl.evaluation.checks import Floats, Integers, check_scores, check_unit, missing_class
from melanoma_pl.evaluation.intervals import Interval, placements, wilson
from melanoma_pl.evaluation.resampling import bootstrap, resampled

POWER, LEVEL = 0.8, 0.05
SAME_ORDER = "both models rank all images identically"
SAME_DECISIONS = "both models decide identically on every image"


@dataclass(frozen=True)
class Difference:
    """The difference between two models on the same images.

    Attributes:
        value: First minus second; None if it cannot be computed.
        interval: Its confidence interval, of 95 % unless requested otherwise.
        p_value: Two-sided p-value of the hypothesis that the models do not differ.
        detectable: The smallest true difference that so many images show with a power of 80 % at the 5 % level: about
            2.8 standard errors.
        reason: Why something is None; empty if nothing is.
    """

    value: float | None
    interval: Interval | None = None
    p_value: float | None = None
    detectable: float | None = None
    reason: str = ""


def paired_delong(first: ArrayLike, second: ArrayLike, targets: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return the difference of two AUROCs (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).

    The variance of the difference is that of the differences in placement (Sun and Xu, IEEE Signal Processing Letters
    21, 2014), which include the covariance of the two models. The images must be independent: for several images of a
    lesion see `paired_auroc_by_lesion`.

    Args:
        first: float `(N,)`, the higher, the more suspicious: logits or probabilities of the first model.
        second: float `(N,)`, the same of the second model.
        targets: int `(N,)`, 1 is malignant.
        confidence: Nominal coverage, in (0, 1).
    """
    check_unit("confidence", confidence, "(0, 1)")
    first, labels = check_scores(first, targets)
    second, labels = check_scores(second, targets)
    if missing := missing_class(labels):
        return Difference(None, reason=missing)
    of_first, of_second = (placements(model[labels == 1], model[labels == 0]) for model in (first, second))
    changes = [one - other for one, other in zip(of_first, of_second, strict=True)]  # (P,) and (N - P,)
    value = float(changes[0].mean())
    if min(change.size for change in changes) < 2:
        return Difference(value, reason="only one image of a class")
    if all(np.ptp(change) == 0 for change in changes):  # which shows a lack of knowledge rather than certainty
        return Difference(value, reason=SAME_ORDER if value == 0 else "all pairs of images show the same difference")
    error = float(np.sqrt(sum(change.var(ddof=1) / change.size for change in changes)))
    half_width = norm.ppf((1 + confidence) / 2) * error
    interval = max(-1.0, float(value - half_width)), min(1.0, float(value + half_width))
    return Difference(value, interval, float(2 * norm.sf(abs(value) / error)), detectable(error))


def paired_auroc_by_lesion(
    first: ArrayLike,
    second: ArrayLike,
    targets: ArrayLike,
    groups: ArrayLike,
    replicates: int | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """Return the difference of two AUROCs for images of which several show one lesion.

    Args:
        first: float `(N,)`, the higher, the more suspicious: logits or probabilities of the first model.
        second: float `(N,)`, the same of the second model.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, the lesion of each image.
        replicates: Number of bootstrap replicates, which resample the same lesions for both models; None for
            `replicates_for(N)`.
        seed: Seed of the bootstrap.
        confidence: Nominal coverage, in (0, 1).

    Returns:
        The difference with a percentile interval. Its p-value is the level at which this interval would just touch 0,
        at least 2 / (replicates + 1).
    """
    first, labels = check_scores(first, targets)
    second, labels = check_scores(second, targets)
    area, other_area = metrics.auroc(first, labels), metrics.auroc(second, labels)
    if area is None or other_area is None:
        return Difference(None, reason=missing_class(labels))

    order, other_order = (weighted_metrics.order_of(model, labels) for model in (first, second))
    to_other = np.argsort(order.indices)[other_order.indices]  # where the second order stands within the first

    def statistics(weights: Integers) -> Floats:
        areas = weighted_metrics.auroc(weighted_metrics.ordered_curves(weights, order))
        other_areas = weighted_metrics.auroc(weighted_metrics.ordered_curves(weights[:, to_other], other_order))
        return np.asarray(areas - other_areas, dtype=np.float64)

    owners = weighted_metrics.ordered_groups(order, groups)
    values = bootstrap(statistics, labels.size, owners, replicates, seed)
    estimate = resampled(area - other_area, values, confidence)
    known = values[~np.isnan(values)]
    if estimate.interval is None:
        return Difference(estimate.value, reason=estimate.reason if known.any() else SAME_ORDER)
    rarer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    p_value = min(1.0, 2 * (rarer + 1) / (known.size + 1))
    return Difference(estimate.value, estimate.interval, p_value, detectable(float(known.std(ddof=1))))


def detectable(standard_error: float) -> float:
    """Return the smallest difference that is significant at 5 % with a power of 80 %: 2.80 standard errors."""
    return float((norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) * standard_error)


@dataclass(frozen=True)
class Discordance:
    """The images on which exactly one of two models is correct.

    Attributes:
        first_only: Number of images on which only the first model is correct.
        second_only: Number of images on which only the second model is correct.
        p_value: Of McNemar's exact test; None if the two never differ.
        reason: Why the p-value is missing; otherwise empty.
    """

    first_only: int
    second_only: int
    p_value: float | None
    reason: str = ""


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> Discordance:
    """Return McNemar's exact test that two models are correct equally often (McNemar, Psychometrika 12, 1947).

    Args:
        first_right: bool `(N,)`, whether the first model decides correctly.
        second_right: bool `(N,)`, whether the second model decides correctly.

    Raises:
        ValueError: If the shapes differ or a value is neither true nor false.
    """
    table = _tabulate(first_right, second_right)
    if table.first == table.second == 0:
        return Discordance(0, 0, None, SAME_DECISIONS if table.n else "no images")
    p_value = float(binomtest(table.first, table.first + table.second).pvalue)
    return Discordance(table.first, table.second, p_value)


def paired_proportion_difference(first_hits: ArrayLike, second_hits: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return the difference of two proportions of the same images, such as the sensitivities of two models.

    The interval is method 10 of Newcombe, Statistics in Medicine 17, 1998, pages 2635-2650: the squared half-widths of
    the two Wilson intervals are added with a correction for their correlation. The p-value is that of McNemar's exact
    test.

    Args:
        first_hits: bool `(N,)`, whether an image counts for the first proportion.
        second_hits: bool `(N,)`, whether it counts for the second.
        confidence: Nominal coverage, in (0, 1).

    Raises:
        ValueError: If the shapes differ or a value is neither true nor false.
    """
    check_unit("confidence", confidence, "(0, 1)")
    table = _tabulate(first_hits, second_hits)
    if table.n == 0:
        return Difference(None, reason="no images")
    value, interval = (table.first - table.second) / table.n, _newcombe(table, confidence)
    if table.first == table.second == 0:
        return Difference(value, interval, reason=SAME_DECISIONS)
    error = sqrt(table.first + table.second - (table.first - table.second) ** 2 / table.n) / table.n
    return Difference(value, interval, mcnemar(first_hits, second_hits).p_value, detectable(error) if error else None)


@dataclass(frozen=True)
class _Table:
    """Numbers of images that both, only the first, only the second, and neither model hits."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.first + self.second + self.neither


def _tabulate(first: ArrayLike, second: ArrayLike) -> _Table:
    one, other = _flags("first", first), _flags("second", second)
    if one.shape != other.shape:
        raise ValueError(f"first and second must be about the same images, not {one.size} and {other.size}")
    return _Table(*np.bincount(2 * ~one + ~other, minlength=4).tolist())


def _flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    flags = np.asarray(values)
    if flags.ndim != 1 or not np.all((flags == 0) | (flags == 1)):
        raise ValueError(f"{name} must be true or false for each image, with shape (N,)")
    return flags.astype(np.bool_)


def _newcombe(table: _Table, confidence: float) -> Interval:
    hits = [table.both + only for only in (table.first, table.second)]
    first, second = (number / table.n for number in hits)
    (low, high), (other_low, other_high) = (wilson(number, table.n, confidence) or (0.0, 1.0) for number in hits)
    correlation, value = _correlation(table), (table.first - table.second) / table.n
    below = _side(first - low, other_high - second, correlation)
    above = _side(high - first, second - other_low, correlation)
    return value - below, value + above


def _side(one: float, other: float, correlation: float) -> float:
    """Return √(one² - 2·correlation·one·other + other²), written so that rounding cannot make the radicand negative."""
    return hypot(one - correlation * other, sqrt(1 - correlation**2) * other)


def _correlation(table: _Table) -> float:
    """Return the correlation of the two hits; method 10 shrinks a positive one towards 0."""
    product = (table.both + table.first) * (table.second + table.neither)
    product *= (table.both + table.second) * (table.first + table.neither)
    if product == 0:
        return 0.0
    excess: float = table.both * table.neither - table.first * table.second
    if excess > 0:
        excess = max(excess - table.n / 2, 0.0)
    return max(-1.0, min(1.0, excess / sqrt(product)))
