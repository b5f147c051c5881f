"""Two models on the same images: how far apart are they, and could these images have shown it?

The same images make the two models' figures rise and fall together; comparing their separate intervals would hide most
of what images can tell. Differences are first less second.

Two models' decisions about the same images, or one model's before and after a change.
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
SAME_ORDER = "both rank all images alike"


@dataclass(frozen=True)
class Difference:
    """What two models differ by, on the same images.

    Attributes:
        value: First less second; None where it cannot be computed.
        interval: Its confidence interval, of 95 % unless asked otherwise.
        p_value: Of no difference, two-sided.
        detectable: The smallest difference that so many images show in 4 of 5 sets, at 5 %: about 2.8 standard errors.
        reason: Why something is None; empty where nothing is.
    """

    value: float | None
    interval: Interval | None = None
    p_value: float | None = None
    detectable: float | None = None
    reason: str = ""


def paired_delong(first: ArrayLike, second: ArrayLike, targets: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return how much the AUROCs of two models differ (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).

    The variance of the difference is that of the images' differences in placement (Sun and Xu, IEEE Signal Processing
    Letters 21, 2014), which holds the covariance of the two models. Images must stand alone: for several of a lesion
    see `paired_auroc_by_lesion`.

    Args:
        first: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        second: the same, of the other model.
        targets: int `(N,)`, 1 is malignant.
        confidence: wanted coverage, in (0, 1).
    """
    check_unit("confidence", confidence, open_ends=True)
    first, labels = check_scores(first, targets)
    second, labels = check_scores(second, targets)
    if missing := missing_class(labels):
        return Difference(None, reason=missing)
    of_first, of_second = (placements(model[labels == 1], model[labels == 0]) for model in (first, second))
    changes = [mine - yours for mine, yours in zip(of_first, of_second, strict=True)]  # (P,) and (N - P,)
    value = float(changes[0].mean())
    if min(change.size for change in changes) < 2:
        return Difference(value, reason="only one image of a class")
    if all(np.ptp(change) == 0 for change in changes):  # which is a lack of knowledge and no certainty
        return Difference(value, reason=SAME_ORDER if value == 0 else "every pair of images tells the same difference")
    error = float(np.sqrt(sum(change.var(ddof=1) / change.size for change in changes)))
    half_width = norm.ppf((1 + confidence) / 2) * error
    interval = max(-1.0, float(value - half_width)), min(1.0, float(value + half_width))
    return Difference(value, interval, float(2 * norm.sf(abs(value) / error)), detectable(error))


