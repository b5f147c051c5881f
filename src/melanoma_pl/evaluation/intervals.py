"""How far a number could be off for want of images: confidence intervals.

Those of shares and of the AUROC hold for images drawn independently. Several images of one lesion or patient are not,
and make these intervals too narrow.

A number with its interval, or the reason why there is none.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, rankdata, t

from melanoma_pl.evaluation.checks import Floats, check_scores, check_unit

Interval = tuple[float, float]


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval | None:
    """Return the score interval of a share (Wilson, Journal of the American Statistical Association 22, 1927).

    Unlike the interval of the textbooks it stays in [0, 1] and has a width even for 0 or `n` successes.

    Args:
        successes: number of images that count, 0 to `n`.
        n: number of images.
        confidence: wanted coverage, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1]; None for no images at all.
    """
    check_unit("confidence", confidence, open_ends=True)
    if successes == n == 0:
        return None
    interval = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def delong(scores: ArrayLike, targets: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Return the interval of the AUROC (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988).

    The variance comes from midranks (Sun and Xu, IEEE Signal Processing Letters 21, 2014), in O(N log N). The interval
    is symmetric on the logit scale, log(A / (1 - A)), and mapped back, so that it stays in [0, 1] and covers better
    near the ends than A ± z·s (Pepe, The Statistical Evaluation of Medical Tests, 2003; Qin and Hotilovac, Statistical
    Methods in Medical Research 17, 2008). It still is too narrow very near 1: of draws with 50 melanomas, 500 benign
    images and a true AUROC of 0.99, nine in ten intervals of 95 % contain it. Where the variance is 0, which is a lack
    of knowledge and no certainty, see `_bounds_of_unanimous_pairs`.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.
        confidence: wanted coverage, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1]; None if a class has fewer than 2 images.
    """
    scores, targets = check_scores(scores, targets)
    check_unit("confidence", confidence, open_ends=True)
    positives, negatives = scores[targets == 1], scores[targets == 0]
    pairs = min(positives.size, negatives.size)
    if pairs < 2:
        return None
    area, variance = _area_and_variance(positives, negatives)
    if variance == 0:
        return _bounds_of_unanimous_pairs(area, pairs, confidence)
    half_width = norm.ppf((1 + confidence) / 2) * np.sqrt(variance) / (area * (1 - area))
    low, high = expit(logit(area) + np.array([-half_width, half_width]))
    return float(low), float(high)


def placements(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """Return the share of the other class that each image is ranked against rightly, ties counting half.

    Args:
        positives: float64 `(P,)`, scores of malignant images.
        negatives: float64 `(N,)`, scores of benign images.

    Returns:
        Of the malignant `(P,)` and of the benign ones `(N,)`; the mean of either is the AUROC.
    """
    midranks = rankdata(np.concatenate([positives, negatives]))  # (P + N,)
    of_positives = (midranks[: positives.size] - rankdata(positives)) / negatives.size
    of_negatives = 1 - (midranks[positives.size :] - rankdata(negatives)) / positives.size
    return of_positives, of_negatives


def _area_and_variance(positives: Floats, negatives: Floats) -> tuple[float, float]:
    """Return the AUROC and its DeLong variance, the sum of what each class's placements scatter."""
    of_positives, of_negatives = placements(positives, negatives)
    variance = of_positives.var(ddof=1) / positives.size + of_negatives.var(ddof=1) / negatives.size
    return float(of_positives.mean()), float(variance)


def _bounds_of_unanimous_pairs(area: float, pairs: int, confidence: float) -> Interval:
    """Return an interval where every malignant-benign pair gives the same score, and DeLong's width would be 0.

    That is so when the classes are perfectly apart (`area` 1, or 0 if reversed) or all probabilities equal (0.5). As
    many pairs as the smaller class has images share no image, so they are independent trials, all with one outcome.
    The exact interval of Clopper and Pearson (Biometrika 26, 1934) then says that at least `share` of all pairs come
    out like this, the two-sided form of the rule of three (Hanley and Lippman-Hand, JAMA 249, 1983); the rest may
    score anything from 0 to 1. It assumes nothing about the distribution of probabilities and is rather too wide than
    too narrow. That an AUROC of 1 needs such a bound: Obuchowski and Lieber, Academic Radiology 9, 2002.
    """
    share = ((1 - confidence) / 2) ** (1 / pairs)
    return area * share, area * share + (1 - share)


def corrected_resampled_t(values: ArrayLike, held_to_trained: float, confidence: float = 0.95) -> Interval | None:
    """Return the interval of a cross-validated mean (Nadeau and Bengio, Machine Learning 52, 2003).

    Networks of different folds share most of their training images, so that their figures scatter less than those of
    independent trainings would. The variance of the mean is therefore taken as variance · (1 / K + n_held / n_trained)
    instead of variance / K, with K - 1 degrees of freedom.

    Args:
        values: float64 `(K,)`, the figure of each fold.
        held_to_trained: Images held out of a training by images trained on; 1 / (K - 1) for all of K folds.
        confidence: wanted coverage, in (0, 1).

    Returns:
        Lower and upper end; None for fewer than 2 values, or if all are equal, which is a lack of knowledge.
    """
    check_unit("confidence", confidence, open_ends=True)
    figures = np.asarray(values, dtype=np.float64)
    if figures.size < 2 or np.ptp(figures) == 0:
        return None
    variance = figures.var(ddof=1) * (1 / figures.size + held_to_trained)
    half_width = t.ppf((1 + confidence) / 2, figures.size - 1) * np.sqrt(variance)
    return float(figures.mean() - half_width), float(figures.mean() + half_width)


NOT_COMPUTABLE = "not computable"
ALWAYS_SO = "always so"
"""The reason why there is no interval where the value follows from a definition, whatever the images."""


@dataclass(frozen=True)
class Estimate:
    """A number that images gave.

    Attributes:
        value: The number; None where it cannot be computed.
        interval: Its 95 % confidence interval; None where it cannot be computed.
        reason: Why there is no value, or, with a value, no interval; empty where all is there.
    """

    value: float | None
    interval: Interval | None = None
    reason: str = ""

    def __str__(self) -> str:
        """Return "0.915 [0.884–0.938]", or "not computable: no malignant images"."""
        if self.value is None:
            return f"{NOT_COMPUTABLE}: {self.reason}" if self.reason else NOT_COMPUTABLE
        if self.interval is None:
            return decimal(self.value)
        return f"{decimal(self.value)} {brackets(self.interval)}"


def decimal(value: float) -> str:
    """Return "0.915" or "−0.008", with a minus: a hyphen beside a dash reads badly."""
    return f"{value:z.3f}".replace("-", "−")


def brackets(interval: Interval) -> str:
    """Return "[0.884–0.938]"."""
    return f"[{decimal(interval[0])}–{decimal(interval[1])}]"
