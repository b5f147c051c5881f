"""Whether probabilities mean what they say: of images called 30 % malignant, are 30 % malignant?

How far an expected calibration error could be off.

Chance moves the share of malignant images of every bin away from their probability, and the ECE counts every such
distance as an error. So an ECE is too large, most of all where the truth is near 0 (Bröcker, Climate Dynamics 39, 2012;
Kumar, Liang and Ma, NeurIPS 2019), and drawing its images again adds the same once more: percentiles of the draws lie
too high, and mirroring them (the basic bootstrap) does not mend it. Turning a test round does: the interval holds every
true ECE under which the found one is not unusual (Carpenter, Journal of the Royal Statistical Society B 61, 1999).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from melanoma_pl.evaluation.checks import Floats, Integers, check_images, check_unit
from melanoma_pl.evaluation.intervals import Estimate, Interval, wilson
from melanoma_pl.evaluation.resampling import BLOCK, replicates_for
from melanoma_pl.evaluation.results import Bin


def reliability_bins(probabilities: ArrayLike, targets: ArrayLike, bins: int = 10) -> tuple[Bin, ...]:
    """Return the reliability diagram: images sorted by probability and cut into bins of equal count.

    The bins are those of scikit-learn's `calibration_curve(strategy="quantile")`. Images of equal probability share a
    bin, so that with ties the counts differ.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        bins: at least 1; no bin is empty, so there may be fewer.

    Returns:
        From the lowest probability to the highest; shares with Wilson's intervals.
    """
    probabilities, targets = check_images(probabilities, targets)
    members = _members(probabilities, bins)
    return tuple(_bin(probabilities[members == place], targets[members == place]) for place in np.unique(members))


def expected_calibration_error(probabilities: ArrayLike, targets: ArrayLike, bins: int = 10) -> float:
    """Return the ECE: the distance between probability and share of each bin, averaged over images.

    Guo, Pleiss, Sun and Weinberger, ICML 2017, equation 3; with bins of equal count instead of equal width, as Nixon,
    Dusenberry, Zhang, Jerfel and Tran, CVPR Workshops 2019, advise, because most images have similar probabilities.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        bins: at least 1.

    Returns:
        A number in [0, 1]. Chance alone keeps it above 0: see `calibrated_ece_range`; for its interval see
        `calibration_error`.
    """
    probabilities, targets = check_images(probabilities, targets)
    return float(np.abs(bin_errors(probabilities, targets, bins).mean(axis=0)).sum())


def bin_errors(probabilities: Floats, targets: Integers, bins: int = 10) -> Floats:
    """Return each image's part in the error of each bin, whose mean over images is the bin's part in the ECE.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        bins: at least 1.

    Returns:
        float64 `(N, bins)`: target less probability in the column of the image's bin, 0 elsewhere.
    """
    return np.asarray((targets - probabilities)[:, None] * _membership(probabilities, bins), dtype=np.float64)


def calibrated_ece_range(
    probabilities: ArrayLike,
    groups: ArrayLike | None = None,
    bins: int = 10,
    draws: int | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Return the range of the ECE of a perfectly calibrated model that gave these probabilities.

    Targets are drawn from the probabilities (consistency resampling: Bröcker and Smith, Weather and Forecasting 22,
    2007). An ECE above the range shows a lack of calibration; one inside it does not prove calibration.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        groups: `(N,)`, such as lesions, whose images share one fate; None if each image stands alone.
        bins: at least 1.
        draws: number of drawn sets of targets; None for `replicates_for(N)`.
        seed: of the random generator.
        confidence: share of the draws within the range, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1].
    """
    probabilities, _ = check_images(probabilities, np.zeros(np.shape(probabilities), dtype=np.int64))
    draws = replicates_for(probabilities.size) if draws is None else draws
    membership = _membership(probabilities, bins)
    owners = np.arange(probabilities.size) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    random, size = np.random.default_rng(seed), max(1, BLOCK // probabilities.size)
    errors = [
        np.abs(((_fates(random, min(size, draws - start), owners) < probabilities) - probabilities) @ membership)
        for start in range(0, draws, size)
    ]
    low, high = np.quantile(
        np.concatenate(errors).sum(axis=1) / probabilities.size, [(1 - confidence) / 2, (1 + confidence) / 2]
    )
    return float(low), float(high)


def _fates(random: np.random.Generator, rows: int, owners: Integers) -> Floats:
    """Return uniform numbers `(rows, N)`, one a lesion: where it is malignant, all its images are."""
    return random.random((rows, int(owners.max()) + 1))[:, owners]


def _members(probabilities: Floats, bins: int) -> Integers:
    """Return the bin of each image, `(N,)`."""
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    edges = np.percentile(probabilities, 100 * np.linspace(0, 1, bins + 1))
    return np.asarray(np.searchsorted(edges[1:-1], probabilities), dtype=np.int64)


def _membership(probabilities: Floats, bins: int) -> Floats:
    """Return 1 in the column of each image's bin, 0 elsewhere, `(N, bins)`."""
    members = _members(probabilities, bins)
    return np.asarray(np.eye(int(members.max()) + 1)[members], dtype=np.float64)


def _bin(probabilities: Floats, targets: Integers) -> Bin:
    n, malignant = targets.size, int(targets.sum())
    return Bin(n, float(probabilities.mean()), Estimate(malignant / n, wilson(malignant, n)))


def ece_estimate(errors: Floats, drawn: Floats, confidence: float = 0.95) -> Estimate:
    """Return an ECE with its interval.

    The noise of each draw is laid over true errors of the bins that are those found, made larger or smaller together.
    As what was found holds noise too, and a bin that happens to look right need not be, the errors are evened out by
    one standard error each beforehand.

    Args:
        errors: float64 `(bins,)`: of each bin, its share of all images times (share of malignant ones less mean
            probability). The ECE is the sum of their sizes.
        drawn: float64 `(B, bins)`, the same of each draw of a bootstrap that keeps each image in its bin.
        confidence: wanted coverage, in (0, 1).

    Returns:
        The interval begins at 0 where the found ECE could be that of a perfectly calibrated model: at this end of what
        is possible, only its upper end says something. It always holds the found ECE. Of 3,800 simulated sets each of
        200 and of 660 images, calibrated or not, 95 to 97 % held the ECE of endless images (`benchmarks/intervals.py`
        draws such sets).
    """
    check_unit("confidence", confidence, open_ends=True)
    found, noise = float(np.abs(errors).sum()), drawn - errors  # (B, bins)
    if not noise.any():
        return Estimate(found, None, "drawing the images again always gives the same number")
    evened = np.copysign(np.hypot(errors, noise.std(axis=0)), errors)
    shape = evened / np.abs(evened).sum()

    def excess(truth: float, quantile: float) -> float:
        """Return how far a quantile of the ECEs that a true one gives lies above the found one."""
        return float(np.quantile(np.abs(truth * shape + noise).sum(axis=1), quantile)) - found

    low_tail, high_tail = (1 - confidence) / 2, (1 + confidence) / 2
    farthest = found + float(np.abs(noise).sum(axis=1).max()) + 1e-9  # from there on no draw is below the found one
    low = _crossing(lambda truth: excess(truth, high_tail), 0.0, found)
    high = _crossing(lambda truth: excess(truth, low_tail), found, farthest)
    return Estimate(found, (low, min(high, 1.0)))


def _crossing(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function crosses 0 between two places, or the place that is nearer to it."""
    if rising(low) >= 0:
        return low
    return high if rising(high) <= 0 else float(brentq(rising, low, high, xtol=1e-6))
