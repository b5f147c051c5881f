"""The precision-recall curve: how many alarms are right for each share of melanomas found."""

from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from melanoma_pl.plotting import BLUE, GREY, canvas
from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.reporting.evaluation.figures.frame import (
    WIDTH,
    has_both_classes,
    legend_below,
    positive_name,
    sample,
    share_axes,
)
from melanoma_pl.reporting.evaluation.words import share, told


def precision_recall(content: Content) -> Figure | None:
    """Draw the curve, and the precision of a guess: the share of malignant photos."""
    if not has_both_classes(content):
        return None
    figure, (ax,) = canvas(width=WIDTH, height=4.8)
    probabilities, targets = sample(content)
    precision, recall, _ = precision_recall_curve(targets, probabilities)
    prevalence = float(targets.mean())
    guess = f"a guess: {share(prevalence)} of the photos are {positive_name(content)}"
    ax.axhline(prevalence, color=GREY, ls=":", label=guess)
    label = (
        f"average precision {told(content.sets[0].ranking.average_precision)}".replace(" (", "\n(")
        if content.sets
        else "precision"
    )
    ax.plot(recall, precision, color=BLUE, drawstyle="steps-post", label=label)
    share_axes(ax, "sensitivity (recall)", "positive predictive value (precision)")
    legend_below(figure, ax)
    return figure
