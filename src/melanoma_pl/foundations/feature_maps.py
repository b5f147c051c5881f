"""The first kernels of a trained network as small colour images, and the feature maps of its layers."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.display import show_image, tiled
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.report.figures.canvas import DOTS_PER_INCH, canvas

LAYERS = {"first layer": "pool_1", "second layer": "pool_2", "third layer": "pool_3"}
"""Title of each layer → the module of `ThreeConvNet` whose output, after ReLU, is the layer's feature maps."""


def first_kernels(network: ThreeConvNet) -> Tensor:
    """Return a copy of the first layer's kernels, float32 `(O, 3, 3, 3)`: O kernels with sheets for R, G and B."""
    return network.conv_1.weight.detach().clone()


def as_colours(kernels: Tensor) -> Tensor:
    """Return kernels as colours: grey (0.5) where a weight is 0, brighter in a channel where it is positive.

    Args:
        kernels: float `(O, 3, H, W)`, not all 0. All share one scale, so strong and weak kernels can be compared.

    Returns:
        float `(O, H, W, 3)` in [0, 1].
    """
    return (0.5 + 0.5 * kernels / kernels.abs().max()).permute(0, 2, 3, 1)


def feature_maps(classifier: MelanomaClassifier, pixels: Tensor) -> dict[str, Tensor]:
    """Return the feature maps of the three layers, each after convolution, pooling and ReLU.

    Args:
        classifier: Classifier around a `ThreeConvNet`, in evaluation mode.
        pixels: uint8 `(N, 3, S, S)`.

    Returns:
        Titles as in `LAYERS` → float32 `(N, C, H, W)`, at least 0.
    """
    maps: dict[str, Tensor] = {}

    def record(title: str, layer: Any, inputs: Any, output: Tensor) -> None:
        maps[title] = torch.relu(output)

    with torch.inference_mode(), ExitStack() as hooks:
        for title, name in LAYERS.items():
            handle = classifier.network.get_submodule(name).register_forward_hook(partial(record, title))
            hooks.callback(handle.remove)
        classifier(pixels)
    return maps


def liveliest(maps: Tensor, count: int) -> Tensor:
    """Return the channels whose values vary most across positions, most variable first.

    Args:
        maps: float `(N, C, H, W)`.
        count: Number of channels, at most C.

    Returns:
        Channels, int64 `(count,)`.
    """
    return maps.std(dim=(-2, -1)).mean(dim=0).topk(count).indices


def silent_fraction(maps: Tensor) -> float:
    """Return the fraction of channels that are 0 at every position of every image, for maps float `(N, C, H, W)`."""
    return float((maps.amax(dim=(0, 2, 3)) == 0).float().mean())


def kernels_figure(kernels: Mapping[str, Tensor], columns: int = 8) -> Figure:
    """Draw groups of kernels as coloured tiles.

    Args:
        kernels: Title → float `(O, 3, H, W)`; each group has a scale of its own.
        columns: Tiles per row.
    """
    figure, axes = canvas(len(kernels), width=3.6, height=1.5)
    for ax, (title, each) in zip(axes, kernels.items(), strict=True):
        show_image(ax, tiled(as_colours(each).numpy(), columns), title, interpolation="nearest")
    return figure


def maps_figure(images: Mapping[str, NDArray[np.uint8]], maps: Tensor, channels: Tensor, columns: int = 8) -> Figure:
    """Draw images, each beside the same channels of a layer's feature maps.

    A channel has one scale for all images, with black for 0, so that the images can be compared.

    Args:
        images: Title → uint8 `(S, S, 3)`.
        maps: float `(N, C, H, W)`, at least 0, of the same images.
        channels: Channels to draw, int64 `(K,)`.
        columns: Tiles per row.
    """
    shown = maps[:, channels]
    shown = shown / shown.amax(dim=(0, 2, 3), keepdim=True).clamp(min=1e-12)  # (N, K, H, W)
    rows = -(-len(channels) // columns)
    figure = Figure(figsize=(6.8, len(images) * (rows * 0.66 + 0.25)), dpi=DOTS_PER_INCH, layout="constrained")
    grid = figure.subplots(len(images), 2, width_ratios=(rows, columns), squeeze=False)
    for (left, right), (title, image), values in zip(grid, images.items(), shown.numpy(), strict=True):
        show_image(left, image, title)
        show_image(right, tiled(values, columns, gap=2), "", cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    return figure
