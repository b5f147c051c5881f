"""Consequences of the decisions: a picture of 1,000 dots, decision curves, and the risk-coverage curve."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from melanoma_pl.evaluation import DecisionCurve, InPeople
from melanoma_pl.evaluation.decision import best_risks
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures.canvas import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    WIDTH,
    bare,
    canvas,
    fraction_axes,
    legend_below,
    shortened,
)
from melanoma_pl.report.wording import percent, worth

DOTS, DOTS_IN_A_ROW = 1000, 40
# marker, size, colour of found, missed, false alarms and cleared: each differs from the others without its colour too
DOT_STYLES = (("o", 5.0, BLUE), ("X", 7.0, RED), ("^", 4.6, ORANGE), ("o", 2.0, GREY))


def dots(people: InPeople) -> tuple[int, int, int, int] | None:
    """Return how many of 1,000 dots stand for images found, missed, false alarms and cleared; None without counts.

    The largest remainders are rounded up, so that they add up to 1,000 where a dot stands for several images.
    """
    groups = (people.found, people.missed, people.false_alarms, people.cleared)
    counts = [group.count for group in groups if group is not None]
    if len(counts) < len(groups):
        return None
    wanted = np.array(counts) * DOTS / people.images
    drawn = np.floor(wanted).astype(int)
    drawn[np.argsort(drawn - wanted, kind="stable")[: DOTS - int(drawn.sum())]] += 1
    found, missed, alarms, cleared = drawn.tolist()
    return found, missed, alarms, cleared


def in_people(content: Content) -> Figure | None:
    """Draw one dot for each of 1,000 images: found, missed, false alarm or rightly called benign."""
    consequences = content.consequences
    drawn = None if consequences is None else dots(consequences.in_people)
    if consequences is None or drawn is None:
        return None
    figure, (ax,) = canvas(width=WIDTH, height=3.7)
    negative, positive = map(shortened, content.class_names)
    people, first = consequences.in_people, 0
    groups = (people.found, people.missed, people.false_alarms, people.cleared)
    meanings = (f"{positive}: found", f"{positive}: missed", f"{negative}: false alarms", f"{negative}: no alarm")
    for group, meaning, number, (marker, size, colour) in zip(groups, meanings, drawn, DOT_STYLES, strict=True):
        rows, columns = np.divmod(np.arange(first, first + number), DOTS_IN_A_ROW)
        label = f"{0 if group is None else group.count:,} {meaning}"
        ax.plot(columns, rows, marker, color=colour, ms=size, mew=0, ls="none", label=label)
        first += number
    ax.set(xlim=(-0.8, DOTS_IN_A_ROW - 0.2), ylim=(DOTS / DOTS_IN_A_ROW - 0.2, -0.8), aspect="equal")
    bare(ax)
    legend_below(figure, ax)
    return figure


def net_benefit(content: Content) -> Figure | None:
    """Draw the decision curve at the assumed prevalence above that at the prevalence of the images."""
    curves = (
        [] if content.consequences is None else [own for own in content.consequences.decision_curves if own.network]
    )
    if not curves:
        return None
    figure, axes = canvas(rows=len(curves), width=WIDTH, height=1.5 + 2.1 * len(curves))
    positive = shortened(content.class_names[1])
    for ax, curve in zip(axes, curves, strict=True):
        _draw_decision_curve(ax, curve, positive)
        title = f"{percent(curve.prevalence)} {positive}"
        ax.set_title(title if curve.is_standardised else f"{title}, as these images", loc="left", fontsize=10)
    axes[-1].set_xlabel("threshold probability, and below it\nthe false alarms that one image found is worth")
    legend_below(figure, axes[0])
    return figure


def risk_coverage(content: Content) -> Figure | None:
    """Draw the proportion of wrong decisions against the proportion of images that the network still decides."""
    if content.consequences is None:
        return None
    points = content.consequences.risk_coverage.points
    figure, (ax,) = canvas(width=WIDTH, height=3.6)
    coverages, risks = [own.coverage for own in points], [own.wrong.value or 0.0 for own in points]
    ends = [own.wrong.interval or (risk, risk) for own, risk in zip(points, risks, strict=True)]
    ax.axhline(risks[0], color=GREY, ls=":", label="referred at random")
    ax.plot(coverages, risks, "o-", color=BLUE, ms=3.5, lw=1.4, label="least certain images referred first")
    low, high = zip(*ends, strict=True)
    ax.fill_between(coverages, low, high, color=BLUE, alpha=0.15, lw=0)
    every = np.arange(1, points[0].kept + 1)
    best = best_risks(round(risks[0] * points[0].kept), points[0].kept)
    ax.plot(every / points[0].kept, best, "--", color=GREEN, lw=1.2, label="best possible: all errors referred first")
    fraction_axes(ax, "proportion of images that the network decides", "wrong decisions among them")
    ax.set(aspect="auto", ylim=(-0.01 * max(high), 1.05 * max(*high, 0.02)))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(round(value, 4))))
    legend_below(figure, ax)
    return figure


def _draw_decision_curve(ax: Axes, curve: DecisionCurve, positive: str) -> None:
    steps, network = np.array(curve.thresholds), np.array(curve.network)
    low, high = np.array(curve.low), np.array(curve.high)
    is_known = ~np.isnan(low)
    ax.axhline(0, color="black", lw=1.0, label=f"no image called {positive}")
    ax.plot(steps, curve.everything, ":", color=GREY, lw=1.6, label=f"every image called {positive}")
    ax.plot(steps, curve.decisions, "--", color=ORANGE, lw=1.6, label="decisions at the network's own threshold")
    ax.plot(steps, network, color=BLUE, lw=1.6, label="network, decided at each threshold probability")
    ax.fill_between(steps[is_known], low[is_known], high[is_known], color=BLUE, alpha=0.15, lw=0)
    top = max(curve.prevalence, float(np.max(high[is_known], initial=0.0)))
    ax.set(xlim=(0, steps[-1]), ylim=(-0.25 * top, 1.08 * top), ylabel="net benefit")
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(_with_worth))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.grid(color=GREY, alpha=0.2)


def _with_worth(step: float, _: int) -> str:
    """Return a threshold probability above the number of false alarms that one malignant image found is worth."""
    return f"{percent(round(step, 6))}\n{worth(step)}" if 0 < step < 1 else ""
