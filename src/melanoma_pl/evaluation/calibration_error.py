"""How far an expected calibration error could be off.

Chance moves the share of malignant photos of every bin away from their probability, and the ECE counts every such
distance as an error. So an ECE is too large, most of all where the truth is near 0 (Bröcker, Climate Dynamics 39, 2012;
Kumar, Liang and Ma, NeurIPS 2019), and drawing its photos again adds the same once more: percentiles of the draws lie
too high, and mirroring them (the basic bootstrap) does not mend it. Turning a test round does: the interval holds every
true ECE under which the found one is not unusual (Carpenter, Journal of the Royal Statistical Society B 61, 1999).
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from melanoma_pl.evaluation.checks import Floats, check_unit
from melanoma_pl.evaluation.estimate import Estimate


def ece_estimate(errors: Floats, drawn: Floats, confidence: float = 0.95) -> Estimate:
    """Return an ECE with its interval.

    The noise of each draw is laid over true errors of the bins that are those found, made larger or smaller together.
    As what was found holds noise too, and a bin that happens to look right need not be, the errors are evened out by
    one standard error each beforehand.

    Args:
        errors: float64 `(bins,)`: of each bin, its share of all photos times (share of malignant ones less mean
            probability). The ECE is the sum of their sizes.
        drawn: float64 `(B, bins)`, the same of each draw of a bootstrap that keeps each photo in its bin.
        confidence: wanted coverage, in (0, 1).

    Returns:
        The interval begins at 0 where the found ECE could be that of a perfectly calibrated model: at this end of what
        is possible, only its upper end says something. It always holds the found ECE. Of 3,800 simulated sets each of
        200 and of 660 photos, calibrated or not, 95 to 97 % held the ECE of endless photos (`benchmarks/intervals.py`
        draws such sets).
    """
    check_unit("confidence", confidence, open_ends=True)
    found, noise = float(np.abs(errors).sum()), drawn - errors  # (B, bins)
    if not noise.any():
        return Estimate(found, None, "drawing the photos again always gives the same number")
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
