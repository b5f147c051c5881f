"""How far the AUROC falls as photos get worse."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.plotting import BLUE, GREY, canvas
from melanoma_pl.reporting.evaluation.content import Content, Robustness
from melanoma_pl.reporting.evaluation.figures.frame import BAR, WIDTH, values, whiskers
from melanoma_pl.reporting.words import readable

COLUMNS = 2
PANEL_HEIGHT = 1.5  # inches


def robustness(content: Content) -> Figure | None:
    """Draw a panel for each perturbation: the AUROC at each strength, beside that of the photos as they are."""
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
        _draw(ax, readable(name), steps, own)
    for ax in axes[len(by_name) :]:
        ax.set_axis_off()
    figure.supxlabel("strength (0: as it is)", fontsize=9)
    figure.supylabel("AUROC", fontsize=9)
    return figure


def _draw(ax: Axes, name: str, steps: Sequence[Robustness], own: Estimate) -> None:
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
