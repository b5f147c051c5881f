"""Gradient descent: which small move makes a cost smaller, and what repeating it does.

Nielsen, *Neural Networks and Deep Learning*, chapter 1. For a small move Δv,

    ΔC ≈ ∂C/∂v₁ Δv₁ + ∂C/∂v₂ Δv₂ = ∇C · Δv.

The choice Δv = −η ∇C gives ΔC ≈ −η ‖∇C‖² ≤ 0: the cost falls, as long as η is small enough for ≈ to hold.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def predicted_change(gradient: Tensor, move: Tensor) -> Tensor:
    """Return ΔC ≈ ∇C · Δv, float `()`, for a gradient and a small move, both `(D,)`."""
    return torch.dot(gradient, move)


def predicted_descent(gradient: Tensor, learning_rate: float) -> Tensor:
    """Return ΔC ≈ −η ‖∇C‖², float `()`, ≤ 0: the change that one step of descent promises."""
    return -learning_rate * (gradient**2).sum()


def descent_step(position: Tensor, gradient: Tensor, learning_rate: float) -> Tensor:
    """Return v − η ∇C.

    Args:
        position: v, float, any shape.
        gradient: ∇C at v, the same shape.
        learning_rate: η, > 0.

    Returns:
        The next position, the same shape.
    """
    return position - learning_rate * gradient


def descend(gradient: Callable[[Tensor], Tensor], start: Tensor, learning_rate: float, steps: int) -> Tensor:
    """Return the path of gradient descent: the start and the position after each step.

    Args:
        gradient: ∇C as a function of the position.
        start: v, float `(D,)`.
        learning_rate: η, > 0.
        steps: How many.

    Returns:
        float `(steps + 1, D)`.
    """
    path = [start]
    for _ in range(steps):
        path.append(descent_step(path[-1], gradient(path[-1]), learning_rate))
    return torch.stack(path)


def real_changes(
    cost: Callable[[Tensor], Tensor], gradient: Tensor, position: Tensor, learning_rates: Tensor
) -> Tensor:
    """Return C(v − η ∇C) − C(v) for each of several learning rates, to set beside `predicted_descent`.

    Args:
        cost: C of positions `(…, D)`, giving `(…)`.
        gradient: ∇C at the position, float `(D,)`.
        position: v, float `(D,)`.
        learning_rates: η, float `(E,)`.

    Returns:
        float `(E,)`.
    """
    moved = position - learning_rates[:, None] * gradient  # (E, D)
    return cost(moved) - cost(position)
