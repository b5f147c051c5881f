"""Pictures of the learning slow-down."""

import torch
from matplotlib.figure import Figure

from melanoma_pl.foundations.costs import CROSS_ENTROPY, QUADRATIC
from melanoma_pl.foundations.slow_down import activations_while_learning
from melanoma_pl.plotting import BLUE, CYCLE, GREY, ORANGE, canvas

COSTS = (QUADRATIC, CROSS_ENTROPY)


def output_errors_figure(reach: float = 8.0) -> Figure:
    """Return δ^L over z, for the target 0, by both costs: what a wrong neuron is told to change."""
    z = torch.linspace(-reach, reach, 401, dtype=torch.float64)
    figure, (ax,) = canvas(width=5.5)
    for cost, color in zip(COSTS, (ORANGE, BLUE), strict=True):
        ax.plot(z, cost.output_error(z, torch.zeros_like(z)), color=color, label=cost.name)
    ax.axvspan(4, reach, color=GREY, alpha=0.15, linewidth=0)
    ax.text(6, 0.5, "badly\nwrong", ha="center", va="center", color=GREY)
    ax.set(xlabel="weighted input z (the target is 0)", ylabel="output error δ")
    ax.legend(loc="upper left", fontsize=8)
    return figure


def slow_down_figure(starts: list[tuple[float, float]], learning_rate: float = 0.15, steps: int = 300) -> Figure:
    """Return one neuron's activation while it learns to answer 0, by both costs.

    Args:
        starts: Pairs (w, b) to begin from.
        learning_rate: η, the same for both costs.
        steps: Of gradient descent.
    """
    figure, axes = canvas(2, sharey=True)
    for ax, cost in zip(axes, COSTS, strict=True):
        for color, (weight, bias) in zip(CYCLE, starts, strict=False):
            activations = activations_while_learning(cost, weight, bias, learning_rate, steps)
            ax.plot(activations, color=color, label=f"from w = {weight:g}, b = {bias:g}")
        ax.set(title=cost.name, xlabel="steps", ylim=(0, 1))
        ax.legend(fontsize=8)
    axes[0].set_ylabel("activation (should be 0)")
    return figure
