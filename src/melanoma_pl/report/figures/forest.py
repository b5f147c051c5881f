"""Estimates one below the other, with intervals: any number of panels side by side that share their rows.

Forests of what was found for parts of the images and for parts of the picture.

How far the AUROC falls as images get worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.messages import readable
from melanoma_pl.report.content import Content, Robustness, SubgroupTable
from melanoma_pl.report.figures.canvas import BAR, BLUE, GREY, RED, WIDTH, canvas, values, whiskers

ROW_HEIGHT = 0.25  # inches
MARGIN = 0.75  # inches, for titles and numbers on the axes
LONGEST = 17  # letters of a label: the table beside the figure has all of them
STEPS = (0.1, 0.2, 0.25, 0.5)  # how far apart numbers may stand on an axis
SMALL = BAR | {"markersize": 5}
COVER = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # hides the lines behind a dash
MOST_TICKS = {1: 7, 3: 3}  # by the number of panels


@dataclass(frozen=True)
class EstimateRow:
    """A label and an estimate for each panel; a heading where there are none."""

    label: str
    estimates: tuple[Estimate, ...] = ()
    is_problem: bool = False


def forest(
    rows: Sequence[EstimateRow], panels: Sequence[str], own: Sequence[float | None], chance: float | None
) -> Figure:
    """Draw the rows from top to bottom.

    Args:
        rows: What is estimated.
        panels: What of it, one panel each.
        own: Value of all images in each panel, a dashed line.
        chance: Value of a guess in the first panel, a dotted line.
    """
    height = len(rows) * ROW_HEIGHT + MARGIN
    figure, axes = canvas(len(panels), width=WIDTH / len(panels), height=height, sharey=True)
    for place, (ax, title, value) in enumerate(zip(axes, panels, own, strict=True)):
        _draw(ax, rows, place)
        lines = (value, None if place else chance)
        _scale(ax, [row.estimates[place] for row in rows if row.estimates], lines, MOST_TICKS.get(len(panels), 3))
        ax.set_title(title, fontsize=9)
        if value is not None:
            ax.axvline(value, color=GREY, ls="--", lw=1, zorder=0)
    if chance is not None:
        axes[0].axvline(chance, color=GREY, ls=":", lw=1, zorder=0)
    _label(axes[0], rows)
    return figure


def _draw(ax: Axes, rows: Sequence[EstimateRow], place: int) -> None:
    for height, row in enumerate(rows):
        if not row.estimates:
            continue
        estimate = row.estimates[place]
        if estimate.value is None:
            ax.text(0.5, height, "–", transform=ax.get_yaxis_transform(), ha="center", va="center", bbox=COVER)
            continue
        colour, marker = (RED, "D") if row.is_problem else (BLUE, "o")
        ax.errorbar(
            estimate.value, height, xerr=whiskers([estimate]), fmt=marker, color=colour, **BAR | {"markersize": 5}
        )


def _scale(ax: Axes, estimates: Sequence[Estimate], lines: Sequence[float | None], most_ticks: int) -> None:
    """End the axis at a round number below every interval and line, and at 1."""
    ends = [end for estimate in estimates if estimate.value is not None for end in (estimate.interval or ())]
    ends += [value for value in (*lines, *(estimate.value for estimate in estimates)) if value is not None]
    low = min(max(0.0, int(10 * min(ends, default=0.5)) / 10), 0.9)  # an axis needs a length, also where all is 1
    step = next((step for step in STEPS if (1 - low) / step < most_ticks), STEPS[-1])
    ax.set_xlim(low - 0.03 * (1 - low), 1 + 0.03 * (1 - low))
    ax.xaxis.set_major_locator(FixedLocator([1 - step * n for n in range(int((1 - low) / step + 1e-9) + 1)]))
    ax.xaxis.set_major_formatter(FormatStrFormatter("%.2g"))
    ax.grid(axis="x", color=GREY, alpha=0.2)


def _label(ax: Axes, rows: Sequence[EstimateRow]) -> None:
    ax.set_yticks(range(len(rows)), [_shortened(row.label) for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set(fontweight="normal" if row.estimates else "bold", fontsize=9)


def _shortened(label: str) -> str:
    shown = readable(label)
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


PANELS = ("AUROC", "sensitivity", "specificity")
UNKNOWN = "unknown"


def subgroups(content: Content) -> Figure | None:
    """Draw each group's AUROC, sensitivity and specificity beside those of all images (dashed)."""
    rows = [row for table in content.subgroups if table.rows for row in _rows(table)]
    if not rows:
        return None
    own = content.sets[0] if content.sets else None
    values = (own.ranking.auroc.value, own.decisions.sensitivity.value, own.decisions.specificity.value) if own else ()
    return forest(rows, PANELS, values or (None, None, None), chance=0.5)


def shortcuts(content: Content) -> Figure | None:
    """Draw the AUROC that is reached without the lesion beside the network's own."""
    if not any(shortcut.auroc.value is not None for shortcut in content.shortcuts):
        return None
    own = content.sets[0].ranking.auroc
    rows = [EstimateRow(shortcut.name, (shortcut.auroc,), shortcut.is_problem) for shortcut in content.shortcuts]
    return forest([EstimateRow("whole images", (own,)), *rows], ("AUROC",), (own.value,), chance=0.5)


def _rows(table: SubgroupTable) -> list[EstimateRow]:
    heading = f"{table.column} (est.)" if table.is_estimated else table.column
    groups = [EstimateRow(row.value or UNKNOWN, (row.auroc, row.sensitivity, row.specificity)) for row in table.rows]
    return [EstimateRow(heading), *groups]


COLUMNS = 2
PANEL_HEIGHT = 1.5  # inches


def robustness(content: Content) -> Figure | None:
    """Draw a panel for each perturbation: the AUROC at each strength, beside that of the images as they are."""
    by_name: dict[str, list[Robustness]] = {}
    for step in content.robustness:
        if step.auroc.value is not None:
            by_name.setdefault(step.name, []).append(step)
    if not by_name:
        return None
    rows = -(-len(by_name) // COLUMNS)
    figure, axes = canvas(COLUMNS, WIDTH / COLUMNS, rows * PANEL_HEIGHT + 0.3, rows=rows, sharey=True, sharex=True)
    own = content.sets[0].ranking.auroc
    for ax, (name, steps) in zip(axes, by_name.items(), strict=False):
        _draw_corruption(ax, readable(name), steps, own)
    for ax in axes[len(by_name) :]:
        ax.set_axis_off()
    figure.supxlabel("strength (0: as it is)", fontsize=9)
    figure.supylabel("AUROC", fontsize=9)
    return figure


def _draw_corruption(ax: Axes, name: str, steps: Sequence[Robustness], own: Estimate) -> None:
    if own.value is not None:
        ax.axhline(own.value, color=GREY, ls="--", lw=1)
    ax.errorbar(
        [step.strength for step in steps],
        values([step.auroc for step in steps]),
        yerr=whiskers([step.auroc for step in steps]),
        fmt="o-",
        color=BLUE,
        lw=1,
        **BAR | {"markersize": 4},
    )
    ax.set_title(name, fontsize=9)
    ax.set(xticks=[0, 1, 2, 3], xlim=(-0.3, 3.3))
    ax.tick_params(labelbottom=True, labelsize=9)
    ax.grid(axis="y", color=GREY, alpha=0.2)
