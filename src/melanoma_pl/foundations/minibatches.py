"""Mini-batches: the gradient of a few examples instead of all, and many cheap steps instead of one expensive step.

The module follows Nielsen, *Neural Networks and Deep Learning*, chapter 1 (stochastic gradient descent). The mean of
the gradients ∇C_x of m examples estimates ∇C. The estimate is unbiased, its scatter shrinks like 1/√m, and its price
grows like m.
"""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.costs import cross_entropy_output_error
from melanoma_pl.foundations.descent import descent_step, draw_path, draw_surface
from melanoma_pl.foundations.display import canvas
from melanoma_pl.report.figures.canvas import BLUE, ORANGE, RED


@dataclass(frozen=True)
class OneNeuron:
    """The cross-entropy of one sigmoid neuron, a = σ(w x + b), as a surface over (w, b).

    Attributes:
        inputs: x, float `(N,)`, one number per example.
        targets: y, float `(N,)`, 0 or 1.
    """

    inputs: Tensor
    targets: Tensor

    def cost(self, positions: Tensor) -> Tensor:
        """Return C, float `(…)`, at positions (w, b), float `(…, 2)`."""
        z = positions[..., :1] * self.inputs + positions[..., 1:]  # (…, N)
        return (torch.logaddexp(z, torch.zeros_like(z)) - self.targets * z).mean(dim=-1)

    def gradients(self, position: Tensor) -> Tensor:
        """Return ∇C_x = (δ x, δ) of each example, float `(N, 2)`, at the position (w, b), float `(2,)`."""
        error = cross_entropy_output_error(position[0] * self.inputs + position[1], self.targets)  # (N,)
        return torch.stack([error * self.inputs, error], dim=1)

    def gradient(self, position: Tensor) -> Tensor:
        """Return ∇C, the mean of `gradients` over all examples, float `(2,)`."""
        return self.gradients(position).mean(dim=0)

    def only(self, indices: Tensor) -> "OneNeuron":
        """Return the cost of the examples at `indices`, int64 `(M,)`, alone."""
        return OneNeuron(self.inputs[indices], self.targets[indices])


def shuffled_minibatches(count: int, size: int, generator: torch.Generator) -> list[Tensor]:
    """Return the mini-batches of one epoch: the indices of all examples in random order, split into batches.

    Args:
        count: Number of examples.
        size: Examples per mini-batch, ≥ 1; the last one may hold fewer.
        generator: Source of the random order.

    Returns:
        Indices, int64 `(size,)` each; together they hold every number below `count` once.
    """
    return list(torch.split(torch.randperm(count, generator=generator), size))


def stochastic_descend(
    neuron: OneNeuron, start: Tensor, learning_rate: float, size: int, epochs: int, seed: int
) -> Tensor:
    """Return the path of gradient descent by mini-batches on the cost of one neuron.

    Args:
        neuron: The neuron and its N examples.
        start: (w, b), float `(2,)`.
        learning_rate: η, > 0.
        size: m, examples per mini-batch; N gives plain gradient descent.
        epochs: Number of passes over the examples.
        seed: Seed of the order.

    Returns:
        float `(epochs · ⌈N / m⌉ + 1, 2)`.
    """
    generator = torch.Generator().manual_seed(seed)
    path = [start]
    for _ in range(epochs):
        for indices in shuffled_minibatches(len(neuron.inputs), size, generator):
            path.append(descent_step(path[-1], neuron.only(indices).gradient(path[-1]), learning_rate))
    return torch.stack(path)


def expected_scatter(gradients: Tensor, size: int) -> Tensor:
    """Return the root mean square distance of a mini-batch's gradient from ∇C.

    For m examples sampled without replacement from N, the distance is √(Σ_d s_d² / m · (1 − m/N)), where s_d² is the
    variance of the gradients along direction d. It falls like 1/√m for m far below N and is 0 for m = N.

    Args:
        gradients: ∇C_x of each example, float `(N, D)`.
        size: m, between 1 and N.

    Returns:
        float `()`, ≥ 0.
    """
    return (gradients.var(dim=0).sum() / size * (1 - size / len(gradients))).sqrt()


def measured_scatter(gradients: Tensor, size: int, repeats: int, seed: int) -> float:
    """Return the same distance, measured on `repeats` random mini-batches of `size` examples."""
    generator = torch.Generator().manual_seed(seed)
    batches = [torch.randperm(len(gradients), generator=generator)[:size] for _ in range(repeats)]
    estimates = torch.stack([gradients[indices].mean(dim=0) for indices in batches])  # (repeats, D)
    return float(((estimates - gradients.mean(dim=0)) ** 2).sum(dim=1).mean().sqrt())


def minibatches_figure(neuron: OneNeuron, start: Tensor, learning_rate: float, sizes: list[int], epochs: int) -> Figure:
    """Draw descents by mini-batches of several sizes, and the cost along each path.

    Args:
        neuron: The neuron and its examples.
        start: (w, b), float64 `(2,)`.
        learning_rate: η, the same for all sizes.
        sizes: Examples per mini-batch.
        epochs: Number of passes over the examples, the same for all sizes.
    """
    figure, axes = canvas(2, height=2.8 * (len(sizes) // 2 + 1), rows=len(sizes) // 2 + 1)
    for ax, color, size in zip(axes, (BLUE, ORANGE, RED), sizes, strict=False):
        path = stochastic_descend(neuron, start, learning_rate, size, epochs, seed=0)
        draw_surface(ax, neuron.cost, (-2, 4), (-3, 3))
        draw_path(ax, path, color)
        ax.set(title=f"mini-batches of {size}", xlabel="w", ylabel="b")
        passes = torch.linspace(0, epochs, len(path))
        axes[-1].plot(passes, neuron.cost(path), color=color, label=f"mini-batches of {size}")
    axes[-1].set(title="cost of all examples", xlabel="epochs")
    axes[-1].legend(fontsize=8)
    return figure


def scatter_figure(gradients: Tensor, sizes: list[int], repeats: int = 300) -> Figure:
    """Draw the measured and the expected distance of a mini-batch's gradient from ∇C over the mini-batch's size.

    Args:
        gradients: ∇C_x of each example, float64 `(N, D)`.
        sizes: Examples per mini-batch, ≤ N.
        repeats: Mini-batches measured per size.
    """
    figure, (ax,) = canvas(width=5.5)
    measured = [measured_scatter(gradients, size, repeats, seed=0) for size in sizes]
    ax.plot(sizes, measured, "o", color=BLUE, label=f"measured on {repeats}")
    ax.plot(sizes, [float(expected_scatter(gradients, size)) for size in sizes], color=ORANGE, label="expected")
    ax.set(xlabel="examples per mini-batch", ylabel="distance from ∇C", xscale="log", yscale="log")
    ax.legend(fontsize=8)
    return figure
