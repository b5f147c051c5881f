"""Two surfaces of two variables to walk down: a valley, and the cost of one neuron.

Mini-batches: the gradient of a few examples instead of all, and many cheap steps instead of one dear one.

Nielsen, *Neural Networks and Deep Learning*, chapter 1, stochastic gradient descent. The mean of m examples' gradients
∇C_x estimates ∇C; it is right on average, and its scatter shrinks like 1/√m, while its price grows like m.

Pictures of gradient descent on surfaces of two variables.
"""

import math
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.costs import cross_entropy_output_error
from melanoma_pl.foundations.descent import descend, descent_step, predicted_descent, real_changes
from melanoma_pl.foundations.neurons import sigmoid
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREY, ORANGE, RED, canvas


@dataclass(frozen=True)
class Valley:
    """The surface C(v₁, v₂) = (c₁ v₁² + c₂ v₂²) / 2: a valley along v₁ where c₁ < c₂, lowest at (0, 0).

    One step of descent multiplies v_i by 1 − η c_i. So η < 2 / c₂ is needed to come closer at all: larger steps leap
    from wall to wall and climb. And where c₂ is far above c₁, even the largest such η is slow along the valley's floor.

    Attributes:
        curvatures: c₁ and c₂, > 0.
    """

    curvatures: tuple[float, float] = (1.0, 8.0)

    def cost(self, positions: Tensor) -> Tensor:
        """Return C, float `(…)`, at positions, float `(…, 2)`."""
        return (positions.new_tensor(self.curvatures) * positions**2).sum(dim=-1) / 2

    def gradient(self, positions: Tensor) -> Tensor:
        """Return ∇C = (c₁ v₁, c₂ v₂), float `(…, 2)`, at positions of that shape."""
        return positions.new_tensor(self.curvatures) * positions


@dataclass(frozen=True)
class OneNeuron:
    """The cross-entropy of one sigmoid neuron, a = σ(w x + b), as a surface over (w, b).

    Attributes:
        inputs: x, float `(N,)`: one number an example.
        targets: y, float `(N,)`, 0 or 1.
    """

    inputs: Tensor
    targets: Tensor

    def cost(self, positions: Tensor) -> Tensor:
        """Return C, float `(…)`, at positions (w, b), float `(…, 2)`."""
        z = positions[..., :1] * self.inputs + positions[..., 1:]  # (…, N)
        softplus = torch.logaddexp(z, torch.zeros_like(z))
        return (softplus - self.targets * z).mean(dim=-1)

    def gradient(self, position: Tensor) -> Tensor:
        """Return ∇C = (mean of δ x, mean of δ), float `(2,)`, over all examples."""
        return self.gradients(position).mean(dim=0)

    def gradients(self, position: Tensor) -> Tensor:
        """Return each example's ∇C_x = (δ x, δ), float `(N, 2)`, at the position (w, b), float `(2,)`."""
        error = cross_entropy_output_error(position[0] * self.inputs + position[1], self.targets)  # (N,)
        return torch.stack([error * self.inputs, error], dim=1)

    def only(self, indices: Tensor) -> "OneNeuron":
        """Return the surface that the examples at `indices`, int64 `(M,)`, alone would give."""
        return OneNeuron(self.inputs[indices], self.targets[indices])

    def accuracy(self, position: Tensor) -> float:
        """Return the share of examples on the right side of 1/2, between 0 and 1, at the position (w, b)."""
        answers = sigmoid(position[0] * self.inputs + position[1]) > 0.5
        return float((answers == (self.targets > 0.5)).double().mean())


def shuffled_minibatches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return one epoch: all examples in a random order, cut into mini-batches.

    Args:
        count: How many examples there are.
        size: How many a mini-batch holds, ≥ 1; the last may hold fewer.
        generator: Where the order comes from.

    Returns:
        Indices, int64 `(size,)` each; together every number below `count` once.
    """
    return list(torch.split(torch.randperm(count, generator=generator), size))


def stochastic_descend(
    surface: OneNeuron, start: Tensor, learning_rate: float, size: int, epochs: int, seed: int
) -> Tensor:
    """Return the path of gradient descent by mini-batches on one neuron's cost.

    Args:
        surface: The neuron and its N examples.
        start: (w, b), float `(2,)`.
        learning_rate: η, > 0.
        size: m, examples a mini-batch; N gives plain gradient descent.
        epochs: How often each example is used.
        seed: Of the order.

    Returns:
        float `(epochs · ⌈N / m⌉ + 1, 2)`.
    """
    generator = torch.Generator().manual_seed(seed)
    path = [start]
    for _ in range(epochs):
        for indices in shuffled_minibatches(len(surface.inputs), size, generator):
            path.append(descent_step(path[-1], surface.only(indices).gradient(path[-1]), learning_rate))
    return torch.stack(path)


def expected_scatter(gradients: Tensor, size: int) -> Tensor:
    """Return how far a mini-batch's gradient lies from the whole one: the root of its mean squared distance.

    For m examples drawn without replacement out of N this is √(Σ_d s_d² / m · (1 − m/N)), s_d² being the gradients'
    variance along direction d: like 1/√m for m far below N, and 0 for m = N.

    Args:
        gradients: ∇C_x of each example, float `(N, D)`.
        size: m, between 1 and N.

    Returns:
        float `()`, ≥ 0.
    """
    return (gradients.var(dim=0).sum() / size * (1 - size / len(gradients))).sqrt()


def measured_scatter(gradients: Tensor, size: int, draws: int, seed: int) -> float:
    """Return the same distance, measured on `draws` mini-batches of `size` examples drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    whole = gradients.mean(dim=0)
    squares = 0.0
    for _ in range(draws):
        indices = torch.randperm(len(gradients), generator=generator)[:size]
        squares += float(((gradients[indices].mean(dim=0) - whole) ** 2).sum())
    return math.sqrt(squares / draws)


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
