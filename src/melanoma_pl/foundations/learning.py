"""Examples to learn from: moles described by a few numbers, brought to one scale.

Learning: back-propagation and gradient descent by mini-batches, over and over.

Nielsen, *Neural Networks and Deep Learning*, chapters 1 (the algorithm) and 3 (where to start from).

Pictures of back-propagation and of a network that learns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.backpropagation import Parameters, cost_gradient, feed_forward, propagate_back
from melanoma_pl.foundations.costs import CROSS_ENTROPY, Cost
from melanoma_pl.foundations.descent import descent_step
from melanoma_pl.foundations.surfaces import shuffled_minibatches
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREY, ORANGE, bare, canvas


class Examples(NamedTuple):
    """What a network learns from, or is judged on.

    Attributes:
        inputs: float `(N, K)`, standardised: mean near 0 and deviation near 1 in every column.
        targets: float `(N, J)`, 0 or 1.
    """

    inputs: Tensor
    targets: Tensor


def standardised(traits: Tensor, reference: Tensor) -> Tensor:
    """Return (x − mean) / deviation, each column's mean and deviation being those of `reference`.

    Traits have units of their own (millimetres, a count of colours); unscaled, the largest would saturate every neuron.
    The reference is the examples learnt from, for the held-out ones as well: nothing may be learnt from those.

    Args:
        traits: float `(N, K)`.
        reference: float `(M, K)`, no column constant.

    Returns:
        float `(N, K)`.
    """
    return (traits - reference.mean(dim=0)) / reference.std(dim=0)


def as_examples(traits: NDArray[np.float64], labels: NDArray[np.int64], reference: NDArray[np.float64]) -> Examples:
    """Return drawn or measured moles as examples for a network with one output.

    Args:
        traits: float64 `(N, K)`, each column in its own unit.
        labels: int64 `(N,)`, 1 for malignant.
        reference: Traits of the moles that are learnt from, float64 `(M, K)`; see `standardised`.

    Returns:
        Inputs float64 `(N, K)`, targets float64 `(N, 1)`.
    """
    inputs = standardised(torch.from_numpy(traits), torch.from_numpy(reference))
    return Examples(inputs, torch.from_numpy(labels).double()[:, None])


@dataclass(frozen=True)
class Recipe:
    """How to learn.

    Attributes:
        cost: What to descend.
        learning_rate: η, > 0.
        minibatch_size: Examples a step, ≥ 1.
        epochs: How often each example is used.
        seed: Of the examples' order.
    """

    cost: Cost = CROSS_ENTROPY
    learning_rate: float = 0.5
    minibatch_size: int = 10
    epochs: int = 30
    seed: int = 0


@dataclass
class Course:
    """How learning went: one number before the first epoch and one after each.

    Attributes:
        cost: C on the examples learnt from.
        accuracy: Share of right answers on them, between 0 and 1.
        held_out_accuracy: The same on examples never learnt from.
    """

    cost: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    held_out_accuracy: list[float] = field(default_factory=list)


def initial_parameters(sizes: list[int], seed: int) -> Parameters:
    """Return a network's parameters to start from, float64: weights N(0, 1/K), K inputs a neuron; biases N(0, 1).

    With deviation 1/√K a neuron's weighted input has about deviation 1 whatever K, so that no sigmoid starts saturated.

    Args:
        sizes: Neurons in layers 1, …, L, such as ``[4, 6, 1]``.
        seed: Of the random numbers.
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
    return Parameters(
        *(
            [descent_step(value, slope, learning_rate) for value, slope in zip(values, slopes, strict=True)]
            for values, slopes in zip(parameters, gradient, strict=True)
        )
    )


def learn_epoch(parameters: Parameters, examples: Examples, recipe: Recipe, generator: torch.Generator) -> Parameters:
    """Return the parameters after one step for each mini-batch of one epoch."""
    for indices in shuffled_minibatches(len(examples.inputs), recipe.minibatch_size, generator):
        gradient = cost_gradient(parameters, examples.inputs[indices], examples.targets[indices], recipe.cost)
        parameters = updated(parameters, gradient, recipe.learning_rate)
    return parameters


def accuracy(parameters: Parameters, examples: Examples) -> float:
    """Return the share of examples with every output on the right side of 1/2, between 0 and 1."""
    answers = feed_forward(parameters, examples.inputs).activations[-1] > 0.5  # (N, J)
    return float((answers == (examples.targets > 0.5)).all(dim=1).double().mean())


