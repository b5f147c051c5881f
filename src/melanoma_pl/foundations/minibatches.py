"""Mini-batches: the gradient of a few examples instead of all, and many cheap steps instead of one dear one.

Nielsen, *Neural Networks and Deep Learning*, chapter 1, stochastic gradient descent. The mean of m examples' gradients
∇C_x estimates ∇C; it is right on average, and its scatter shrinks like 1/√m, while its price grows like m.
"""

import math

import torch
from torch import Tensor

from melanoma_pl.foundations.descent import descent_step
from melanoma_pl.foundations.surfaces import OneNeuron


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
