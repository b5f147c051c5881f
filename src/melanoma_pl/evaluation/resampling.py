"""How far a number could be off where no formula says so: the bootstrap, of images or of whole lesions.

Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13. Several images of one lesion are alike,
so drawing single images pretends to know more than the images tell; drawing whole lesions does not (Field and Welsh,
Journal of the Royal Statistical Society B 69, 2007; Obuchowski, Biometrics 53, 1997).
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from melanoma_pl.evaluation.checks import Floats, Integers, check_groups, check_unit
from melanoma_pl.evaluation.intervals import Estimate, Interval

BLOCK = 500_000  # weights held at once: few enough for a laptop's cache, whatever the number of images
MOST_DRAWS, FEWEST_DRAWS = 2000, 200
MOST_WEIGHTS = 20_000_000  # drawn in all: seconds, and not minutes, for a hundred thousand images
LARGEST_MISSING = 0.01


def replicates_for(n: int) -> int:
    """Return how many draws so many images get: 2,000 up to 10,000 images, then fewer, but never fewer than 200.

    Intervals of very many images are narrow; with 200 draws their ends scatter by a fifth of a standard error.

    Args:
        n: number of images, at least 1.
    """
    return max(FEWEST_DRAWS, min(MOST_DRAWS, MOST_WEIGHTS // n))


def replicate_weights(n: int, groups: ArrayLike | None = None, draws: int | None = None, seed: int = 0) -> Integers:
    """Return how often each image is drawn, when images or whole groups of them are drawn with replacement.

    Args:
        n: number of images, at least 1.
        groups: `(N,)`, such as lesions, of any kind that can be sorted; None if each image stands alone.
        draws: number of draws B, at least 1; None for `replicates_for(n)`.
        seed: of the random generator.

    Returns:
        int64 `(B, N)`. Each draw holds as many groups as there are, so its number of images varies with their sizes.

    Raises:
        ValueError: if there are no images or draws, or not as many groups as images.
    """
    return np.concatenate(list(_blocks(n, groups, draws, seed)))


def bootstrap(
    statistics: Callable[[Integers], Floats],
    n: int,
    groups: ArrayLike | None = None,
    draws: int | None = None,
    seed: int = 0,
) -> Floats:
    """Return figures of every draw; memory stays bounded, for the draws are made and used in blocks.

    Args:
        statistics: weights int64 `(b, N)` → float64 `(b,)` or `(b, S)`, as `weighted` computes them.
        n: as of `replicate_weights`, whose weights are used.
        groups: the same.
        draws: the same.
        seed: the same.

    Returns:
        float64 `(B,)` or `(B, S)`.

    Raises:
        ValueError: as `replicate_weights` does.
    """
    return np.concatenate([statistics(weights) for weights in _blocks(n, groups, draws, seed)])


def percentile_interval(values: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Return the interval between two percentiles of the draws' figures.

    Draws without one of the classes give NaN. Few of them are left out; many would leave only those draws that look
    better than they are.

    Args:
        values: float64 `(B,)`.
        confidence: wanted coverage, in (0, 1).

    Returns:
        Lower and upper end; None if more than 1 % are NaN, or if all are equal, which is a lack of knowledge.
    """
    check_unit("confidence", confidence, open_ends=True)
    figures = np.asarray(values, dtype=np.float64)
    known = figures[~np.isnan(figures)]
    if known.size < (1 - LARGEST_MISSING) * figures.size or known.size == 0 or np.ptp(known) == 0:
        return None
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def resampled(value: float, values: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Return a number with the percentile interval of its draws, or with the reason why it has none.

    Args:
        value: of the images as they are.
        values: float64 `(B,)`, of the draws.
        confidence: wanted coverage, in (0, 1).
    """
    interval = percentile_interval(values, confidence)
    if interval is not None:
        return Estimate(value, interval)
    if np.isnan(np.asarray(values, dtype=np.float64)).any():
        return Estimate(value, None, "too few images of one class: too many draws held none of them")
    return Estimate(value, None, "drawing the images again always gives the same number")


def _blocks(n: int, groups: ArrayLike | None, draws: int | None, seed: int) -> Iterator[Integers]:
    """Yield the weights int64 `(b, N)`, block by block; the size of the blocks changes no draw."""
    draws = replicates_for(max(n, 1)) if draws is None else draws
    if n < 1 or draws < 1:
        raise ValueError(f"a bootstrap needs at least one image and one draw, not {n} and {draws}")
    members = np.arange(n) if groups is None else np.unique(check_groups(groups, n), return_inverse=True)[1]  # (N,)
    number = int(members.max()) + 1
    random = np.random.default_rng(seed)
    size = max(1, BLOCK // n)
    for start in range(0, draws, size):
        rows = min(size, draws - start)
        drawn = random.integers(0, number, (rows, number)) + number * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number)[:, members]