def paired_auroc_by_lesion(
    first: ArrayLike,
    second: ArrayLike,
    targets: ArrayLike,
    groups: ArrayLike,
    draws: int | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> Difference:
    """Return how much the AUROCs of two models differ, where several images show one lesion.

    Args:
        first: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        second: the same, of the other model.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, the lesion of each image.
        draws: of the bootstrap, which draws the same lesions for both models; None for `replicates_for(N)`.
        seed: of the bootstrap.
        confidence: wanted coverage, in (0, 1).

    Returns:
        The p-value is the level at which the percentile interval would just touch 0; at least 2 / (draws + 1).
    """
    first, labels = check_scores(first, targets)
    second, labels = check_scores(second, targets)
    area, other = metrics.auroc(first, labels), metrics.auroc(second, labels)
    if area is None or other is None:
        return Difference(None, reason=missing_class(labels))

    order, other_order = (weighted_metrics.order_of(model, labels) for model in (first, second))
    to_other = np.argsort(order.places)[other_order.places]  # places of the second order among those of the first

    def statistics(weights: Integers) -> Floats:
        mine = weighted_metrics.auroc(weighted_metrics.ordered_curves(weights, order))
        yours = weighted_metrics.auroc(weighted_metrics.ordered_curves(weights[:, to_other], other_order))
        return np.asarray(mine - yours, dtype=np.float64)

    owners = weighted_metrics.ordered_groups(order, groups)
    values = bootstrap(statistics, labels.size, owners, draws, seed)
    estimate = resampled(area - other, values, confidence)
    if estimate.interval is None:
        reason = SAME_ORDER if not np.any(values[~np.isnan(values)]) else estimate.reason
        return Difference(estimate.value, reason=reason)
    known = values[~np.isnan(values)]
    rarer = min(int((known <= 0).sum()), int((known >= 0).sum()))
    p_value = min(1.0, 2 * (rarer + 1) / (known.size + 1))
    return Difference(estimate.value, estimate.interval, p_value, detectable(float(known.std(ddof=1))))


def detectable(standard_error: float) -> float:
    """Return the smallest difference that is significant at 5 % with a power of 80 %: 2.80 standard errors."""
    return float((norm.ppf(1 - LEVEL / 2) + norm.ppf(POWER)) * standard_error)


ALIKE = "both decide every image alike"


@dataclass(frozen=True)
class Discordance:
    """Images on which only one of two is right.

    Attributes:
        first_only: Images that only the first is right about.
        second_only: Images that only the second is right about.
        p_value: Of McNemar's exact test; None where the two never differ.
        reason: Why there is no p-value; else empty.
    """

    first_only: int
    second_only: int
    p_value: float | None
    reason: str = ""


@dataclass(frozen=True)
class _Table:
    """How many images both, only the first, only the second, and neither hits."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.first + self.second + self.neither


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> Discordance:
    """Return McNemar's exact test of two models being right equally often (McNemar, Psychometrika 12, 1947).

    Args:
        first_right: bool `(N,)`, whether the first decides rightly.
        second_right: bool `(N,)`, whether the second does.

    Raises:
        ValueError: if the shapes differ or a value is neither true nor false.
    """
    table = _tabulate(first_right, second_right)
    if table.first == table.second == 0:
        return Discordance(0, 0, None, ALIKE if table.n else "no images")
    p_value = float(binomtest(table.first, table.first + table.second).pvalue)
    return Discordance(table.first, table.second, p_value)


def paired_proportion_difference(first_hits: ArrayLike, second_hits: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return the difference of two shares of the same images, such as the sensitivities of two models.

    The interval is method 10 of Newcombe, Statistics in Medicine 17, 1998, pages 2635-2650: Wilson's intervals of the
    two shares, added as squares with a correction for their correlation. The p-value is McNemar's, exact.

    Args:
        first_hits: bool `(N,)`, whether an image counts for the first share.
        second_hits: bool `(N,)`, whether it counts for the second.
        confidence: wanted coverage, in (0, 1).

    Raises:
        ValueError: if the shapes differ or a value is neither true nor false.
    """
    check_unit("confidence", confidence, open_ends=True)
    table = _tabulate(first_hits, second_hits)
    if table.n == 0:
        return Difference(None, reason="no images")
    value, interval = (table.first - table.second) / table.n, _newcombe(table, confidence)
    if table.first == table.second == 0:
        return Difference(value, interval, reason=ALIKE)
    error = sqrt(table.first + table.second - (table.first - table.second) ** 2 / table.n) / table.n
    return Difference(value, interval, mcnemar(first_hits, second_hits).p_value, detectable(error) if error else None)


def _newcombe(table: _Table, confidence: float) -> Interval:
    shares = [(table.both + only) / table.n for only in (table.first, table.second)]
    wilsons = [wilson(table.both + only, table.n, confidence) or (0.0, 1.0) for only in (table.first, table.second)]
    (low, high), (other_low, other_high) = wilsons
    correlation, value = _correlation(table), (table.first - table.second) / table.n
    below = _side(shares[0] - low, other_high - shares[1], correlation)
    above = _side(high - shares[0], shares[1] - other_low, correlation)
    return value - below, value + above


def _side(one: float, other: float, correlation: float) -> float:
    """Return √(one² - 2·correlation·one·other + other²), written so that rounding keeps the root's inside positive."""
    return hypot(one - correlation * other, sqrt(1 - correlation**2) * other)


def _correlation(table: _Table) -> float:
    """Return the correlation of the two hits; a positive one is drawn towards 0, as method 10 wants."""
    product = (table.both + table.first) * (table.second + table.neither)
    product *= (table.both + table.second) * (table.first + table.neither)
    if product == 0:
        return 0.0
    excess: float = table.both * table.neither - table.first * table.second
    if excess > 0:
        excess = max(excess - table.n / 2, 0.0)
    return max(-1.0, min(1.0, excess / sqrt(product)))


def _tabulate(first: ArrayLike, second: ArrayLike) -> _Table:
    one, other = _flags("first", first), _flags("second", second)
    if one.shape != other.shape:
        raise ValueError(f"first and second must be about the same images, not {one.size} and {other.size}")
    outcomes = np.bincount(2 * ~one + ~other, minlength=4)
    return _Table(*(int(outcome) for outcome in outcomes))


def _flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    flags = np.asarray(values)
    if flags.ndim != 1 or not np.all((flags == 0) | (flags == 1)):
        raise ValueError(f"{name} must be true or false for each image, with shape (N,)")
    return flags.astype(np.bool_)
