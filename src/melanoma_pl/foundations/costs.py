"""The quadratic cost and the cross-entropy, and the learning slow-down that tells them apart.

The module follows Nielsen, *Neural Networks and Deep Learning*, chapters 1 (quadratic cost) and 3 (cross-entropy). Both
costs are means over the examples x of a cost C_x. The functions `*_gradient` and `*_output_error` return derivatives of
C_x, one row per example.

The slow-down is shown by the example of chapter 3: a neuron with one weight and one bias learns to answer 0 to the
input 1.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.descent import descend
from melanoma_pl.foundations.display import canvas
from melanoma_pl.foundations.neurons import sigmoid, sigmoid_derivative
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREY, ORANGE


def quadratic_cost(activations: Tensor, targets: Tensor) -> Tensor:
    """Return C(w, b) = 1/(2n) Σ_x ‖y(x) − a‖².

    Args:
        activations: a^L, float `(N, J)`.
        targets: y, float `(N, J)`.

    Returns:
        float `()`, ≥ 0.
    """
    return ((targets - activations) ** 2).sum() / (2 * len(targets))


def quadratic_gradient(activations: Tensor, targets: Tensor) -> Tensor:
    """Return ∇_a C_x = a^L − y, float `(N, J)`, for activations and targets of that shape."""
    return activations - targets


def quadratic_output_error(weighted_inputs: Tensor, targets: Tensor) -> Tensor:
    """Return δ^L = (a^L − y) ⊙ σ′(z^L), float `(N, J)`, for weighted inputs z^L and targets of that shape.

    The factor σ′(z^L) is nearly 0 where the sigmoid is saturated, so a saturated neuron learns slowly even if it is
    badly wrong.
    """
    return quadratic_gradient(sigmoid(weighted_inputs), targets) * sigmoid_derivative(weighted_inputs)


def cross_entropy_cost(activations: Tensor, targets: Tensor) -> Tensor:
    """Return C = −1/n Σ_x Σ_j [y_j ln a^L_j + (1 − y_j) ln(1 − a^L_j)].

    Args:
        activations: a^L, float `(N, J)`, between 0 and 1.
        targets: y, float `(N, J)`, between 0 and 1.

    Returns:
        float `()`, ≥ 0; infinite where an activation is exactly 0 or 1 and wrong.
    """
    # xlogy returns 0, the limit, for 0 · ln 0; a plain product would be NaN for an answer that is certain and right.
    logarithms = torch.xlogy(targets, activations) + torch.xlogy(1 - targets, 1 - activations)
    return -logarithms.sum() / len(targets)


def cross_entropy_from_weighted_inputs(weighted_inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the same cross-entropy from z^L, as C = 1/n Σ_x Σ_j [ln(1 + e^z_j) − y_j z_j].

    The project trains with this form (``binary_cross_entropy_with_logits``). Far from zero a sigmoid rounds to exactly
    0 or 1 and its logarithm is lost, but this form stays finite and exact.

    Args:
        weighted_inputs: z^L, the logits, float `(N, J)`.
        targets: y, float `(N, J)`, between 0 and 1.

    Returns:
        float `()`, ≥ 0.
    """
    softplus = torch.logaddexp(weighted_inputs, torch.zeros_like(weighted_inputs))
    return (softplus - targets * weighted_inputs).sum() / len(targets)


def cross_entropy_gradient(activations: Tensor, targets: Tensor) -> Tensor:
    """Return ∇_a C_x = (a^L − y) / (a^L (1 − a^L)), float `(N, J)`, for activations strictly between 0 and 1."""
    return (activations - targets) / (activations * (1 - activations))


def cross_entropy_output_error(weighted_inputs: Tensor, targets: Tensor) -> Tensor:
    """Return δ^L = a^L − y, float `(N, J)`, for weighted inputs z^L and targets of that shape.

    The denominator a (1 − a) of the cost's gradient equals σ′(z) and cancels the factor σ′(z) of BP1. The error
    therefore does not vanish where the sigmoid is saturated: the more wrong the neuron is, the faster it learns.
    """
    return sigmoid(weighted_inputs) - targets


class Cost(NamedTuple):
    """A cost function and its derivatives.

    Attributes:
        name: Label in legends.
        value: C from the activations a^L and the targets y, both `(N, J)`.
        gradient: ∇_a C_x from the activations and the targets.
        output_error: δ^L from the weighted inputs z^L and the targets, both `(N, J)`.
    """

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    output_error: Callable[[Tensor, Tensor], Tensor]


QUADRATIC = Cost("quadratic cost", quadratic_cost, quadratic_gradient, quadratic_output_error)
CROSS_ENTROPY = Cost("cross-entropy", cross_entropy_cost, cross_entropy_gradient, cross_entropy_output_error)
COSTS = (QUADRATIC, CROSS_ENTROPY)


def neuron_gradient(cost: Cost, position: Tensor) -> Tensor:
    """Return (∂C/∂w, ∂C/∂b) = (δ, δ) for the input 1 and the target 0, float `(2,)`, at (w, b), float `(2,)`."""
    z = position.sum()  # w · 1 + b
    return cost.output_error(z, torch.zeros_like(z)).expand(2)


def activations_while_learning(cost: Cost, weight: float, bias: float, learning_rate: float, steps: int) -> Tensor:
    """Return the neuron's activation before the first step and after each step; the target is 0.

    Args:
        cost: Cost to minimise.
        weight: Initial w.
        bias: Initial b.
        learning_rate: η, > 0.
        steps: Number of steps of gradient descent.

    Returns:
        float64 `(steps + 1,)`, between 0 and 1.
    """
    start = torch.tensor([weight, bias], dtype=torch.float64)
    return sigmoid(descend(partial(neuron_gradient, cost), start, learning_rate, steps).sum(dim=1))


def output_errors_figure(reach: float = 8.0) -> Figure:
    """Draw the output error δ^L of both costs over z from −reach to reach, for the target 0."""
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
    """Draw the activation of one neuron while it learns to answer 0, for both costs.

    Args:
        starts: Initial pairs (w, b).
        learning_rate: η, the same for both costs.
        steps: Number of steps of gradient descent.
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
