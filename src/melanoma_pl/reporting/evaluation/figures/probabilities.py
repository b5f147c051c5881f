"""How probabilities of either class lie, and where the threshold cuts them."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from melanoma_pl.plotting import BLUE, ORANGE, canvas
from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.reporting.evaluation.figures.frame import WIDTH, positive_name, sample
from melanoma_pl.reporting.words import readable

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
        ax.set(ylabel="photos", ylim=(0, max(1.05, ax.get_ylim()[1])))
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
