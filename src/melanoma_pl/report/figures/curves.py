"""Curves and histograms of the predictions: ROC, precision-recall, probabilities of both classes, reliability."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from melanoma_pl.evaluation import Calibration, Decisions, Estimate
from melanoma_pl.messages import amount, readable
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures.canvas import (
    BLUE,
    COVER,
    GREEN,
    GREY,
    ORANGE,
    WIDTH,
    canvas,
    draw_estimates,
    fraction_axes,
    legend_below,
    shortened,
)
from melanoma_pl.report.wording import named, percent, told


@dataclass(frozen=True)
class PublishedPoint:
    """An operating point from a publication on other images.

    Attributes:
        name: Who made the decisions.
        sensitivity: Sensitivity in [0, 1].
        specificity: Specificity in [0, 1].
        images: The images of the publication.
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
MARKS = (("o", ORANGE), ("s", GREEN))  # of the chosen threshold and of 0.5
GRID = 1000  # steps of a curve along each axis: finer than a page or a screen shows
BIN_EDGES = [edge / 25 for edge in range(26)]


def roc(content: Content) -> Figure | None:
    """Draw the ROC curve, chance level, and the operating point of each threshold with intervals.

    Published points, if requested, lie on the same axes. The figure itself says that their images differ.
    """
    if len(set(content.curves.targets)) < 2:
        return None
    figure, (ax,) = canvas(width=WIDTH, height=5.6)
    ax.plot([0, 1], [0, 1], ":", color=GREY, label="chance level")
    probabilities, targets = _predictions(content)
    rate, found, _ = roc_curve(targets, probabilities)
    false_positive_rate, sensitivity = thinned(rate, found)
    label = f"AUROC {_on_two_lines(content.sets[0].ranking.auroc)}"
    ax.plot(false_positive_rate, sensitivity, color=BLUE, label=label)
    # If 0.5 was chosen, it is drawn once.
    by_threshold = {own.threshold: own for own in reversed(content.decisions) if own.threshold is not None}
    drawn = [own for own in content.decisions if own in by_threshold.values()]
    for decisions, (marker, colour) in zip(drawn, MARKS, strict=False):
        _draw_operating_point(ax, decisions, marker, colour)
    for point in PUBLISHED if content.shows_published else ():
        label = f"{point.name} on other images: not comparable"
        ax.plot(1 - point.specificity, point.sensitivity, "D", mfc="none", mec=GREY, ms=7, mew=1.6, label=label)
    fraction_axes(ax, "false alarm rate (1 − specificity)", "proportion found (sensitivity)")
    _count_images(ax, content)
    legend_below(figure, ax)
    return figure


def precision_recall(content: Content) -> Figure | None:
    """Draw the precision-recall curve, and chance level: the proportion of malignant images."""
    if len(set(content.curves.targets)) < 2:
        return None
    figure, (ax,) = canvas(width=WIDTH, height=5.0)
    probabilities, targets = _predictions(content)
    recall, precision = thinned(*precision_recall_points(targets, probabilities))
    prevalence = float(targets.mean())
    chance = f"chance level: {percent(prevalence)} are {_positive(content)}"
    ax.axhline(prevalence, color=GREY, ls=":", label=chance)
    label = f"average precision {_on_two_lines(content.sets[0].ranking.average_precision)}"
    ax.plot(recall, precision, color=BLUE, drawstyle="steps-post", label=label)
    fraction_axes(ax, "proportion found (sensitivity, recall)", "positive predictive value (precision)")
    _count_images(ax, content)
    legend_below(figure, ax)
    return figure


