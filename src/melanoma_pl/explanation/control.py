"""Does a heat map say anything about what was learnt? The check of Adebayo et al.

"Sanity Checks for Saliency Maps", NeurIPS 2018: if a network whose last layers were shuffled draws the same map, the
map shows edges of the photo, not what the network learnt.
"""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.features import last_convolution


def shuffled(classifier: MelanomaClassifier, seed: int = 0) -> MelanomaClassifier:
    """Return a copy whose last convolution, and all layers defined after it, have their weights shuffled.

    Each neuron's (filter's) weights are permuted among themselves, so that the copy differs only in what it learnt:
    shuffled across neurons, weights whose mean is a little below zero silence every neuron of a wide dense layer
    behind ReLUs, and a dead network's empty map is no control. Biases and scales of normalisation belong to a neuron
    and stay. In a vision transformer all blocks come after the one convolution: the whole network is shuffled.

    Args:
        classifier: Left as it is.
        seed: Of the permutations.

    Returns:
        In evaluation mode, on the same device, with the same preprocessing, temperature and threshold.

    Raises:
        ValueError: If the network has no convolution.
    """
    network = copy.deepcopy(classifier.network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in _last_weights(network):
            rows = weights.flatten(1)  # (neurons, weights of each)
            order = torch.rand(rows.shape, generator=generator).argsort(dim=1)
            weights.copy_(rows.gather(1, order.to(rows.device)).view_as(weights))
    control = MelanomaClassifier(
        network, preprocessing=classifier.preprocessing, class_names=classifier.class_names, fit_decision=False
    )
    control.temperature, control.threshold = classifier.temperature, classifier.threshold
    return control.to(classifier.device).eval()


def _last_weights(network: nn.Module) -> Iterator[nn.Parameter]:
    convolution = last_convolution(network)
    if convolution is None:
        raise ValueError(f"{type(network).__name__} has no convolution: there is no map to check")
    modules = list(network.modules())
    for module in modules[modules.index(convolution) :]:
        yield from (parameter for parameter in module.parameters(recurse=False) if parameter.ndim > 1)


def likeness(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    """Return the rank correlation (Spearman) of two maps: 1 is the same order of places, 0 none, -1 the reverse.

    Args:
        first: Float `(S, S)`.
        second: Float `(S, S)`.

    Returns:
        In [-1, 1]; None where one of the maps is the same everywhere and so has no order.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)
