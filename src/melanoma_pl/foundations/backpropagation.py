"""Back-propagation in its five steps, over a mini-batch, for a network of any depth.

Nielsen, *Neural Networks and Deep Learning*, chapter 2. Layers are counted from l = 1 (the inputs) to L; the lists here
begin with the first layer that has weights, so ``weights[0]`` is w², while ``activations[0]`` is a¹, the inputs.

What PyTorch computes, to set beside what this package computes by hand.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from melanoma_pl.foundations.costs import Cost
from melanoma_pl.foundations.equations import bias_gradient, hidden_error, weight_gradient
from melanoma_pl.foundations.neurons import sigmoid, weighted_inputs


class Parameters(NamedTuple):
    """The weights and biases of a network, or a gradient, which has the same shapes.

    Attributes:
        weights: w², …, w^L, float `(J, K)` each.
        biases: b², …, b^L, float `(J,)` each.
    """

    weights: list[Tensor]
    biases: list[Tensor]


class Signals(NamedTuple):
    """What flows through a network on the way forward.

    Attributes:
        weighted_inputs: z², …, z^L, float `(N, J)` each.
        activations: a¹ (the inputs), a², …, a^L, float `(N, J)` each.
    """

    weighted_inputs: list[Tensor]
    activations: list[Tensor]


def feed_forward(parameters: Parameters, inputs: Tensor) -> Signals:
    """Return z^l = w^l a^{l−1} + b^l and a^l = σ(z^l) for l = 2, …, L.

    Args:
        parameters: The network.
        inputs: a¹, float `(N, K)`.
    """
    signals = Signals([], [inputs])
    for weights, biases in zip(parameters.weights, parameters.biases, strict=True):
        signals.weighted_inputs.append(weighted_inputs(signals.activations[-1], weights, biases))
        signals.activations.append(sigmoid(signals.weighted_inputs[-1]))
    return signals


def propagate_back(parameters: Parameters, signals: Signals, last_error: Tensor) -> list[Tensor]:
    """Return the errors δ², …, δ^L, float `(N, J)` each, from the last one by BP2.

    Args:
        parameters: The network.
        signals: What flowed forward.
        last_error: δ^L, float `(N, J)`.
    """
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
        cost: Which C.

    Returns:
        The gradient of C over the mini-batch, in the parameters' shapes.
    """
    signals = feed_forward(parameters, inputs)  # steps 1 and 2
    last_error = cost.output_error(signals.weighted_inputs[-1], targets)  # step 3
    errors = propagate_back(parameters, signals, last_error)  # step 4
    entered = signals.activations[:-1]  # step 5
    return Parameters(
        weights=[weight_gradient(error, activations) for error, activations in zip(errors, entered, strict=True)],
        biases=[bias_gradient(error) for error in errors],
    )


def autograd_gradient(parameters: Parameters, inputs: Tensor, targets: Tensor, cost: Cost) -> Parameters:
    """Return the gradient that PyTorch's autograd finds by recording the forward pass and nothing else.

    Args:
        parameters: The network; left as it is.
        inputs: float `(N, K)`.
        targets: y, float `(N, J)`.
        cost: Which C; only its value is used.

    Returns:
        The gradient of C, in the parameters' shapes.
    """
    followed = Parameters(
        [weights.detach().clone().requires_grad_() for weights in parameters.weights],
        [biases.detach().clone().requires_grad_() for biases in parameters.biases],
    )
    cost.value(feed_forward(followed, inputs).activations[-1], targets).backward()  # type: ignore[no-untyped-call]
    return Parameters([_grad(weights) for weights in followed.weights], [_grad(biases) for biases in followed.biases])


def _grad(leaf: Tensor) -> Tensor:
    """Return a leaf's gradient, zeros where the cost does not depend on it."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def flattened(parameters: Parameters) -> Tensor:
    """Return all weights, then all biases, layer after layer, as one float `(P,)`."""
    return torch.cat([values.flatten() for values in (*parameters.weights, *parameters.biases)])


def largest_difference(ours: Tensor | Iterable[Tensor], theirs: Tensor | Iterable[Tensor]) -> float:
    """Return the largest absolute difference between two tensors, or two sequences of tensors of equal shapes.

    Raises:
        ValueError: Two tensors differ in shape, which broadcasting would hide.
    """
    pairs = zip(
        [ours] if isinstance(ours, Tensor) else ours, [theirs] if isinstance(theirs, Tensor) else theirs, strict=True
    )
    largest = 0.0
    for our, their in pairs:
        if our.shape != their.shape:
            raise ValueError(f"shapes differ: {tuple(our.shape)} and {tuple(their.shape)}")
        largest = max(largest, float((our - their).abs().max()))
    return largest
