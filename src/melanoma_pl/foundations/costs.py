"""Two costs of a network's answers: the quadratic one and the cross-entropy.

Nielsen, *Neural Networks and Deep Learning*, chapters 1 (quadratic) and 3 (cross-entropy). Both are means over the
examples x of a cost C_x; `*_gradient` and `*_output_error` are C_x's derivatives, one row an example.

The learning slow-down: one neuron that begins badly wrong, and how fast each cost mends it.

The toy of Nielsen, *Neural Networks and Deep Learning*, chapter 3: one weight, one bias, one example, whose input is 1
and whose target is 0.

Pictures of the learning slow-down.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.descent import descent_step
from melanoma_pl.foundations.equations import output_error
from melanoma_pl.foundations.neurons import sigmoid
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREY, ORANGE, canvas


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

    The factor σ′(z^L) is nearly 0 where the sigmoid is saturated: there the neuron learns slowly, however wrong it is.
    """
    return output_error(quadratic_gradient(sigmoid(weighted_inputs), targets), weighted_inputs)


def cross_entropy_cost(activations: Tensor, targets: Tensor) -> Tensor:
    """Return C = −1/n Σ_x Σ_j [y_j ln a^L_j + (1 − y_j) ln(1 − a^L_j)].

    Args:
        activations: a^L, float `(N, J)`, between 0 and 1.
        targets: y, float `(N, J)`, between 0 and 1.

    Returns:
        float `()`, ≥ 0; infinite where an activation is exactly 0 or 1 and wrong.
    """
    # xlogy counts 0 · ln 0 as 0, its limit; a plain product would be NaN for a sure and right answer.
    logarithms = torch.xlogy(targets, activations) + torch.xlogy(1 - targets, 1 - activations)
    return -logarithms.sum() / len(targets)


def cross_entropy_from_weighted_inputs(weighted_inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the same cross-entropy from z^L, as C = 1/n Σ_x Σ_j [ln(1 + e^z_j) − y_j z_j].

    This is what the project trains with (``binary_cross_entropy_with_logits``): a sigmoid rounds to exactly 0 or 1 far
    from zero, and its logarithm is then lost, while this form stays finite and exact.

    Args:
        weighted_inputs: z^L, float `(N, J)`: the logits.
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

    The denominator a (1 − a) of the cost's gradient is σ′(z) and cancels BP1's factor: the error no longer vanishes
    where the sigmoid is saturated. The more wrong the neuron, the faster it learns.
    """
    return sigmoid(weighted_inputs) - targets


@dataclass(frozen=True)
class Cost:
    """A cost and how its errors begin.

    Attributes:
        name: For legends.
        value: C from the activations a^L and the targets y, both `(N, J)`.
        gradient: ∇_a C_x from the same.
        output_error: δ^L from the weighted inputs z^L and the targets, both `(N, J)`.
    """

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    output_error: Callable[[Tensor, Tensor], Tensor]


QUADRATIC = Cost("quadratic cost", quadratic_cost, quadratic_gradient, quadratic_output_error)
CROSS_ENTROPY = Cost("cross-entropy", cross_entropy_cost, cross_entropy_gradient, cross_entropy_output_error)


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
