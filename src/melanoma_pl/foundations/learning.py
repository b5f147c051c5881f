"""Learning: back-propagation and gradient descent by mini-batches, over and over.

Nielsen, *Neural Networks and Deep Learning*, chapters 1 (the algorithm) and 3 (where to start from).
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch

from melanoma_pl.foundations.backpropagation import Parameters, cost_gradient, feed_forward
from melanoma_pl.foundations.costs import CROSS_ENTROPY, Cost
from melanoma_pl.foundations.descent import descent_step
from melanoma_pl.foundations.examples import Examples
from melanoma_pl.foundations.minibatches import shuffled_minibatches


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