def learn(parameters: Parameters, examples: Examples, held_out: Examples, recipe: Recipe) -> tuple[Parameters, Course]:
    """Return the parameters after learning, and how it went.

    Args:
        parameters: Where to start; left as they are.
        examples: To learn from.
        held_out: Only looked at, never learnt from.
        recipe: How to learn.
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    course = Course()
    _note(course, parameters, examples, held_out, recipe.cost)
    for _ in range(recipe.epochs):
        parameters = learn_epoch(parameters, examples, recipe, generator)
        _note(course, parameters, examples, held_out, recipe.cost)
    return parameters, course


def _note(course: Course, parameters: Parameters, examples: Examples, held_out: Examples, cost: Cost) -> None:
    """Append the present figures to the course."""
    activations = feed_forward(parameters, examples.inputs).activations[-1]
    course.cost.append(float(cost.value(activations, examples.targets)))
    course.accuracy.append(accuracy(parameters, examples))
    course.held_out_accuracy.append(accuracy(parameters, held_out))


def network_figure(parameters: Parameters, names: Sequence[str]) -> Figure:
    """Return a network as a drawing: neurons in columns, positive weights blue, negative ones orange, thick ones large.

    Args:
        parameters: The network.
        names: Of its inputs.
    """
    sizes = [parameters.weights[0].shape[1], *(len(biases) for biases in parameters.biases)]
    heights = [torch.linspace(size - 1, 1 - size, size) / 2 for size in sizes]
    figure, (ax,) = canvas(width=1.8 * len(sizes) + 1, height=2.9)
    for layer, weights in enumerate(parameters.weights):
        widths = 3 * weights.abs() / weights.abs().max()
        for j, k in torch.cartesian_prod(torch.arange(sizes[layer + 1]), torch.arange(sizes[layer])).tolist():
            ends = (float(heights[layer][k]), float(heights[layer + 1][j]))
            ax.plot((layer, layer + 1), ends, color=BLUE if weights[j, k] > 0 else ORANGE, linewidth=widths[j, k])
    for layer, places in enumerate(heights):
        ax.scatter([layer] * len(places), places, s=260, color="white", edgecolor=GREY, zorder=3)
    for place, name in zip(heights[0], names, strict=True):
        ax.annotate(name, (0, float(place)), xytext=(-14, 0), textcoords="offset points", ha="right", va="center")
    bare(ax)
    ax.set_xlim(-0.9, len(sizes) - 0.7)
    ax.set_title("  →  ".join(f"layer {number}" for number in range(1, len(sizes) + 1)), fontsize=9)
    return figure


def agreement_figure(ours: Tensor, theirs: Tensor) -> Figure:
    """Return each derivative by hand against the same by autograd, float `(P,)`: equal ones lie on the diagonal."""
    figure, (ax,) = canvas(width=3.8, height=3.6)
    reach = float(theirs.abs().max()) * 1.1
    ax.plot((-reach, reach), (-reach, reach), color=GREY, linewidth=0.8)
    ax.plot(theirs, ours, "o", color=BLUE, markersize=4, alpha=0.6)
    ax.set(xlabel="autograd", ylabel="four equations", xlim=(-reach, reach), ylim=(-reach, reach))
    ax.set_title(f"{len(ours)} derivatives", fontsize=9)
    return figure


def courses_figure(courses: dict[str, Course]) -> Figure:
    """Return the cost, the accuracy and the held-out accuracy over the epochs, a line for each named course."""
    figure, axes = canvas(3, width=3.6)
    for color, (name, course) in zip(CYCLE, courses.items(), strict=False):
        for ax, values in zip(axes, (course.cost, course.accuracy, course.held_out_accuracy), strict=True):
            ax.plot(values, color=color, label=name)
    titles = ("cost", "accuracy, moles learnt from", "accuracy, held-out moles")
    for ax, title in zip(axes, titles, strict=True):
        ax.set(title=title, xlabel="epochs")
    for ax in axes[1:]:
        ax.set_ylim(0.4, 1)
    axes[-1].legend(fontsize=8, loc="lower right")
    return figure


def error_sizes_figure(networks: list[Parameters], examples: Examples, cost: Cost) -> Figure:
    """Return how large the errors δ^l are, layer by layer, in untrained networks that differ in depth.

    Args:
        networks: Each begins a line.
        examples: What they are shown.
        cost: Where the last layer's error comes from.
    """
    figure, (ax,) = canvas(width=5.5)
    for color, parameters in zip(CYCLE, networks, strict=False):
        signals = feed_forward(parameters, examples.inputs)
        last_error = cost.output_error(signals.weighted_inputs[-1], examples.targets)
        errors = propagate_back(parameters, signals, last_error)
        layers = range(2, len(errors) + 2)
        sizes = [float((error**2).mean().sqrt()) for error in errors]
        ax.plot(layers, sizes, "o-", color=color, label=f"L = {layers[-1]}")
    ax.set(xlabel="layer l", ylabel="size of δ^l (root mean square)", yscale="log")
    ax.legend(fontsize=8)
    return figure


def moles_figure(parameters: Parameters, examples: Examples, names: Sequence[str], count: int = 300) -> Figure:
    """Return moles by their first two traits: beside what they are, what the network thinks of them.

    Args:
        parameters: The network, with one output.
        examples: Standardised traits `(N, K)`, targets `(N, 1)`.
        names: Of the traits.
        count: How many of the examples to show, from the first.
    """
    figure, axes = canvas(2, width=4.2, sharey=True)
    inputs, targets = examples.inputs[:count], examples.targets[:count, 0]
    answers = feed_forward(parameters, inputs).activations[-1][:, 0]
    for ax, values, title in zip(axes, (targets, answers), ("drawn as", "answered"), strict=True):
        traits = inputs[:, 0], inputs[:, 1]
        dots = ax.scatter(*traits, c=values, cmap="coolwarm", vmin=0, vmax=1, s=14, edgecolor=GREY, linewidth=0.3)
        ax.set(title=title, xlabel=f"{names[0]} (standardised)")
    axes[0].set_ylabel(f"{names[1]} (standardised)")
    figure.colorbar(dots, ax=axes, label="benign 0 … malignant 1")
    return figure
