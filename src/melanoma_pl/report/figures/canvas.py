"""What all pictures share: colours that colour-blind readers can tell apart, and empty axes.

What the evaluation's figures share: a width that stays legible on a phone, axes of shares, intervals as bars.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.messages import readable
from melanoma_pl.report.content import Content

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#777777"
CYCLE = (BLUE, ORANGE, GREEN, RED, GREY)
"""From the palette of M. Okabe and K. Ito, *Color Universal Design*, 2008."""

DOTS_PER_INCH = 72


def canvas(
    columns: int = 1, width: float = 4.5, height: float = 2.9, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure with rows of empty axes.

    Args:
        columns: How many axes stand side by side.
        width: Of each, inches.
        height: Of the figure, inches.
        rows: How many axes stand one below the other.
        options: For `Figure.subplots`, such as ``sharey=True``.
    """
    figure = Figure(figsize=(columns * width, height), dpi=DOTS_PER_INCH, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def bare(ax: Axes) -> None:
    """Take the ticks and the frame off axes that show a picture."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


WIDTH = 4.3  # inches: at 10 points a letter is 11 pixels high when a phone shows the figure 340 pixels wide
BAR: dict[str, Any] = {"elinewidth": 1.6, "capsize": 2.5, "markersize": 6}
"""How a point and its interval are drawn."""


def sample(content: Content) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities float64 `(N,)` and targets int64 `(N,)`."""
    return np.asarray(content.curves.probabilities, np.float64), np.asarray(content.curves.targets, np.int64)


def has_both_classes(content: Content) -> bool:
    """Return whether there are malignant and benign images: a curve needs both."""
    return len(set(content.curves.targets)) == 2


def positive_name(content: Content) -> str:
    """Return the positive class's name."""
    return readable(content.class_names[1])


def fraction_axes(ax: Axes, across: str, up: str) -> None:
    """Make a square of two shares."""
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=across, ylabel=up)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator([0, 0.2, 0.4, 0.6, 0.8, 1]))
    ax.grid(color=GREY, alpha=0.2)


def values(estimates: Sequence[Estimate]) -> NDArray[np.float64]:
    """Return the values `(N,)`; NaN, which is not drawn, where there is none."""
    return np.asarray([np.nan if estimate.value is None else estimate.value for estimate in estimates], np.float64)


def whiskers(estimates: Sequence[Estimate]) -> NDArray[np.float64]:
    """Return how far each interval reaches below and above its value `(2, N)`; 0 where there is none."""
    pairs = [
        (estimate.value - estimate.interval[0], estimate.interval[1] - estimate.value)
        if estimate.value is not None and estimate.interval is not None
        else (0.0, 0.0)
        for estimate in estimates
    ]
    # A bootstrap's interval may lie beside its value; matplotlib refuses whiskers below 0.
    return np.clip(np.asarray(pairs, np.float64).reshape(-1, 2).T, 0, None)


def legend_below(figure: Figure, ax: Axes) -> None:
    """Explain what is drawn under the axes, where nothing is hidden by it."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=9, handlelength=1.6)
