"""What all pictures share: colours that colour-blind readers can tell apart, and empty axes."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
