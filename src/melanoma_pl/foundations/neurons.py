"""The perceptron and the sigmoid neuron: a weighted sum, then an activation function.

The module follows Nielsen, *Neural Networks and Deep Learning*, chapter 1. Each row is one example of a mini-batch, so
one matrix product computes the weighted sum of every neuron for every example.
"""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.display import canvas
from melanoma_pl.report.figures.canvas import BLUE, GREEN, GREY, ORANGE


def weighted_inputs(activations: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """Return z^l_j = Σ_k w^l_jk a^{l−1}_k + b^l_j.

    Args:
        activations: a^{l−1}, float `(N, K)`, one row per example.
        weights: w^l, float `(J, K)`.
        biases: b^l, float `(J,)`.

    Returns:
        z^l, float `(N, J)`.
    """
    return torch.matmul(activations, weights.T) + biases


def step(z: Tensor) -> Tensor:
    """Return 1 where z > 0 and 0 elsewhere, in z's shape and dtype."""
    return (z > 0).to(z.dtype)


def sigmoid(z: Tensor) -> Tensor:
    """Return σ(z) = 1 / (1 + e^−z), between 0 and 1, in z's shape and dtype.

    σ is a smooth step function: it is close to 0 or 1 far from z = 0 and rises in between.
    """
    return 1 / (1 + torch.exp(-z))


def sigmoid_derivative(z: Tensor) -> Tensor:
    """Return σ′(z) = σ(z) (1 − σ(z)), between 0 and 1/4, in z's shape and dtype."""
    return sigmoid(z) * (1 - sigmoid(z))


def rectified(z: Tensor) -> Tensor:
    """Return max(0, z), in z's shape and dtype: the ReLU, which replaces the sigmoid after each convolution.

    Its slope is 1 wherever z > 0, so errors do not shrink on their way back as they do with the sigmoid's σ′ ≤ 1/4.
    """
    return z.clamp(min=0)


def perceptrons(inputs: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """Return the output of a layer of perceptrons: 1 if Σ_k w_jk x_k + b_j > 0, otherwise 0.

    Args:
        inputs: x, float `(N, K)`.
        weights: float `(J, K)`.
        biases: float `(J,)`, the negative of each perceptron's threshold.

    Returns:
        float `(N, J)`, zeros and ones.
    """
    return step(weighted_inputs(inputs, weights, biases))


def sigmoid_neurons(inputs: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
    """Return the activations a^l = σ(w^l a^{l−1} + b^l) of a layer of sigmoid neurons.

    Args:
        inputs: a^{l−1}, float `(N, K)`.
        weights: w^l, float `(J, K)`.
        biases: b^l, float `(J,)`.

    Returns:
        a^l, float `(N, J)`, between 0 and 1.
    """
    return sigmoid(weighted_inputs(inputs, weights, biases))


def predicted_output_change(
    inputs: Tensor, weights: Tensor, biases: Tensor, weight_changes: Tensor, bias_changes: Tensor
) -> Tensor:
    """Return Δa_j ≈ Σ_k ∂a_j/∂w_jk Δw_jk + ∂a_j/∂b_j Δb_j = σ′(z_j) (Σ_k Δw_jk x_k + Δb_j).

    Almost every small change of a weight leaves a perceptron's output as it is, and the others flip it. Neither shows
    which change improves the output a little. A sigmoid neuron's output moves in proportion to the change, so the
    neuron can learn in small steps.

    Args:
        inputs: x, float `(N, K)`.
        weights: float `(J, K)`.
        biases: float `(J,)`.
        weight_changes: Δw, float `(J, K)`, small.
        bias_changes: Δb, float `(J,)`, small.

    Returns:
        Δa, float `(N, J)`, up to terms of second order.
    """
    slope = sigmoid_derivative(weighted_inputs(inputs, weights, biases))
    return slope * weighted_inputs(inputs, weight_changes, bias_changes)


def activations_figure(reach: float = 8.0) -> Figure:
    """Draw the step, the sigmoid and the sigmoid's derivative over z from −reach to reach."""
    z = torch.linspace(-reach, reach, 401, dtype=torch.float64)
    figure, (outputs, slope) = canvas(2)
    outputs.plot(z, step(z), color=GREY, label="perceptron: step")
    outputs.plot(z, sigmoid(z), color=BLUE, label="sigmoid neuron: σ(z)")
    outputs.set(xlabel="weighted input z", ylabel="output a")
    outputs.legend(loc="upper left", fontsize=8)
    slope.plot(z, sigmoid_derivative(z), color=ORANGE)
    slope.axhline(0.25, color=GREY, linewidth=0.8, linestyle=":")
    slope.set(xlabel="weighted input z", ylabel="σ′(z), at most 1/4", ylim=(0, 0.27))
    return figure


def small_changes_figure(inputs: Tensor, weights: Tensor, biases: Tensor, reach: float = 3.0) -> Figure:
    """Draw a neuron's output against a change of its first weight: perceptron, sigmoid neuron and prediction.

    Args:
        inputs: x, float64 `(1, K)`, one example.
        weights: float64 `(1, K)`.
        biases: float64 `(1,)`.
        reach: Largest change of the weight in either direction.
    """
    changes = torch.linspace(-reach, reach, 301, dtype=torch.float64)
    moves = torch.zeros(len(changes), weights.shape[1], dtype=torch.float64)
    moves[:, 0] = changes
    # Each changed weight is a neuron of one layer, and all of them see the same example.
    moved, biases = weights + moves, biases.expand(len(changes))
    start = sigmoid_neurons(inputs, weights, biases[:1])
    still = torch.zeros_like(biases)
    predicted = start + predicted_output_change(inputs, weights.expand_as(moves), biases, moves, still)
    figure, (ax,) = canvas(width=5.5)
    ax.plot(changes, perceptrons(inputs, moved, biases)[0], color=GREY, label="perceptron")
    ax.plot(changes, sigmoid_neurons(inputs, moved, biases)[0], color=BLUE, label="sigmoid neuron")
    ax.plot(changes, predicted[0], color=GREEN, linestyle="--", label="predicted: a + Δa")
    ax.plot([0], start[0], "o", color=BLUE)
    ax.set(xlabel="Δw of the first weight", ylabel="output a", ylim=(-0.1, 1.1))
    ax.legend(fontsize=8)
    return figure
