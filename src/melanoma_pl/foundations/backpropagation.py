"""Back-propagation: its four equations, its five steps over a mini-batch, and the comparison with autograd.

The module follows Nielsen, *Neural Networks and Deep Learning*, chapter 2. The error of neuron j in layer l is
δ^l_j = ∂C/∂z^l_j for one example; the examples of a mini-batch are rows. C is the mean of the examples' costs C_x, so
the gradient of C is the mean of theirs: BP3 and BP4 average over the rows. All four equations follow from the chain
rule and z^l_j = Σ_k w^l_jk a^{l−1}_k + b^l_j, a^l_j = σ(z^l_j).

Layers are numbered from l = 1 (the inputs) to L. Lists of weights and errors begin with the first layer that has
weights, so ``weights[0]`` is w², while ``activations[0]`` is a¹, the inputs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from melanoma_pl.foundations.costs import Cost
from melanoma_pl.foundations.display import canvas
from melanoma_pl.foundations.neurons import sigmoid, sigmoid_derivative, weighted_inputs
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREY


def output_error(cost_gradient: Tensor, weighted_inputs: Tensor) -> Tensor:
    """Return the error of the last layer, δ^L = ∇_a C ⊙ σ′(z^L) (BP1).

    Proof: δ^L_j = ∂C/∂z^L_j = Σ_k ∂C/∂a^L_k ∂a^L_k/∂z^L_j. Since a^L_k depends on z^L_k alone, only k = j remains:
    ∂C/∂a^L_j ∂a^L_j/∂z^L_j = ∂C/∂a^L_j σ′(z^L_j).

    Args:
        cost_gradient: ∇_a C_x, float `(N, J)`.
        weighted_inputs: z^L, float `(N, J)`.

    Returns:
        δ^L, float `(N, J)`.
    """
    return cost_gradient * sigmoid_derivative(weighted_inputs)


def hidden_error(next_error: Tensor, next_weights: Tensor, weighted_inputs: Tensor) -> Tensor:
    """Return the error of a layer from the error of the next one, δ^l = ((w^{l+1})ᵀ δ^{l+1}) ⊙ σ′(z^l) (BP2).

    Proof: C depends on z^l_j through every z^{l+1}_k, so δ^l_j = Σ_k ∂C/∂z^{l+1}_k ∂z^{l+1}_k/∂z^l_j.
    The first factor is δ^{l+1}_k. As z^{l+1}_k = Σ_i w^{l+1}_ki σ(z^l_i) + b^{l+1}_k, the second is
    w^{l+1}_kj σ′(z^l_j).

    Args:
        next_error: δ^{l+1}, float `(N, I)`.
        next_weights: w^{l+1}, float `(I, J)`. Examples are rows, so the product needs no transpose.
        weighted_inputs: z^l, float `(N, J)`.

    Returns:
        δ^l, float `(N, J)`.
    """
    return torch.matmul(next_error, next_weights) * sigmoid_derivative(weighted_inputs)


def bias_gradient(error: Tensor) -> Tensor:
    """Return ∂C/∂b^l_j = δ^l_j (BP3), averaged over the mini-batch.

    Proof: C depends on b^l_j through z^l_j alone, and ∂z^l_j/∂b^l_j = 1, so ∂C/∂b^l_j = ∂C/∂z^l_j · 1 = δ^l_j.

    Args:
        error: δ^l, float `(N, J)`.

    Returns:
        ∂C/∂b^l, float `(J,)`.
    """
    return error.mean(dim=0)


def weight_gradient(error: Tensor, activations: Tensor) -> Tensor:
    """Return ∂C/∂w^l_jk = a^{l−1}_k δ^l_j (BP4), averaged over the mini-batch.

    Proof: C depends on w^l_jk through z^l_j alone, and ∂z^l_j/∂w^l_jk = a^{l−1}_k, so ∂C/∂w^l_jk = δ^l_j a^{l−1}_k.

    Args:
        error: δ^l, float `(N, J)`.
        activations: a^{l−1}, float `(N, K)`.

    Returns:
        ∂C/∂w^l, float `(J, K)`.
    """
    return torch.matmul(error.T, activations) / len(error)


class Parameters(NamedTuple):
    """The weights and biases of a network, or a gradient, which has the same shapes.

    Attributes:
        weights: w², …, w^L, float `(J, K)` each.
        biases: b², …, b^L, float `(J,)` each.
    """

    weights: list[Tensor]
    biases: list[Tensor]


class Signals(NamedTuple):
    """The values of every layer after a forward pass.

    Attributes:
        weighted_inputs: z², …, z^L, float `(N, J)` each.
        activations: a¹ (the inputs), a², …, a^L, float `(N, J)` each.
    """

    weighted_inputs: list[Tensor]
    activations: list[Tensor]


def feed_forward(parameters: Parameters, inputs: Tensor) -> Signals:
    """Return z^l = w^l a^{l−1} + b^l and a^l = σ(z^l) for l = 2, …, L, from the inputs a¹, float `(N, K)`."""
    signals = Signals([], [inputs])
    for weights, biases in zip(parameters.weights, parameters.biases, strict=True):
        signals.weighted_inputs.append(weighted_inputs(signals.activations[-1], weights, biases))
        signals.activations.append(sigmoid(signals.weighted_inputs[-1]))
    return signals


def propagate_back(parameters: Parameters, signals: Signals, last_error: Tensor) -> list[Tensor]:
    """Return the errors δ², …, δ^L, float `(N, J)` each, from the last error δ^L by BP2."""
    errors = [last_error]
    layers = zip(parameters.weights[1:], signals.weighted_inputs[:-1], strict=True)
    for next_weights, weighted in reversed(list(layers)):
        errors.append(hidden_error(errors[-1], next_weights, weighted))
    return errors[::-1]


def cost_gradient(parameters: Parameters, inputs: Tensor, targets: Tensor, cost: Cost) -> Parameters:
    """Return ∂C/∂w^l and ∂C/∂b^l of every layer by the five steps of back-propagation.

    1. Input: a¹ is the mini-batch.
    2. Forward: z^l and a^l for l = 2, …, L.
    3. Output error: δ^L (BP1).
    4. Backward: δ^l for l = L−1, …, 2 (BP2).
    5. Gradient: from each layer's error and the activations that entered it (BP3, BP4).

    Args:
        parameters: The network.
        inputs: float `(N, K)`.
        targets: y, float `(N, J)`.
        cost: Cost C to differentiate.

    Returns:
        The gradient of C over the mini-batch, in the parameters' shapes.
    """
    signals = feed_forward(parameters, inputs)  # steps 1 and 2
    last_error = cost.output_error(signals.weighted_inputs[-1], targets)  # step 3
    errors = propagate_back(parameters, signals, last_error)  # step 4
    layers = zip(errors, signals.activations[:-1], strict=True)  # step 5
    weight_gradients = [weight_gradient(error, activations) for error, activations in layers]
    return Parameters(weight_gradients, [bias_gradient(error) for error in errors])


def autograd_gradient(parameters: Parameters, inputs: Tensor, targets: Tensor, cost: Cost) -> Parameters:
    """Return the gradient that PyTorch's autograd computes from the forward pass and the cost's value alone.

    Args:
        parameters: The network; it stays as it is.
        inputs: float `(N, K)`.
        targets: y, float `(N, J)`.
        cost: Cost C to differentiate.

    Returns:
        The gradient of C, in the parameters' shapes; zeros where the cost does not depend on a parameter.
    """
    leaves = [values.detach().clone().requires_grad_() for values in (*parameters.weights, *parameters.biases)]
    depth = len(parameters.weights)
    answers = feed_forward(Parameters(leaves[:depth], leaves[depth:]), inputs).activations[-1]
    slopes = torch.autograd.grad(cost.value(answers, targets), leaves, materialize_grads=True)
    return Parameters(list(slopes[:depth]), list(slopes[depth:]))


def flattened(parameters: Parameters) -> Tensor:
    """Return all weights, then all biases, layer after layer, as one float `(P,)`."""
    return torch.cat([values.flatten() for values in (*parameters.weights, *parameters.biases)])


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest absolute difference between two tensors.

    Raises:
        ValueError: The tensors differ in shape; broadcasting would hide it.
    """
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes differ: {tuple(ours.shape)} and {tuple(theirs.shape)}")
    return float((ours - theirs).abs().max())


