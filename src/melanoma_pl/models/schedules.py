"""Learning-rate schedules: pure functions of (step, total steps), so that there is no state to save or restore."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass


class Schedule(ABC):
    """A factor of the optimizer's learning rate for each step of a training."""

    @abstractmethod
    def factor(self, step: int, total: int) -> float:
        """Return the factor of the learning rate at step `step`, from 0, of `total` steps; it lies in [0, 1]."""


@dataclass(frozen=True)
class Constant(Schedule):
    """Keep the learning rate constant."""

    def factor(self, step: int, total: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Cosine(Schedule):
    """Lower the rate along half a cosine, after a linear warm-up (Loshchilov and Hutter, ICLR 2017).

    Attributes:
        warm_up: Fraction of the steps in which the rate rises, in [0, 1).
        final: Factor at the end, in [0, 1].
    """

    warm_up: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.warm_up < 1 and 0 <= self.final <= 1, self)

    def factor(self, step: int, total: int) -> float:
        """Return the factor at a step."""
        rising = round(self.warm_up * total)
        if step < rising:
            return (step + 1) / rising
        return falling_cosine(1.0, self.final, (step - rising) / max(1, total - rising))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Raise the rate along half a cosine, then lower it to almost zero (Smith and Topin, 2018).

    Attributes:
        rise: Fraction of the steps in which the rate rises, in (0, 1).
        start: Factor of the first step, in [0, 1].
        final: Factor at the end, in [0, 1].
    """

    rise: float = 0.3
    start: float = 0.04
    final: float = 0.0001

    def __post_init__(self) -> None:
        require(0 < self.rise < 1 and 0 <= self.start <= 1 and 0 <= self.final <= 1, self)

    def factor(self, step: int, total: int) -> float:
        """Return the factor at a step."""
        peak = max(1, round(self.rise * total))
        if step < peak:
            return falling_cosine(self.start, 1.0, step / peak)
        return falling_cosine(1.0, self.final, (step - peak) / max(1, total - peak))


def require(is_allowed: bool, schedule: Schedule) -> None:
    """Refuse a schedule with a value out of its range."""
    if not is_allowed:
        raise ValueError(f"{schedule}: its values must lie between 0 and 1")


def falling_cosine(first: float, last: float, progress: float) -> float:
    """Go from `first` to `last` along half a cosine; `progress` beyond 1 stays at `last`."""
    return last + (first - last) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
