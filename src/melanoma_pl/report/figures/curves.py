"""What others reached, to be set beside a result: never on the same images, and said so wherever it is drawn.

The ROC curve with the points where decisions are made.

The precision-recall curve: how many alarms are right for each share of melanomas found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.results import Decisions
from melanoma_pl.messages import readable
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures.canvas import (
    BAR,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    WIDTH,
    canvas,
    fraction_axes,
    has_both_classes,
    legend_below,
    positive_name,
    sample,
    whiskers,
)
from melanoma_pl.report.statements import named, share, told


@dataclass(frozen=True)
class PublishedPoint:
    """An operating point from a publication.

    Attributes:
        name: Who decided.
        sensitivity: In [0, 1].
        specificity: In [0, 1].
        images: On which images.
        source: The publication.
    """

    name: str
    sensitivity: float
    specificity: float
    images: str
    source: str


DERMATOLOGISTS = PublishedPoint(
    name="eight dermatologists",
    sensitivity=0.82,
    specificity=0.59,
    images="100 images of the ISBI 2016 challenge",
    source="Marchetti et al., J Am Acad Dermatol 78:270–277, 2018",
)
PUBLISHED = (DERMATOLOGISTS,)


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
        label = f"{point.name}, another set's images"
        ax.plot(1 - point.specificity, point.sensitivity, "D", mfc="none", mec=GREY, ms=7, mew=1.6, label=label)
    fraction_axes(ax, "1 − specificity", "sensitivity")
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


def precision_recall(content: Content) -> Figure | None:
    """Draw the curve, and the precision of a guess: the share of malignant images."""
    if not has_both_classes(content):
        return None
    figure, (ax,) = canvas(width=WIDTH, height=4.8)
    probabilities, targets = sample(content)
    precision, recall, _ = precision_recall_curve(targets, probabilities)
    prevalence = float(targets.mean())
    guess = f"a guess: {share(prevalence)} of the images are {positive_name(content)}"
    ax.axhline(prevalence, color=GREY, ls=":", label=guess)
    label = (
        f"average precision {told(content.sets[0].ranking.average_precision)}".replace(" (", "\n(")
        if content.sets
        else "precision"
    )
    ax.plot(recall, precision, color=BLUE, drawstyle="steps-post", label=label)
    fraction_axes(ax, "sensitivity (recall)", "positive predictive value (precision)")
    legend_below(figure, ax)
    return figure
