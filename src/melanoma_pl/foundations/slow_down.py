"""The learning slow-down: one neuron that begins badly wrong, and how fast each cost mends it.

The toy of Nielsen, *Neural Networks and Deep Learning*, chapter 3: one weight, one bias, one example, whose input is 1
and whose target is 0.
"""

import torch
from torch import Tensor

from melanoma_pl.foundations.costs import Cost
from melanoma_pl.foundations.descent import descent_step
from melanoma_pl.foundations.neurons import sigmoid

INPUT, TARGET = 1.0, 0.0


def neuron_gradient(cost: Cost, position: Tensor) -> Tensor:
    """Return (∂C/∂w, ∂C/∂b) = (δ x, δ), float `(2,)`, at the position (w, b), float `(2,)`."""
    weighted_input = position[0] * INPUT + position[1]
    error = cost.output_error(weighted_input, torch.full_like(weighted_input, TARGET))
    return torch.stack([error * INPUT, error])


def activations_while_learning(
    cost: Cost, weight: float, bias: float, learning_rate: float = 0.15, steps: int = 300
) -> Tensor:
    """Return the neuron's activation before the first step and after each: it should fall to 0.

    Args:
        cost: What the neuron descends.
        weight: Where w starts.
        bias: Where b starts.
        learning_rate: η, > 0.
        steps: How many steps of gradient descent.

    Returns:
        float64 `(steps + 1,)`, between 0 and 1.
    """
    position = torch.tensor([weight, bias], dtype=torch.float64)
    activations = [sigmoid(position[0] * INPUT + position[1])]
    for _ in range(steps):
        position = descent_step(position, neuron_gradient(cost, position), learning_rate)
        activations.append(sigmoid(position[0] * INPUT + position[1]))
    return torch.stack(activations)
