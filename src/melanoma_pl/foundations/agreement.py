"""What PyTorch computes, to set beside what this package computes by hand."""

from collections.abc import Iterable

import torch
from torch import Tensor

from melanoma_pl.foundations.backpropagation import Parameters, feed_forward
from melanoma_pl.foundations.costs import Cost


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
