"""Pictures of gradient descent on surfaces of two variables."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.descent import descend, predicted_descent, real_changes
from melanoma_pl.foundations.minibatches import expected_scatter, measured_scatter, stochastic_descend
from melanoma_pl.foundations.surfaces import OneNeuron, Valley
from melanoma_pl.plotting import BLUE, CYCLE, GREY, ORANGE, RED, canvas

Span = tuple[float, float]


def draw_surface(ax: Axes, surface: Valley | OneNeuron, across: Span, up: Span) -> None:
    """Shade a surface by its cost, the lowest white, over the given ranges of its two variables."""
    grid = torch.meshgrid(torch.linspace(*across, 81), torch.linspace(*up, 81), indexing="xy")
    first, second = (values.double() for values in grid)
    cost = surface.cost(torch.stack([first, second], dim=-1))
    ax.contourf(first, second, cost, levels=12, cmap="Greys", vmax=2 * float(cost.max()), antialiased=False)
    ax.set(xlim=across, ylim=up)


def draw_path(ax: Axes, path: Tensor, color: str) -> None:
    """Draw a path, float `(steps + 1, 2)`, with a ring where it begins and, if it is short, a dot at each position."""
    long = len(path) > 100
    ax.plot(path[:, 0], path[:, 1], "-" if long else "o-", color=color, markersize=3, linewidth=0.5 if long else 1.2)
    ax.plot(*path[0], "o", color=color, markersize=9, markerfacecolor="none")


def descents_figure(learning_rates: list[float], steps: int = 20, valley: Valley | None = None) -> Figure:
    """Return the paths down a valley by several learning rates, and the cost along each."""
    surface = valley or Valley()
    start = torch.tensor([-8.0, 2.0], dtype=torch.float64)
    figure, axes = canvas(len(learning_rates) + 1, width=3.1)
    for ax, color, rate in zip(axes, CYCLE, learning_rates, strict=False):
        path = descend(surface.gradient, start, rate, steps)
        draw_surface(ax, surface, (-10, 10), (-4, 4))
        draw_path(ax, path, color)
        ax.set(title=f"η = {rate:g}", xlabel="v₁")
        axes[-1].plot(surface.cost(path), color=color, label=f"η = {rate:g}")
    axes[0].set_ylabel("v₂")
    axes[-1].set(title="cost along the path", xlabel="steps", yscale="log")
    axes[-1].legend(fontsize=8)
    return figure


def promise_figure(surface: Valley | OneNeuron, position: Tensor, largest: float) -> Figure:
    """Return the real ΔC of one step beside the promised −η‖∇C‖², for η from 0 to `largest`.

    Args:
        surface: What to step on.
        position: Where from, float64 `(2,)`.
        largest: The largest η.
    """
    rates = torch.linspace(0, largest, 101, dtype=torch.float64)
    gradient = surface.gradient(position)
    figure, (ax,) = canvas(width=5.5)
    ax.plot(rates, real_changes(surface.cost, gradient, position, rates), color=BLUE, label="real ΔC")
    promised = torch.stack([predicted_descent(gradient, float(rate)) for rate in rates])
    ax.plot(rates, promised, color=ORANGE, linestyle="--", label="promised: −η‖∇C‖²")
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set(xlabel="learning rate η", ylabel="change of the cost")
    ax.legend(fontsize=8)
    return figure


def minibatches_figure(
    surface: OneNeuron, start: Tensor, learning_rate: float, sizes: list[int], epochs: int
) -> Figure:
    """Return descents by mini-batches of several sizes, equally long in examples used, and the cost along each.

    Args:
        surface: One neuron's cost.
        start: (w, b), float64 `(2,)`.
        learning_rate: η, the same for all.
        sizes: Examples a mini-batch.
        epochs: How often each example is used.
    """
    figure, axes = canvas(len(sizes) + 1, width=3.1)
    for ax, color, size in zip(axes, (BLUE, ORANGE, RED), sizes, strict=False):
        path = stochastic_descend(surface, start, learning_rate, size, epochs, seed=0)
        draw_surface(ax, surface, (-2, 4), (-3, 3))
        draw_path(ax, path, color)
        ax.set(title=f"{size} a mini-batch", xlabel="w")
        used = torch.linspace(0, epochs, len(path))
        axes[-1].plot(used, surface.cost(path), color=color, label=f"{size} a mini-batch")
    axes[0].set_ylabel("b")
    axes[-1].set(title="cost of all examples", xlabel="epochs")
    axes[-1].legend(fontsize=8)
    return figure


def scatter_figure(gradients: Tensor, sizes: list[int], draws: int = 300) -> Figure:
    """Return how far mini-batches' gradients lie from the whole one, measured and expected, over their size.

    Args:
        gradients: ∇C_x of each example, float64 `(N, D)`.
        sizes: Examples a mini-batch, ≤ N.
        draws: Mini-batches measured of each size.
    """
    figure, (ax,) = canvas(width=5.5)
    measured = [measured_scatter(gradients, size, draws, seed=0) for size in sizes]
    ax.plot(sizes, measured, "o", color=BLUE, label=f"measured on {draws}")
    ax.plot(sizes, [float(expected_scatter(gradients, size)) for size in sizes], color=ORANGE, label="expected")
    ax.set(xlabel="examples a mini-batch", ylabel="distance from ∇C", xscale="log", yscale="log")
    ax.legend(fontsize=8)
    return figure
