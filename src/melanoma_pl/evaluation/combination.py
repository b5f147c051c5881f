"""Several networks' answers to one photo, made into one."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

from melanoma_pl.evaluation.checks import Floats

Combine = Literal["logit", "rank"]


def mean_logit(logits: ArrayLike) -> Floats:
    """Return the mean of several networks' logits: float64 `(N,)` from float `(M, N)`.

    It is the logarithm of the geometric mean of the odds. Networks that are surer of themselves weigh more.
    """
    return np.asarray(np.asarray(logits, dtype=np.float64).mean(axis=0), dtype=np.float64)


def mean_rank(logits: ArrayLike, references: ArrayLike) -> Floats:
    """Return the logit of the mean rank, in which every network weighs alike, however sure it sounds.

    A photo's rank is the share of reference photos that the network finds less suspicious, so that it does not depend
    on which other photos happen to be judged. Between two references it rises in a straight line, so that few of them
    do not make ties; beyond them all it rises ever more slowly.

    Args:
        logits: float `(M, N)`.
        references: float `(M, V)`, the same networks' logits of reference photos, such as those of validation.

    Returns:
        float64 `(N,)`.
    """
    pairs = zip(np.asarray(logits, dtype=np.float64), np.asarray(references, dtype=np.float64), strict=True)
    return np.asarray(logit(np.mean([_ranks(values, reference) for values, reference in pairs], axis=0)))


def _ranks(values: Floats, reference: Floats) -> Floats:
    """Return each value's place among the references, float64 `(N,)` in (0, 1); those that tie share their mean."""
    different, counts = np.unique(reference, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    beyond = np.maximum(values - different[-1], 0) - np.maximum(different[0] - values, 0)  # below 0: under them all
    spread = reference.std()
    # From the outermost reference's place half a place on, or to where its ties end, which infinity alone reaches.
    way = beyond / (np.abs(beyond) + spread) if spread else np.sign(beyond)
    ends = np.where(beyond > 0, len(reference) + 0.5 - midranks[-1], midranks[0] - 0.5)
    return np.asarray((np.interp(values, different, midranks) + way * ends) / (len(reference) + 1))
