"""The bootstrap of images or of whole lesions, for intervals that no formula gives.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13. Several images of one lesion resemble
each other, so resampling single images overstates what they tell; resampling whole lesions does not (Field and Welsh,
Journal of the Royal Statistical Society B 69, 2007; Obuchowski, Biometrics 53, 1997).
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from melanoma_pl.evaluation.checks import Floats, Integers, check_groups, check_unit
from melanoma_pl.evaluation.intervals import Estimate, Interval

BLOCK = 500_000  # weights held at once: few enough for a laptop's cache, whatever the number of images
MOST_REPLICATES, FEWEST_REPLICATES = 2000, 200
MOST_WEIGHTS = 20_000_000  # of all replicates: a hundred thousand images take seconds rather than minutes
LARGEST_MISSING = 0.01  # fraction of the replicates
TOO_FEW = "too few images of one class: too many bootstrap replicates lack it"
NO_VARIATION = "all bootstrap replicates give the same number"


def replicates_for(n: int) -> int:
    """Return the default number of bootstrap replicates: 2,000 for up to 10,000 images, then fewer, at least 200.

    The intervals of very many images are narrow; with 200 replicates their ends vary by a fifth of a standard error.

    Args:
        n: Number of images, at least 1.
    """
    return max(FEWEST_REPLICATES, min(MOST_REPLICATES, MOST_WEIGHTS // n))


def replicate_weights(
    n: int, groups: ArrayLike | None = None, replicates: int | None = None, seed: int = 0
) -> Integers:
    """Return how often each replicate contains each image, if images or whole groups are resampled with replacement.

    Args:
        n: Number of images, at least 1.
        groups: `(N,)`, such as lesions, of any sortable type; None if the images are independent.
        replicates: Number of replicates B, at least 1; None for `replicates_for(n)`.
        seed: Seed of the random generator.

    Returns:
        int64 `(B, N)`. Each replicate has as many groups as the original, so its number of images varies.

    Raises:
        ValueError: If there are no images or replicates, or not as many groups as images.
    """
    return np.concatenate(list(_blocks(n, groups, replicates, seed)))


def bootstrap(
    statistics: Callable[[Integers], Floats],
    n: int,
    groups: ArrayLike | None = None,
    replicates: int | None = None,
    seed: int = 0,
) -> Floats:
    """Return the statistics of every replicate, computed in blocks so that memory stays bounded.

    Args:
        statistics: Maps weights int64 `(b, N)` to float64 `(b,)` or `(b, S)`, like the functions of `weighted_metrics`.
        n: Number of images, at least 1.
        groups: `(N,)`, such as lesions, of any sortable type; None if the images are independent.
        replicates: Number of replicates B, at least 1; None for `replicates_for(n)`.
        seed: Seed of the random generator.

    Returns:
        float64 `(B,)` or `(B, S)`.

    Raises:
        ValueError: If there are no images or replicates, or not as many groups as images.
    """
    return np.concatenate([statistics(weights) for weights in _blocks(n, groups, replicates, seed)])


def percentile_interval(values: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Return the interval between two percentiles of the replicates.

    Replicates that lack a class are NaN. A few of them are left out; leaving out many would bias the interval towards
    replicates with more images of the rarer class.

    Args:
        values: float64 `(B,)`, the statistic of each replicate.
        confidence: Nominal coverage, in (0, 1).

    Returns:
        Lower and upper end; None if more than 1 % are NaN, or if all are equal, which shows a lack of knowledge.
    """
    check_unit("confidence", confidence, "(0, 1)")
    figures = np.asarray(values, dtype=np.float64)
    known = figures[~np.isnan(figures)]
    if known.size < (1 - LARGEST_MISSING) * figures.size or known.size == 0 or np.ptp(known) == 0:
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def resampled(value: float | None, values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return a number with the percentile interval of its replicates, or with the reason for a missing interval.

    Args:
        value: The number computed from the original images; None if it cannot be computed.
        values: float64 `(B,)`, the number computed from each replicate.
        confidence: Nominal coverage, in (0, 1).
    """
    if value is None:
        return Estimate(None)
    interval = percentile_interval(values, confidence)
    if interval is not None:
        return Estimate(value, interval)
    lacks_a_class = np.isnan(np.asarray(values, dtype=np.float64)).any()
    return Estimate(value, None, TOO_FEW if lacks_a_class else NO_VARIATION)


def _blocks(n: int, groups: ArrayLike | None, replicates: int | None, seed: int) -> Iterator[Integers]:
    """Yield the weights int64 `(b, N)` block by block; the block size does not affect them."""
    replicates = replicates_for(max(n, 1)) if replicates is None else replicates
    if n < 1 or replicates < 1:
        raise ValueError(f"a bootstrap needs at least one image and one replicate, not {n} and {replicates}")
    members = np.arange(n) if groups is None else np.unique(check_groups(groups, n), return_inverse=True)[1]  # (N,)
    number = int(members.max()) + 1
    random = np.random.default_rng(seed)
    size = max(1, BLOCK // n)
    for start in range(0, replicates, size):
        rows = min(size, replicates - start)
        chosen = random.integers(0, number, (rows, number)) + number * np.arange(rows)[:, None]
        yield np.bincount(chosen.ravel(), minlength=rows * number).reshape(rows, number)[:, members]
