"""Forest plots of subgroups, image sets and shortcuts, and the AUROC under increasing perturbation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FormatStrFormatter

from melanoma_pl.evaluation import UNKNOWN, Estimate
from melanoma_pl.messages import amount, readable
from melanoma_pl.report.content import Content, Robustness
from melanoma_pl.report.figures.canvas import BLUE, COVER, GREY, RED, WIDTH, canvas, draw_estimates, shortened

ROW_HEIGHT = 0.25  # inches
MARGIN = 0.75  # inches, for titles and tick labels
LONGEST = 17  # characters of a label
COUNT_WIDTH = 39  # points, from the axes to the end of a number of images
STEPS = (0.1, 0.2, 0.25, 0.5)  # distances between ticks
PANELS = ("AUROC", "sensitivity", "specificity")
CHANCE = 0.5  # AUROC at chance level
COLUMNS = 2
PANEL_HEIGHT = 1.5  # inches


@dataclass(frozen=True)
class EstimateRow:
    """A label, an estimate for each panel, and the number of images where rows differ; a heading without estimates."""

    label: str
    estimates: tuple[Estimate, ...] = ()
    is_problem: bool = False
    n: int | None = None


def subgroups(content: Content) -> Figure | None:
    """Draw AUROC, sensitivity and specificity of each large enough subgroup and of all images (dashed)."""
    rows = []
    for table in content.subgroups:
        if table.reported:
            rows.append(EstimateRow(f"{table.column} (est.)" if table.is_estimated else table.column))
        for row in table.reported:
            estimates = row.auroc, row.sensitivity, row.specificity
            rows.append(EstimateRow(row.value or UNKNOWN, estimates, n=row.n))
    if not rows:
        return None
    main = content.sets[0]
    return forest(rows, PANELS, (main.ranking.auroc, main.decisions.sensitivity, main.decisions.specificity))


def image_sets(content: Content) -> Figure | None:
    """Draw the AUROC of each set of images that has one, and of all images of the split (dashed)."""
    if not any(own.auroc.value is not None for own in content.image_sets):
        return None
    rows = [EstimateRow(own.name, (own.auroc,), n=own.n) for own in content.image_sets]
    return forest(rows, ("AUROC",), (content.image_sets[0].auroc,))


def shortcuts(content: Content) -> Figure | None:
    """Draw the AUROC of each shortcut and of the network (dashed)."""
    if not any(shortcut.auroc.value is not None for shortcut in content.shortcuts):
        return None
    main = content.sets[0].ranking.auroc
    rows = [EstimateRow(shortcut.name, (shortcut.auroc,), shortcut.is_problem) for shortcut in content.shortcuts]
    return forest([EstimateRow("whole images", (main,)), *rows], (f"AUROC, {amount(content.n, 'image')}",), (main,))


def robustness(content: Content) -> Figure | None:
    """Draw a panel for each perturbation: the AUROC at each strength and on the original images (dashed)."""
    steps = [step for step in content.robustness if step.auroc.value is not None]
    by_name = {name: list(group) for name, group in groupby(steps, lambda step: step.name)}
    if not by_name:
        return None
    rows = -(-len(by_name) // COLUMNS)
    figure, axes = canvas(COLUMNS, WIDTH / COLUMNS, rows * PANEL_HEIGHT + 0.3, rows=rows, sharey=True, sharex=True)
    for ax, (name, own) in zip(axes, by_name.items(), strict=False):
        _draw_perturbation(ax, readable(name), own, content.sets[0].ranking.auroc)
    for ax in axes[len(by_name) :]:
        ax.set_axis_off()
    figure.supxlabel("strength (0: original images)", fontsize=9)
    figure.supylabel("AUROC", fontsize=9)
    return figure


def forest(rows: Sequence[EstimateRow], panels: Sequence[str], overall: Sequence[Estimate]) -> Figure:
    """Draw the rows from top to bottom, with chance level as a dotted line in the first panel.

    Args:
        rows: Headings, and estimates for each panel.
        panels: Title of each panel; the first shows the AUROC.
        overall: Estimate for all images in each panel, drawn as a dashed line.
    """
    height = len(rows) * ROW_HEIGHT + MARGIN
    figure, axes = canvas(len(panels), width=WIDTH / len(panels), height=height, sharey=True)
    axes[0].axvline(CHANCE, color=GREY, ls=":", lw=1, zorder=0)
    for panel, (ax, title, whole) in enumerate(zip(axes, panels, overall, strict=True)):
        ax.set_title(title, fontsize=9)
        values = [CHANCE] if panel == 0 else []
        if whole.value is not None:
            ax.axvline(whole.value, color=GREY, ls="--", lw=1, zorder=0)
            values.append(whole.value)
        for position, row in enumerate(rows):
            if row.estimates:
                values += _draw_row(ax, position, row.estimates[panel], row.is_problem)
        _scale(ax, min(values, default=0.5), most_ticks=7 if len(panels) == 1 else 2)
    axes[0].set_yticks(range(len(rows)), [shortened(row.label, LONGEST) for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    for ax in axes:
        ax.tick_params(axis="y", length=0)
    _count_images(axes[-1], rows)
    for label, row in zip(axes[0].get_yticklabels(), rows, strict=True):
        label.set(fontweight="normal" if row.estimates else "bold", fontsize=9)
    return figure


def _draw_row(ax: Axes, position: int, estimate: Estimate, is_problem: bool) -> list[float]:
    """Draw an estimate, or a dash if it is missing, and return the values that the axis must include."""
    if estimate.value is None:
        ax.text(0.5, position, "–", transform=ax.get_yaxis_transform(), ha="center", va="center", bbox=COVER)
        return []
    colour, marker = (RED, "D") if is_problem else (BLUE, "o")
    draw_estimates(ax, [estimate], [position], marker, colour, size=5)
    return [estimate.value, *(estimate.interval or ())]


def _scale(ax: Axes, lowest: float, most_ticks: int) -> None:
    """End the axis at a round number below the lowest value, and at 1."""
    low = min(max(0.0, int(10 * lowest) / 10), 0.9)  # the axis needs a length even if all values are 1
    step = next((step for step in STEPS if (1 - low) / step < most_ticks), STEPS[-1])
    room = 0.06 * (1 - low)  # for half a marker in a narrow panel
    ax.set_xlim(low - room, 1 + room)
    ax.xaxis.set_major_locator(FixedLocator([1 - step * n for n in range(int((1 - low) / step + 1e-9) + 1)]))
    ax.xaxis.set_major_formatter(FormatStrFormatter("%.2g"))
    ax.grid(axis="x", color=GREY, alpha=0.2)


def _count_images(ax: Axes, rows: Sequence[EstimateRow]) -> None:
    """Write the number of images to the right of each row that has one, below a title."""
    counted = {position: f"{row.n:,}" for position, row in enumerate(rows) if row.n is not None}
    options: dict[str, Any] = {
        "textcoords": "offset points", "ha": "right", "fontsize": 9, "annotation_clip": False,
    }  # fmt: skip
    if counted:
        ax.annotate("images", (1, 1), (COUNT_WIDTH, rcParams["axes.titlepad"]), xycoords="axes fraction", **options)
    for position, text in counted.items():
        where: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "va": "center"}
        ax.annotate(text, (1, position), (COUNT_WIDTH, 0), **where, **options)


def _draw_perturbation(ax: Axes, name: str, steps: Sequence[Robustness], original: Estimate) -> None:
    if original.value is not None:
        ax.axhline(original.value, color=GREY, ls="--", lw=1)
    points = {0: original} | {step.strength: step.auroc for step in steps}
    draw_estimates(ax, list(points), list(points.values()), "o-", BLUE, size=4, lw=1)
    ax.set_title(name, fontsize=9)
    ax.set(xticks=[0, 1, 2, 3], xlim=(-0.3, 3.3))
    ax.tick_params(labelbottom=True, labelsize=9)
    ax.grid(axis="y", color=GREY, alpha=0.2)
