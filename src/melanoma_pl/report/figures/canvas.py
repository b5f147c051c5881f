"""The style of all figures: a colour-blind safe palette, empty axes, axes of fractions, intervals as error bars."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from melanoma_pl.evaluation import Estimate
from melanoma_pl.messages import readable

BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#777777"
CYCLE = (BLUE, ORANGE, GREEN, RED, GREY)
"""From the palette of M. Okabe and K. Ito, *Color Universal Design*, 2008."""

DOTS_PER_INCH = 72
COVER = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # box of a text that hides what lies behind
LONGEST_NAME = 22  # characters of a class's name, so that the texts around it fit
WIDTH = 4.3  # inches: 10-point letters are 11 pixels high on a phone that shows the figure 340 pixels wide


def canvas(
    columns: int = 1, width: float = 4.5, height: float = 2.9, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of empty axes.

    Args:
        columns: Number of axes side by side.
        width: Width of each, in inches.
        height: Height of the figure, in inches.
        rows: Number of rows of axes.
        options: Keyword arguments of `Figure.subplots`, such as ``sharey=True``.
    """
    figure = Figure(figsize=(columns * width, height), dpi=DOTS_PER_INCH, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def bare(ax: Axes) -> None:
    """Remove the ticks and the frame of axes that show an image."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def fraction_axes(ax: Axes, x_label: str, y_label: str) -> None:
    """Format square axes of two fractions."""
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel=x_label, ylabel=y_label)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator([0, 0.2, 0.4, 0.6, 0.8, 1]))
    ax.grid(color=GREY, alpha=0.2)


def draw_estimates(
    ax: Axes,
    x: Sequence[float] | Sequence[Estimate],
    y: Sequence[float] | Sequence[Estimate],
    style: str,
    colour: str,
    size: float = 6,
    **options: Any,
) -> None:
    """Draw points with error bars along each axis whose coordinates are estimates.

    Args:
        ax: Axes to draw on.
        x: Horizontal coordinates: numbers, or estimates, whose missing values are not drawn.
        y: Vertical coordinates.
        style: Format string of matplotlib, such as "o-".
        colour: Colour of points, lines and error bars.
        size: Size of the markers, in points.
        options: Keyword arguments of `Axes.errorbar`.
    """
    (x_values, x_errors), (y_values, y_errors) = map(_coordinates, (x, y))
    ax.errorbar(
        x_values,
        y_values,
        xerr=x_errors,
        yerr=y_errors,
        fmt=style,
        color=colour,
        markersize=size,
        **{"elinewidth": 1.6, "capsize": 2.5} | options,
    )


def _coordinates(points: Sequence[float] | Sequence[Estimate]) -> tuple[Any, NDArray[np.float64] | None]:
    if not all(isinstance(point, Estimate) for point in points):
        return points, None
    estimates = [point for point in points if isinstance(point, Estimate)]
    return [np.nan if own.value is None else own.value for own in estimates], whiskers(estimates)


def whiskers(estimates: Sequence[Estimate]) -> NDArray[np.float64]:
    """Return the distances of each value from the ends of its interval `(2, N)`; 0 if there is no interval."""
    pairs = [
        (estimate.value - estimate.interval[0], estimate.interval[1] - estimate.value)
        if estimate.value is not None and estimate.interval is not None
        else (0.0, 0.0)
        for estimate in estimates
    ]
    # A bootstrap interval may not contain its value; matplotlib refuses negative whiskers.
    return np.clip(np.asarray(pairs, np.float64).reshape(-1, 2).T, 0, None)


def shortened(label: str, longest: int = LONGEST_NAME) -> str:
    """Return a label that fits into a figure; the texts and tables beside the figure show it whole."""
    shown = readable(label)
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def legend_below(figure: Figure, ax: Axes) -> None:
    """Place the legend below the axes, where it hides nothing."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=9, handlelength=1.6)
