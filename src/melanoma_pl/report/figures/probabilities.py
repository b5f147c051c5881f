"""How probabilities of either class lie, and where the threshold cuts them.

The reliability diagram: of images that are called 30 % malignant, are 30 % malignant?
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from melanoma_pl.evaluation.results import Calibration
from melanoma_pl.messages import readable
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures.canvas import (
    BAR,
    BLUE,
    GREY,
    ORANGE,
    WIDTH,
    canvas,
    fraction_axes,
    legend_below,
    positive_name,
    sample,
    values,
    whiskers,
)
from melanoma_pl.report.statements import is_scaled

BINS = [place / 25 for place in range(26)]


def probabilities(content: Content) -> Figure | None:
    """Draw a histogram of each class on one axis, one above the other: neither hides the other."""
    values, targets = sample(content)
    if not values.size:
        return None
    figure, axes = canvas(rows=2, width=WIDTH, height=3.4, sharex=True)
    threshold = content.decisions[0].threshold if content.decisions else None
    for target, (ax, name, colour) in enumerate(zip(axes, content.class_names, (BLUE, ORANGE), strict=True)):
        own = values[targets == target]
        ax.hist(own, bins=BINS, color=colour, edgecolor="white", linewidth=0.5)
        ax.set_title(f"{readable(name)}: {own.size:,}", loc="left", fontsize=10)
        ax.set(ylabel="images", ylim=(0, max(1.05, ax.get_ylim()[1])))
        ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        if threshold is not None:
            ax.axvline(threshold, color="black", ls="--", lw=1.2)
    if threshold is not None:
        left = threshold < 0.6  # on the side where there is room
        axes[1].annotate(
            f"threshold {threshold:.3g}",
            (threshold, 0.97),
            (4 if left else -4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="left" if left else "right",
            va="top",
            fontsize=9,
        )
    axes[1].set(xlim=(0, 1), xlabel=f"probability of {positive_name(content)}")
    return figure


def reliability(content: Content) -> Figure | None:
    """Draw the share of malignant images over their mean probability, before and after temperature scaling."""
    before, after = content.calibration
    if not before.bins and not after.bins:
        return None
    figure, (ax,) = canvas(width=WIDTH, height=5.0)
    ax.plot([0, 1], [0, 1], ":", color=GREY, label="perfectly calibrated")
    if is_scaled(content):
        _draw(ax, before, "s", ORANGE, "before temperature scaling")
        _draw(ax, after, "o", BLUE, f"after: temperature {after.temperature:.3g}")
    else:
        _draw(ax, after, "o", BLUE, f"temperature {after.temperature:.3g}, not fitted")
    fraction_axes(ax, f"mean probability of {positive_name(content)}", f"share that is {positive_name(content)}")
    legend_below(figure, ax)
    return figure


def _draw(ax: Axes, calibration: Calibration, marker: str, colour: str, label: str) -> None:
    bins = [own for own in calibration.bins if own.share.value is not None]
    if not bins:
        return
    ax.errorbar(
        [own.probability for own in bins],
        values([own.share for own in bins]),
        yerr=whiskers([own.share for own in bins]),
        fmt=f"{marker}-",
        lw=1,
        color=colour,
        mfc="white" if marker == "s" else colour,
        label=label,
        **BAR,
    )
