"""Two models' decisions about the same photos, or one model's before and after a change."""

from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from melanoma_pl.evaluation.checks import check_unit
from melanoma_pl.evaluation.comparison import Difference, detectable
from melanoma_pl.evaluation.intervals import Interval, wilson

ALIKE = "both decide every photo alike"


@dataclass(frozen=True)
class Discordance:
    """Photos on which only one of two is right.

    Attributes:
        first_only: Photos that only the first is right about.
        second_only: Photos that only the second is right about.
        p_value: Of McNemar's exact test; None where the two never differ.
        reason: Why there is no p-value; else empty.
    """

    first_only: int
    second_only: int
    p_value: float | None
    reason: str = ""


@dataclass(frozen=True)
class _Table:
    """How many photos both, only the first, only the second, and neither hits."""

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
        return Discordance(0, 0, None, ALIKE if table.n else "no photos")
    p_value = float(binomtest(table.first, table.first + table.second).pvalue)
    return Discordance(table.first, table.second, p_value)


def paired_share_difference(first_hits: ArrayLike, second_hits: ArrayLike, confidence: float = 0.95) -> Difference:
    """Return the difference of two shares of the same photos, such as the sensitivities of two models.

    The interval is method 10 of Newcombe, Statistics in Medicine 17, 1998, pages 2635-2650: Wilson's intervals of the
    two shares, added as squares with a correction for their correlation. The p-value is McNemar's, exact.

    Args:
        first_hits: bool `(N,)`, whether a photo counts for the first share.
        second_hits: bool `(N,)`, whether it counts for the second.
        confidence: wanted coverage, in (0, 1).

    Raises:
        ValueError: if the shapes differ or a value is neither true nor false.
    """
    check_unit("confidence", confidence, open_ends=True)
    table = _tabulate(first_hits, second_hits)
    if table.n == 0:
        return Difference(None, reason="no photos")
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
        raise ValueError(f"first and second must be about the same photos, not {one.size} and {other.size}")
    outcomes = np.bincount(2 * ~one + ~other, minlength=4)
    return _Table(*(int(outcome) for outcome in outcomes))


def _flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    flags = np.asarray(values)
    if flags.ndim != 1 or not np.all((flags == 0) | (flags == 1)):
        raise ValueError(f"{name} must be true or false for each photo, with shape (N,)")
    return flags.astype(np.bool_)
