"""Two models on the same photos: how far apart are they, and could these photos have shown it?

The same photos make the two models' figures rise and fall together; comparing their separate intervals would hide most
of what photos can tell. Differences are first less second.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from melanoma_pl.evaluation import metrics, weighted
from melanoma_pl.evaluation.checks import Floats, Integers, check_scores, check_unit
from melanoma_pl.evaluation.intervals import Interval, placements
from melanoma_pl.evaluation.resampling import bootstrap, resampled
from melanoma_pl.evaluation.scarcity import missing_class

POWER, LEVEL = 0.8, 0.05
SAME_ORDER = "both rank all photos alike"


@dataclass(frozen=True)
class Difference:
    """What two models differ by, on the same photos.

    Attributes:
        value: First less second; None where it cannot be computed.
        interval: Its confidence interval, of 95 % unless asked otherwise.
        p_value: Of no difference, two-sided.
        detectable: The smallest difference that so many photos show in 4 of 5 sets, at 5 %: about 2.8 standard errors.
        reason: Why something is None; empty where nothing is.
    """

    value: float | None
    interval: Interval | None = None
    p_value: float | None = None
    detectable: float | None = None
    reason: str = ""


def paired_delong(first: ArrayLike, second: ArrayLike, targets: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return how much the AUROCs of two models differ (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).

    The variance of the difference is that of the photos' differences in placement (Sun and Xu, IEEE Signal Processing
    Letters 21, 2014), which holds the covariance of the two models. Photos must stand alone: for several of a lesion
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
        return Difference(value, reason="only one photo of a class")
    if all(np.ptp(change) == 0 for change in changes):  # which is a lack of knowledge and no certainty
        return Difference(value, reason=SAME_ORDER if value == 0 else "every pair of photos tells the same difference")
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
    """Return how much the AUROCs of two models differ, where several photos show one lesion.

    Args:
        first: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        second: the same, of the other model.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, the lesion of each photo.
        draws: of the bootstrap, which draws the same lesions for both models; None for `draws_for(N)`.
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

    order, other_order = (weighted.order_of(model, labels) for model in (first, second))
    to_other = np.argsort(order.places)[other_order.places]  # places of the second order among those of the first

    def statistics(weights: Integers) -> Floats:
        mine = weighted.auroc(weighted.ordered_curves(weights, order))
        yours = weighted.auroc(weighted.ordered_curves(weights[:, to_other], other_order))
        return np.asarray(mine - yours, dtype=np.float64)

    owners = weighted.ordered_groups(order, groups)
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
