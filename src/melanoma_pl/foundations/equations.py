"""The four equations of back-propagation, as four functions.

Nielsen, *Neural Networks and Deep Learning*, chapter 2, BP1 to BP4. The error of neuron j in layer l is
δ^l_j = ∂C/∂z^l_j, for one example; the examples of a mini-batch are rows. As C is the mean of the examples' costs C_x,
the gradient of C is the mean of theirs: BP3 and BP4 take it over the rows.

All four follow from the chain rule and z^l_j = Σ_k w^l_jk a^{l−1}_k + b^l_j, a^l_j = σ(z^l_j).
"""

import torch
from torch import Tensor

from melanoma_pl.foundations.neurons import sigmoid_derivative


def output_error(cost_gradient: Tensor, weighted_inputs: Tensor) -> Tensor:
    """Return the error of the last layer, δ^L = ∇_a C ⊙ σ′(z^L) (BP1).

    Proof: δ^L_j = ∂C/∂z^L_j = Σ_k ∂C/∂a^L_k ∂a^L_k/∂z^L_j. Since a^L_k depends on z^L_k alone, only k = j is left:
    ∂C/∂a^L_j ∂a^L_j/∂z^L_j = ∂C/∂a^L_j σ′(z^L_j).

    Args:
        cost_gradient: ∇_a C_x, float `(N, J)`.
        weighted_inputs: z^L, float `(N, J)`.

    Returns:
        δ^L, float `(N, J)`.
    """
    return cost_gradient * sigmoid_derivative(weighted_inputs)


def hidden_error(next_error: Tensor, next_weights: Tensor, weighted_inputs: Tensor) -> Tensor:
    """Return the error of a layer from that of the next one, δ^l = ((w^{l+1})ᵀ δ^{l+1}) ⊙ σ′(z^l) (BP2).

    Proof: C depends on z^l_j through every z^{l+1}_k, so δ^l_j = Σ_k ∂C/∂z^{l+1}_k ∂z^{l+1}_k/∂z^l_j.
    The first factor is δ^{l+1}_k. As z^{l+1}_k = Σ_i w^{l+1}_ki σ(z^l_i) + b^{l+1}_k, the second is
    w^{l+1}_kj σ′(z^l_j).

    Args:
        next_error: δ^{l+1}, float `(N, I)`.
        next_weights: w^{l+1}, float `(I, J)`. Rows are examples, so that the product needs no transpose.
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
