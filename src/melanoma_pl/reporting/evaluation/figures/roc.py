"""The ROC curve with the points where decisions are made."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from melanoma_pl.evaluation.assessment import Decisions
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.plotting import BLUE, GREEN, GREY, ORANGE, canvas
from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.reporting.evaluation.figures.frame import (
    BAR,
    WIDTH,
    has_both_classes,
    legend_below,
    sample,
    share_axes,
    whiskers,
)
from melanoma_pl.reporting.evaluation.published import PUBLISHED, PublishedPoint
from melanoma_pl.reporting.evaluation.statements import named
from melanoma_pl.reporting.evaluation.words import told
from melanoma_pl.reporting.words import readable

MARKS = (("o", ORANGE), ("s", GREEN))  # of the chosen threshold, of 0.5


def roc(content: Content, published: Sequence[PublishedPoint] = PUBLISHED) -> Figure | None:
    """Draw the curve, a guess, each threshold's point with its cross of intervals, and what others published."""
    if not has_both_classes(content):
        return None
    figure, (ax,) = canvas(width=WIDTH, height=5.3)
    ax.plot([0, 1], [0, 1], ":", color=GREY, label="a guess")
    probabilities, targets = sample(content)
    alarms, found, _ = roc_curve(targets, probabilities)
    ax.plot(alarms, found, color=BLUE, label=_area(content))
    for decisions, (marker, colour) in zip(_drawn(content.decisions), MARKS, strict=False):
        _draw_decisions(ax, decisions, marker, colour)
    for point in published:
        label = f"{point.name}, another set's photos"
        ax.plot(1 - point.specificity, point.sensitivity, "D", mfc="none", mec=GREY, ms=7, mew=1.6, label=label)
    share_axes(ax, "1 − specificity", "sensitivity")
    legend_below(figure, ax)
    return figure


def _area(content: Content) -> str:
    # A reason is as long as the legend is wide: it gets a line of its own.
    return f"AUROC {told(content.sets[0].ranking.auroc)}".replace(" (", "\n(") if content.sets else "ROC"


def _drawn(decisions: Sequence[Decisions]) -> list[Decisions]:
    """Return those with a threshold of their own: where 0.5 was chosen, it is drawn once."""
    by_threshold = {own.threshold: own for own in reversed(decisions) if own.threshold is not None}
    return [own for own in decisions if own in by_threshold.values()]


def _draw_decisions(ax: Axes, decisions: Decisions, marker: str, colour: str) -> None:
    found, alarms = decisions.sensitivity, _complement(decisions.specificity)
    if found.value is None or alarms.value is None or decisions.threshold is None:
        return
    label = readable(": ".join(filter(None, named(decisions))))
    ax.errorbar(
        alarms.value,
        found.value,
        xerr=whiskers([alarms]),
        yerr=whiskers([found]),
        fmt=marker,
        color=colour,
        label=label,
        zorder=3,
        **BAR,
    )


def _complement(estimate: Estimate) -> Estimate:
    if estimate.value is None:
        return estimate
    interval = estimate.interval
    return Estimate(1 - estimate.value, (1 - interval[1], 1 - interval[0]) if interval else None, estimate.reason)