def precision_recall_points(
    targets: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the precision-recall curve, which begins at the first true positive.

    Before it, the precision is 0 (every image called malignant is benign), or there is no precision (no image is called
    malignant) and scikit-learn takes 1. Both would draw a spike at the left. Instead, the precision at the first true
    positive extends to recall 0, so that the area below the steps is the average precision.

    Args:
        targets: int64 `(N,)`, at least one of them 1.
        probabilities: float64 `(N,)`.

    Returns:
        Recall, from 1 down to 0, and precision, float64 `(K,)` each. A precision applies down to the next recall.
    """
    precision, recall, _ = precision_recall_curve(targets, probabilities)
    is_drawn = recall > 0
    return np.append(recall[is_drawn], 0.0), np.append(precision[is_drawn], precision[is_drawn][-1])


def thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leave out the points of a curve that would be drawn where the point before them is, but not the last point.

    Args:
        x: float64 `(K,)`, 0 to 1.
        y: float64 `(K,)`, 0 to 1.

    Returns:
        Both without those points: a few thousand, whatever the number of images.
    """
    cells = np.rint(GRID * np.stack([x, y]))
    is_drawn = np.append(True, (np.diff(cells) != 0).any(axis=0))
    is_drawn[-1:] = True
    return x[is_drawn], y[is_drawn]


def probabilities(content: Content) -> Figure | None:
    """Draw a histogram of each class, one above the other, and the chosen threshold."""
    values, targets = _predictions(content)
    if not values.size:
        return None
    figure, axes = canvas(rows=2, width=WIDTH, height=3.4, sharex=True)
    threshold = content.decisions[0].threshold or 0.0
    for target, (ax, name, colour) in enumerate(zip(axes, content.class_names, (BLUE, ORANGE), strict=True)):
        own = values[targets == target]
        ax.hist(own, bins=BIN_EDGES, color=colour, edgecolor="white", linewidth=0.5)
        ax.set_title(f"{shortened(name)}: {amount(own.size, 'image')}", loc="left", fontsize=10)
        ax.set(ylabel="images", ylim=(0, max(1.05, ax.get_ylim()[1])))
        ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.axvline(threshold, color="black", ls="--", lw=1.2)
    to_the_right = threshold < 0.6  # where there is space
    axes[1].annotate(
        f"threshold {threshold:.3g}",
        (threshold, 0.97),
        (4 if to_the_right else -4, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="left" if to_the_right else "right",
        va="top",
        fontsize=9,
        bbox=COVER,
    )
    axes[1].set(xlim=(0, 1), xlabel=f"probability of {_positive(content)}")
    return figure


def reliability(content: Content) -> Figure | None:
    """Draw the proportion of malignant images against the mean probability, before and after temperature scaling."""
    before, after = content.calibration
    if not before.bins and not after.bins:
        return None
    figure, (ax,) = canvas(width=WIDTH, height=5.2)
    ax.plot([0, 1], [0, 1], ":", color=GREY, label="perfectly calibrated")
    if content.is_scaled:
        _draw_bins(ax, before, "s-", ORANGE, "before temperature scaling", face="white", size=9)
        _draw_bins(ax, after, "o-", BLUE, f"after: temperature {after.temperature:.3g}")
    else:
        _draw_bins(ax, after, "o-", BLUE, f"temperature {after.temperature:.3g}, not fitted")
    positive = _positive(content)
    fraction_axes(ax, f"mean probability of {positive}", f"proportion of {positive} images")
    sizes = sorted({own.n for own in after.bins})
    each = "–".join(f"{size:,}" for size in dict.fromkeys((sizes[0], sizes[-1])))
    ax.set_title(f"{each} images a point", loc="left", fontsize=10)
    legend_below(figure, ax)
    return figure


def _predictions(content: Content) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return np.asarray(content.curves.probabilities, np.float64), np.asarray(content.curves.targets, np.int64)


def _positive(content: Content) -> str:
    return shortened(content.class_names[1])


def _count_images(ax: Axes, content: Content) -> None:
    title = f"{amount(content.n, 'image')}, {content.positives:,} {_positive(content)}"
    ax.set_title(title, loc="left", fontsize=10)


def _on_two_lines(estimate: Estimate) -> str:
    """Return an estimate with the reason for a missing interval on a second line, since a legend is narrow."""
    return told(estimate).replace(" (", "\n(")


def _draw_operating_point(ax: Axes, decisions: Decisions, marker: str, colour: str) -> None:
    sensitivity, specificity = decisions.sensitivity, decisions.specificity
    if sensitivity.value is None or specificity.value is None:
        return
    interval = specificity.interval and (1 - specificity.interval[1], 1 - specificity.interval[0])
    complement = Estimate(1 - specificity.value, interval)
    label = readable(": ".join(filter(None, named(decisions))))
    draw_estimates(ax, [complement], [sensitivity], marker, colour, label=label, zorder=3)


def _draw_bins(
    ax: Axes, calibration: Calibration, style: str, colour: str, label: str, face: str = "", size: float = 5
) -> None:
    """Draw the bins; larger markers stay visible behind smaller ones where a temperature near 1 changes little."""
    x, y = [own.probability for own in calibration.bins], [own.proportion for own in calibration.bins]
    options = {"lw": 1, "mfc": face or colour, "capsize": 0.6 * size}
    draw_estimates(ax, x, y, style, colour, size=size, label=label, **options)
    for line in ax.lines:
        line.set_clip_on(False)  # a bin without a malignant image lies on the axis
