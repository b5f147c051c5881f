"""The reliability diagram: of photos that are called 30 % malignant, are 30 % malignant?"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from melanoma_pl.evaluation.assessment import Calibration
from melanoma_pl.plotting import BLUE, GREY, ORANGE, canvas
from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.reporting.evaluation.figures.frame import (
    BAR,
    WIDTH,
    legend_below,
    positive_name,
    share_axes,
    values,
    whiskers,
)
from melanoma_pl.reporting.evaluation.statements import is_scaled


def reliability(content: Content) -> Figure | None:
    """Draw the share of malignant photos over their mean probability, before and after temperature scaling."""
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
    share_axes(ax, f"mean probability of {positive_name(content)}", f"share that is {positive_name(content)}")
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
