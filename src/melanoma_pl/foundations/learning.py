"""Learning: back-propagation and gradient descent by mini-batches, on moles described by a few numbers.

The module follows Nielsen, *Neural Networks and Deep Learning*, chapters 1 (the algorithm) and 3 (the initial weights).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.backpropagation import Parameters, cost_gradient, feed_forward
from melanoma_pl.foundations.costs import CROSS_ENTROPY, Cost
from melanoma_pl.foundations.descent import descent_step
from melanoma_pl.foundations.display import canvas
from melanoma_pl.foundations.minibatches import shuffled_minibatches
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREY, ORANGE, bare


class Examples(NamedTuple):
    """Examples to learn from or to test on.

    Attributes:
        inputs: float `(N, K)`, standardised: mean near 0 and standard deviation near 1 in every column.
        targets: float `(N, J)`, 0 or 1.
    """

    inputs: Tensor
    targets: Tensor


def as_examples(traits: NDArray[np.float64], labels: NDArray[np.int64], reference: NDArray[np.float64]) -> Examples:
    """Return moles as examples for a network with one output.

    Each trait is standardised as (x − mean) / deviation. Traits have different units (millimetres, a number of
    colours), and without standardisation the largest would saturate every neuron. The mean and the deviation come from
    the training examples, also for held-out examples: a network must not learn anything from those.

    Args:
        traits: float64 `(N, K)`, each column in its own unit.
        labels: int64 `(N,)`, 1 for malignant.
        reference: Traits of the training examples, float64 `(M, K)`, no column constant.

    Returns:
        Inputs float64 `(N, K)`, targets float64 `(N, 1)`.
    """
    training = torch.from_numpy(reference)
    inputs = (torch.from_numpy(traits) - training.mean(dim=0)) / training.std(dim=0)
    return Examples(inputs, torch.from_numpy(labels).double()[:, None])


class Recipe(NamedTuple):
    """Settings of learning.

    Attributes:
        cost: Cost to minimise.
        learning_rate: η, > 0.
        minibatch_size: Examples per step, ≥ 1.
        epochs: Number of passes over the examples.
        seed: Seed of the examples' order.
    """

    cost: Cost = CROSS_ENTROPY
    learning_rate: float = 0.5
    minibatch_size: int = 10
    epochs: int = 30
    seed: int = 0


class Course(NamedTuple):
    """The course of learning: one number before the first epoch and one after each epoch.

    Attributes:
        cost: C on the training examples.
        accuracy: Fraction of right answers on the training examples, between 0 and 1.
        held_out_accuracy: Fraction of right answers on the held-out examples, between 0 and 1.
    """

    cost: list[float]
    accuracy: list[float]
    held_out_accuracy: list[float]


def initial_parameters(sizes: list[int], seed: int) -> Parameters:
    """Return random initial parameters, float64: weights N(0, 1/K) for K inputs per neuron, biases N(0, 1).

    With the deviation 1/√K, a neuron's weighted input has a deviation near 1 for any K, so no sigmoid starts saturated.

    Args:
        sizes: Neurons in layers 1, …, L, such as ``[4, 6, 1]``.
        seed: Seed of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    weights, biases = [], []
    for entering, neurons in pairwise(sizes):
        normal = torch.randn(neurons, entering, generator=generator, dtype=torch.float64)
        weights.append(normal / math.sqrt(entering))
        biases.append(torch.randn(neurons, generator=generator, dtype=torch.float64))
    return Parameters(weights, biases)


def updated(parameters: Parameters, gradient: Parameters, learning_rate: float) -> Parameters:
    """Return w^l − η ∂C/∂w^l and b^l − η ∂C/∂b^l for every layer."""

    def stepped(values: list[Tensor], slopes: list[Tensor]) -> list[Tensor]:
        return [descent_step(value, slope, learning_rate) for value, slope in zip(values, slopes, strict=True)]

    return Parameters(stepped(parameters.weights, gradient.weights), stepped(parameters.biases, gradient.biases))


def learn_epoch(parameters: Parameters, examples: Examples, recipe: Recipe, generator: torch.Generator) -> Parameters:
    """Return the parameters after one epoch: one step per mini-batch."""
    for indices in shuffled_minibatches(len(examples.inputs), recipe.minibatch_size, generator):
        gradient = cost_gradient(parameters, examples.inputs[indices], examples.targets[indices], recipe.cost)
        parameters = updated(parameters, gradient, recipe.learning_rate)
    return parameters


