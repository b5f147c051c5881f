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
    on which other photos happen to be judged.

    Args:
        logits: float `(M, N)`.
        references: float `(M, V)`, the same networks' logits of reference photos, such as those of validation.

    Returns:
        float64 `(N,)`.
    """
    pairs = zip(np.asarray(logits), np.asarray(references), strict=True)
    return np.asarray(logit(np.mean([_ranks(values, reference) for values, reference in pairs], axis=0)))


def _ranks(values: Floats, reference: Floats) -> Floats:
    """Return each value's place among the references, in (0, 1); ties count half."""
    ordered = np.sort(reference)
    below, not_above = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray(((below + not_above) / 2 + 0.5) / (len(ordered) + 1))
