"""Examples to learn from: moles described by a few numbers, brought to one scale."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
