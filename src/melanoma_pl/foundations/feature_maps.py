"""What a trained network sees: its first kernels as small colour pictures, and what its layers answer to an image.

Pictures of what a network has learnt to look for, and of what it answers to an image.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from melanoma_pl.foundations.filters import tiled
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.report.figures.canvas import DOTS_PER_INCH, bare, canvas

LAYERS = {"first layer": "pool_1", "second layer": "pool_2", "third layer": "pool_3"}
"""Title → the module of `ThreeConvNet` whose answers are a layer's, once ReLU has cut off what is below 0."""


def first_kernels(network: ThreeConvNet) -> Tensor:
    """Return a copy of the kernels that see the image itself, float32 `(O, 3, 3, 3)`: O kernels of R, G, B sheets."""
    return network.conv_1.weight.detach().clone()


def as_colours(kernels: Tensor) -> Tensor:
    """Return kernels as colours: grey (0.5) where a weight is 0, brighter in a channel where it is positive.

    Args:
        kernels: float `(O, 3, H, W)`, not all 0; all share one scale, so that strong and weak kernels look it.

    Returns:
        float `(O, H, W, 3)` in [0, 1].
    """
    return (0.5 + 0.5 * kernels / kernels.abs().max()).permute(0, 2, 3, 1)


def feature_maps(classifier: MelanomaClassifier, pixels: Tensor) -> dict[str, Tensor]:
    """Return what the three layers answer to images, each after convolution, pooling and ReLU.

    Args:
        classifier: Around a `ThreeConvNet`, in evaluation mode.
        pixels: uint8 `(N, 3, S, S)`.

    Returns:
        Titles as in `LAYERS`, each float32 `(N, C, H, W)`, at least 0.
    """
    heard: dict[str, Tensor] = {}
    with torch.inference_mode(), listening(classifier.network, heard):
        classifier(pixels)
    return heard


@contextmanager
def listening(network: nn.Module, heard: dict[str, Tensor]) -> Iterator[None]:
    """Keep what each layer of a `ThreeConvNet` answers in `heard`, by forward hooks that are taken off again."""
    handles = [
        network.get_submodule(name).register_forward_hook(recorder(title, heard)) for title, name in LAYERS.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def recorder(title: str, heard: dict[str, Tensor]) -> Any:
    """Return a forward hook that keeps what a layer answers, after the ReLU that follows it, under a title."""

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], answers: Tensor) -> None:
        heard[title] = torch.relu(answers)

    return record


def liveliest(maps: Tensor, count: int) -> Tensor:
    """Return the channels whose answers vary most from place to place, most first.

    Args:
        maps: float `(N, C, H, W)`.
        count: How many, at most C.

    Returns:
        Channels, int64 `(count,)`.
    """
    return maps.std(dim=(-2, -1)).mean(dim=0).topk(count).indices


def silent_fraction(maps: Tensor) -> float:
    """Return the share of channels that answer 0 to every place of every image, float `(N, C, H, W)`."""
    return float((maps.amax(dim=(0, 2, 3)) == 0).float().mean())


def kernels_figure(kernels: Mapping[str, Tensor], columns: int = 8) -> Figure:
    """Return sets of kernels as tiles of colours.

    Args:
        kernels: Title → float `(O, 3, H, W)`; each set has a scale of its own.
        columns: Of the tiles.
    """
    figure, axes = canvas(len(kernels), width=3.6, height=1.5)
    for ax, (title, each) in zip(axes, kernels.items(), strict=True):
        field = tiled(as_colours(each).numpy(), columns)
        ax.imshow(np.nan_to_num(field, nan=1.0), interpolation="nearest")
        ax.set_title(title, fontsize=9)
        bare(ax)
    return figure


def maps_figure(
    images: Mapping[str, NDArray[np.uint8]], maps: Tensor, channels: Tensor, columns: int = 8, gap: int = 2
) -> Figure:
    """Return images, each beside the same channels of what a layer answers to it.

    A channel has one scale for all images, black for 0, so that one can compare downwards.

    Args:
        images: Title → uint8 `(S, S, 3)`.
        maps: float `(N, C, H, W)`, at least 0, of the same images.
        channels: Which to show, int64 `(K,)`.
        columns: Of the tiles.
        gap: Between tiles, in pixels of the maps.
    """
    shown = maps[:, channels]
    shown = shown / shown.amax(dim=(0, 2, 3), keepdim=True).clamp(min=1e-12)  # (N, K, H, W)
    rows = -(-len(channels) // columns)
    figure = Figure(figsize=(6.8, len(images) * (rows * 0.66 + 0.25)), dpi=DOTS_PER_INCH, layout="constrained")
    grid = figure.subplots(len(images), 2, width_ratios=(rows, columns), squeeze=False)
    for (left, right), (title, image), answers in zip(grid, images.items(), shown.numpy(), strict=True):
        left.imshow(image)
        left.set_title(title, fontsize=9)
        right.imshow(tiled(answers, columns, gap), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        bare(left)
        bare(right)
    return figure