def accuracy(parameters: Parameters, examples: Examples) -> float:
    """Return the fraction of examples whose outputs are all on the right side of 1/2, between 0 and 1."""
    answers = feed_forward(parameters, examples.inputs).activations[-1] > 0.5  # (N, J)
    return float((answers == (examples.targets > 0.5)).all(dim=1).double().mean())


def learn(parameters: Parameters, examples: Examples, held_out: Examples, recipe: Recipe) -> tuple[Parameters, Course]:
    """Return the parameters after learning, and the course of learning.

    Args:
        parameters: Initial parameters; they stay as they are.
        examples: Training examples.
        held_out: Examples for measuring accuracy only.
        recipe: Settings.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    course = Course([], [], [])
    for epoch in range(recipe.epochs + 1):
        if epoch > 0:
            parameters = learn_epoch(parameters, examples, recipe, generator)
        activations = feed_forward(parameters, examples.inputs).activations[-1]
        course.cost.append(float(recipe.cost.value(activations, examples.targets)))
        course.accuracy.append(accuracy(parameters, examples))
        course.held_out_accuracy.append(accuracy(parameters, held_out))
    return parameters, course


def network_figure(parameters: Parameters, names: Sequence[str]) -> Figure:
    """Draw a network: neurons in columns, positive weights blue, negative weights orange, large weights thick.

    Args:
        parameters: The network.
        names: Names of its inputs.
    """
    sizes = [parameters.weights[0].shape[1], *(len(biases) for biases in parameters.biases)]
    heights = [np.linspace(size - 1, 1 - size, size) / 2 for size in sizes]
    figure, (ax,) = canvas(width=1.8 * len(sizes) + 1, height=2.9)
    for layer, weights in enumerate(parameters.weights):
        for (j, k), width in np.ndenumerate((3 * weights / weights.abs().max()).numpy()):
            ends = (heights[layer][k], heights[layer + 1][j])
            ax.plot((layer, layer + 1), ends, color=BLUE if width > 0 else ORANGE, linewidth=abs(width))
    for layer, column in enumerate(heights):
        ax.scatter([layer] * len(column), column, s=260, color="white", edgecolor=GREY, zorder=3)
        ax.annotate(f"layer {layer + 1}", (layer, max(sizes) / 2), ha="center", color=GREY)
    for height, name in zip(heights[0], names, strict=True):
        ax.annotate(name, (0, height), xytext=(-14, 0), textcoords="offset points", ha="right", va="center")
    bare(ax)
    ax.set(xlim=(-0.9, len(sizes) - 0.7), ylim=(-max(sizes) / 2, max(sizes) / 2 + 0.4))
    return figure


def courses_figure(courses: dict[str, Course]) -> Figure:
    """Draw the cost, the accuracy and the held-out accuracy over the epochs, one line per named course."""
    figure, axes = canvas(3, width=3.1)
    for color, (name, course) in zip(CYCLE, courses.items(), strict=False):
        for ax, values in zip(axes, course, strict=True):
            ax.plot(values, color=color, label=name)
    axes[0].set(title="cost", xlabel="epochs")
    axes[1].set(title="accuracy, training moles", xlabel="epochs", ylim=(0.4, 1))
    axes[2].set(title="accuracy, held-out moles", xlabel="epochs", ylim=(0.4, 1))
    axes[-1].legend(fontsize=8, loc="lower right")
    return figure


def moles_figure(parameters: Parameters, examples: Examples, names: Sequence[str], count: int = 300) -> Figure:
    """Plot moles by their first two traits, coloured by their true class and by the network's output.

    Args:
        parameters: A network with one output.
        examples: Standardised traits `(N, K)`, targets `(N, 1)`.
        names: Names of the traits.
        count: Number of examples to show, from the first on.
    """
    figure, axes = canvas(2, width=4.2, sharey=True)
    inputs, targets = examples.inputs[:count], examples.targets[:count, 0]
    outputs = feed_forward(parameters, inputs).activations[-1][:, 0]
    for ax, values, title in zip(axes, (targets, outputs), ("true class", "network's output"), strict=True):
        dots = ax.scatter(inputs[:, 0], inputs[:, 1], c=values, cmap="coolwarm", vmin=0, vmax=1, s=14, ec=GREY, lw=0.3)
        ax.set(title=title, xlabel=f"{names[0]} (standardised)")
    axes[0].set_ylabel(f"{names[1]} (standardised)")
    figure.colorbar(dots, ax=axes, label="0 benign … 1 malignant")
    return figure