def agreement_figure(ours: Tensor, theirs: Tensor) -> Figure:
    """Plot each derivative by hand against the same by autograd, float `(P,)`: equal ones lie on the diagonal."""
    figure, (ax,) = canvas(width=3.8, height=3.6)
    ax.axline((0, 0), slope=1, color=GREY, linewidth=0.8)
    ax.plot(theirs, ours, "o", color=BLUE, markersize=4, alpha=0.6)
    ends = float(theirs.min()), float(theirs.max())
    margin = 0.1 * max(map(abs, ends))
    limits = ends[0] - margin, ends[1] + margin
    ticks = MaxNLocator(5).tick_values(*limits)[1:-1]
    ax.set(xlabel="autograd", ylabel="four equations", xlim=limits, ylim=limits, xticks=ticks, yticks=ticks, aspect=1)
    ax.set_title(f"{len(ours)} derivatives")
    return figure


def error_sizes_figure(networks: Sequence[Parameters], inputs: Tensor, targets: Tensor, cost: Cost) -> Figure:
    """Draw the root mean square of the errors δ^l of each layer, one line per network.

    Args:
        networks: Networks of different depths.
        inputs: float `(N, K)`.
        targets: y, float `(N, J)`.
        cost: Cost that gives the error of the last layer.
    """
    figure, (ax,) = canvas(width=5.5)
    for color, parameters in zip(CYCLE, networks, strict=False):
        signals = feed_forward(parameters, inputs)
        errors = propagate_back(parameters, signals, cost.output_error(signals.weighted_inputs[-1], targets))
        layers = range(2, len(errors) + 2)
        sizes = [float((error**2).mean().sqrt()) for error in errors]
        ax.plot(layers, sizes, "o-", color=color, label=f"L = {layers[-1]}")
    ax.set(xlabel="layer $l$", ylabel="size of $\\delta^l$ (root mean square)", yscale="log")
    ax.legend(fontsize=8)
    return figure
