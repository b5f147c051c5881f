"""The learning rate as a pure function of (step, total steps): nothing to save, nothing to restore.

Each schedule returns the factor by which the optimizer's learning rate is multiplied in a step.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Schedule(ABC):
    """A factor for each step of a training."""

    @abstractmethod
    def factor(self, step: int, total: int) -> float:
        """Return the factor of the learning rate in step `step` (from 0) of `total`, in [0, 1]."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate stays as it is."""

    def factor(self, step: int, total: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from the full rate down to a share of it, after a linear warm-up (Loshchilov & Hutter 2017).

    Attributes:
        warm_up: Share of the steps that the rate rises in, in [0, 1).
        final: Factor at the end, in [0, 1].
    """

    warm_up: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.warm_up < 1 and 0 <= self.final <= 1, self)

    def factor(self, step: int, total: int) -> float:
        """Return the factor."""
        rising = round(self.warm_up * total)
        if step < rising:
            return (step + 1) / rising
        return falling_cosine(1.0, self.final, (step - rising) / max(1, total - rising))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up along a cosine from a share of the rate, then down to almost nothing (Smith & Topin 2018).

    Attributes:
        rise: Share of the steps that the rate rises in, in (0, 1).
        start: Factor of the first step, in [0, 1].
        final: Factor at the end, in [0, 1].
    """

    rise: float = 0.3
    start: float = 0.04
    final: float = 0.0001

    def __post_init__(self) -> None:
        require(0 < self.rise < 1 and 0 <= self.start <= 1 and 0 <= self.final <= 1, self)

    def factor(self, step: int, total: int) -> float:
        """Return the factor."""
        peak = max(1, round(self.rise * total))
        if step < peak:
            return falling_cosine(self.start, 1.0, step / peak)
        return falling_cosine(1.0, self.final, (step - peak) / max(1, total - peak))


def require(is_allowed: bool, schedule: Schedule) -> None:
    """Refuse a schedule whose shares are out of their ranges."""
    if not is_allowed:
        raise ValueError(f"{schedule}: its shares should lie between 0 and 1")


def falling_cosine(first: float, last: float, progress: float) -> float:
    """Go from `first` to `last` along half a cosine; `progress` beyond 1 stays at `last`."""
    return last + (first - last) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
