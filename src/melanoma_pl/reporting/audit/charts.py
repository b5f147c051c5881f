"""The two charts of the audit's page as places on the screen, in percent of the chart's width and height."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from melanoma_pl.data.audit.findings import Giveaway, Pair
from melanoma_pl.reporting.audit.words import figure
from melanoma_pl.reporting.words import amount

CHANCE = 0.5  # the AUROC of a guess
BINS = 20
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # how far apart numbers may stand on the likeness axis
STEPS = 20  # the likeness axis starts at a multiple of 1/20


@dataclass(frozen=True)
class ForestRow:
    """One giveaway: where its point and the ends of its interval lie, 0 to 100; None where nothing can be computed."""

    name: str
    figure: str
    point: float | None
    ends: tuple[float, float] | None
    tells: bool


@dataclass(frozen=True)
class Forest:
    """The giveaways one below the other, on one axis of AUROC."""

    rows: tuple[ForestRow, ...]
    chance: float
    ticks: dict[str, float]


@dataclass(frozen=True)
class Bar:
    """One bar of the histogram: leaks on top of pairs within a split, 0 to 100 of the highest bar."""

    left: float
    within: float
    leaks: float
    title: str


@dataclass(frozen=True)
class Histogram:
    """How alike the pairs are."""

    bars: tuple[Bar, ...]
    width: float
    ticks: dict[str, float]
    highest: int
    description: str


def forest(giveaways: Sequence[Giveaway]) -> Forest:
    """Return where the giveaways lie on an axis that ends at 1 and has chance on it."""
    values = [end for giveaway in giveaways for end in (giveaway.interval or (giveaway.auroc or 1.0,))]
    lowest = min(0.4, math.floor(10 * min(values, default=1.0)) / 10)

    def place(auroc: float) -> float:
        return round(100 * (auroc - lowest) / (1 - lowest), 2)

    rows = tuple(
        ForestRow(
            giveaway.name,
            figure(giveaway),
            None if giveaway.auroc is None else place(giveaway.auroc),
            giveaway.interval and (place(giveaway.interval[0]), place(giveaway.interval[1])),
            giveaway.tells,
        )
        for giveaway in giveaways
    )
    ticks = [tenth / 10 for tenth in range(math.ceil(10 * lowest), 11)]
    return Forest(rows, place(CHANCE), {f"{tick:.1f}": place(tick) for tick in ticks})


def histogram(pairs: Sequence[Pair]) -> Histogram | None:
    """Return how the likeness of pairs is distributed; None where no pair has one."""
    alike = [pair.likeness for pair in pairs if pair.likeness is not None]
    if not alike:
        return None
    lowest = min(math.floor(round(min(alike) * STEPS, 6)), STEPS - 1) / STEPS
    width = (1 - lowest) / BINS
    leaks = _bins([pair for pair in pairs if pair.is_leak], lowest, width)
    within = _bins([pair for pair in pairs if not pair.is_leak], lowest, width)
    highest = max(map(sum, zip(leaks, within, strict=True)))
    bars = [
        Bar(
            left=100 * index / BINS,
            within=100 * within[index] / highest,
            leaks=100 * leaks[index] / highest,
            title=f"{lowest + index * width:.3f} to {lowest + (index + 1) * width:.3f}: "
            f"{amount(leaks[index], 'leak')}, {amount(within[index], 'pair')} within a split",
        )
        for index in range(BINS)
    ]
    description = f"Likeness of {amount(len(alike), 'pair')}, from {min(alike):.2f} to {max(alike):.2f}"
    return Histogram(tuple(bars), 100 / BINS, _ticks(lowest), highest, description)


def _ticks(lowest: float) -> dict[str, float]:
    """Return round numbers up to 1, at most seven of them, and where they lie."""
    step = next(step for step in TICKS if (1 - lowest) / step < 6.01)
    first = math.ceil(round(lowest / step, 6))
    numbers = [place * step for place in range(first, round(1 / step) + 1)]
    return {f"{number:.2f}": round(100 * (number - lowest) / (1 - lowest), 2) for number in numbers}


def _bins(pairs: Sequence[Pair], lowest: float, width: float) -> list[int]:
    counts = [0] * BINS
    for pair in pairs:
        if pair.likeness is not None:
            counts[min(int((pair.likeness - lowest) / width), BINS - 1)] += 1
    return counts
