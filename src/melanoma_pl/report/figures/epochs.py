"""The learning curves: loss, accuracy and AUROC of train and validation over the epochs."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from melanoma_pl.report.content import Content, LearningCurves
from melanoma_pl.report.figures.canvas import BLUE, GREY, ORANGE, WIDTH, canvas

PANELS = {"loss": "loss", "accuracy": "accuracy", "auroc": "AUROC"}
"""Name of a figure in its tag → title of its panel."""
SPLITS = {"train": ("train", ORANGE, "--"), "val": ("validation", BLUE, "-")}
"""Prefix of a tag → name, colour and line style."""
PANEL_WIDTH, PANEL_HEIGHT = 3.7, 3.3  # inches
STACKED_HEIGHT = 1.6  # inches, of each panel on a narrow screen
FEWEST_FOR_A_LINE = 20  # epochs: with fewer, each is marked by a dot


def learning_curves(content: Content) -> Figure | None:
    """Draw the curves of each network, one panel a figure, with a line at the epoch whose weights were evaluated."""
    return _drawn(content, is_stacked=False)


def stacked_learning_curves(content: Content) -> Figure | None:
    """Draw the same panels one below the other, for a narrow screen."""
    return _drawn(content, is_stacked=True)


def _drawn(content: Content, is_stacked: bool) -> Figure | None:
    found = [own.curves for own in content.experiments if own.curves is not None]
    names = [name for name in PANELS if any(_has(own, name) for own in found)]
    if not names:
        return None
    if is_stacked:
        figure, axes = canvas(width=WIDTH, rows=len(names), height=len(names) * STACKED_HEIGHT + 0.6, sharex=True)
    else:
        figure, axes = canvas(len(names), width=PANEL_WIDTH, height=PANEL_HEIGHT, sharex=True)
    last = max(own.epochs[-1] for own in found)
    for name, ax in zip(names, axes, strict=True):
        for own in found:
            _draw(ax, own, name)
        ax.set_title(PANELS[name], loc="left", fontsize=10)
        ax.grid(axis="y", color=GREY, alpha=0.2)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(0.5 if last < FEWEST_FOR_A_LINE else 0, last + 0.5)  # one epoch needs a width, too
        if ax in axes[-1:] or not is_stacked:
            ax.set_xlabel("epoch")
    figure.legend(handles=_keys(found), loc="outside lower left", frameon=False, fontsize=9, ncols=2 + (not is_stacked))
    return figure


def _has(curves: LearningCurves, name: str) -> bool:
    return any(value is not None for split in SPLITS for value in curves.figures.get(f"{split}/{name}", ()))


def _draw(ax: Axes, curves: LearningCurves, name: str) -> None:
    marker = "o" if len(curves.epochs) < FEWEST_FOR_A_LINE else ""
    for split, (_, colour, style) in SPLITS.items():
        values = curves.figures.get(f"{split}/{name}", ())
        points = [(x, y) for x, y in zip(curves.epochs, values, strict=False) if y is not None]
        if points:
            ax.plot(*zip(*points, strict=True), style, color=colour, marker=marker, ms=4, lw=1.6)
    if curves.chosen is not None:
        ax.axvline(curves.chosen, color="black", ls=":", lw=1.2, zorder=0)


def _keys(found: list[LearningCurves]) -> list[Line2D]:
    """Return the entries of the legend: the splits that were drawn, and the chosen epoch."""
    drawn = {tag.partition("/")[0] for own in found for tag in own.figures}
    keys = [
        Line2D([], [], color=colour, ls=style, label=name)
        for key, (name, colour, style) in SPLITS.items()
        if key in drawn
    ]
    chosen = list(dict.fromkeys(own.chosen for own in found if own.chosen is not None))
    label = f"chosen epoch: {chosen[0]}" if len(chosen) == 1 else "chosen epochs"
    return [*keys, Line2D([], [], color="black", ls=":", label=label)] if chosen else keys
