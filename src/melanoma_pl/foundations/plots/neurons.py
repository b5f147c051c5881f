"""Pictures of one neuron: its activation function, and what a small change of a weight does to its output."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from melanoma_pl.foundations.neurons import (
    perceptrons,
    predicted_output_change,
    sigmoid,
    sigmoid_derivative,
    sigmoid_neurons,
    step,
)
from melanoma_pl.plotting import BLUE, GREEN, GREY, ORANGE, canvas


def activations_figure(reach: float = 8.0) -> Figure:
    """Return the step, the sigmoid and the sigmoid's derivative over z from −reach to reach."""
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
    """Return one neuron's output while its first weight moves: a perceptron's, a sigmoid's, and the predicted line.

    Args:
        inputs: x, float64 `(1, K)`: one example.
        weights: float64 `(1, K)`.
        biases: float64 `(1,)`.
        reach: How far the weight moves to either side.
    """
    changes = torch.linspace(-reach, reach, 301, dtype=torch.float64)
    moves = torch.zeros(len(changes), weights.shape[1], dtype=torch.float64)
    moves[:, 0] = changes
    # One output a moved weight: as many neurons as changes, all with the same example.
    moved, biases = weights + moves, biases.expand(len(changes))
    start = sigmoid_neurons(inputs, weights, biases[:1])
    predicted = start + predicted_output_change(
        inputs, weights.expand_as(moves), biases, moves, torch.zeros_like(biases)
    )
    figure, (ax,) = canvas(width=5.5)
    ax.plot(changes, perceptrons(inputs, moved, biases)[0], color=GREY, label="perceptron")
    ax.plot(changes, sigmoid_neurons(inputs, moved, biases)[0], color=BLUE, label="sigmoid neuron")
    ax.plot(changes, predicted[0], color=GREEN, linestyle="--", label="predicted: a + Δa")
    ax.plot([0], start[0], "o", color=BLUE)
    ax.set(xlabel="Δw of the first weight", ylabel="output a", ylim=(-0.1, 1.1))
    ax.legend(fontsize=8)
    return figure
