"""The kernels of a network as images, the feature maps of its layers, and the parts of images that excite them."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.display import DOTS_PER_INCH, WIDTH, canvas, show_image, tiled
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet

LAYERS = {"first layer": "pool_1", "second layer": "pool_2", "third layer": "pool_3"}
"""Title of each layer → the module of `ThreeConvNet` whose output, after ReLU, is the layer's feature maps."""

ACTIVE = 0.1  # of the largest variation across positions: below it, a map is nearly the same everywhere


def first_kernels(network: ThreeConvNet) -> Tensor:
    """Return a copy of the first layer's kernels, float32 `(O, 3, 3, 3)`: O kernels with slices for R, G and B."""
    return network.conv_1.weight.detach().clone()


def as_colours(kernels: Tensor) -> Tensor:
    """Return kernels as colours: grey (0.5) where a weight is 0, brighter in a channel where it is positive.

    Args:
        kernels: float `(O, 3, H, W)`, none all 0. Each has a scale of its own.

    Returns:
        float `(O, H, W, 3)` in [0, 1].
    """
    return (0.5 + 0.5 * kernels / kernels.abs().amax(dim=(1, 2, 3), keepdim=True)).permute(0, 2, 3, 1)


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


def distinct_channels(maps: Tensor, count: int) -> Tensor:
    """Return active channels that differ from each other.

    The first is the one that varies most. Each further one is the active channel whose largest correlation with those
    before it is smallest.

    Args:
        maps: float `(N, C, H, W)`.
        count: Largest number of channels.

    Returns:
        Channels, int64 `(count,)`, or fewer where fewer are active.
    """
    spread = maps.std(dim=(-2, -1)).mean(dim=0)  # (C,), across positions
    active = torch.nonzero(spread >= ACTIVE * spread.max()).flatten()
    correlations = torch.corrcoef(maps[:, active].transpose(0, 1).flatten(1))
    chosen = [int(spread[active].argmax())]
    while len(chosen) < min(count, len(active)):
        nearest = correlations[chosen].amax(dim=0)
        nearest[chosen] = torch.inf
        chosen.append(int(nearest.argmin()))
    return active[chosen]


def silent_fraction(maps: Tensor) -> float:
    """Return the fraction of channels that are 0 at every position of every image, for maps float `(N, C, H, W)`."""
    return float((maps.amax(dim=(0, 2, 3)) == 0).float().mean())


def exciting_patches(
    images: NDArray[np.uint8], maps: Tensor, channels: Tensor, field: int, jump: int, count: int = 9
) -> NDArray[np.uint8]:
    """Return the parts of images to which channels respond most strongly, one part an image.

    Args:
        images: uint8 `(N, S, S, 3)`.
        maps: Responses of a layer to these images, float `(N, C, H, W)`.
        channels: Channels to examine, int64 `(K,)`.
        field: Side of the receptive field of a response, pixels.
        jump: Distance between the receptive fields of neighbouring responses, pixels.
        count: Number of parts, at most N, strongest response first.

    Returns:
        uint8 `(K, count, field, field, 3)`.
    """
    strongest, positions = maps[:, channels].flatten(2).max(dim=2)  # (N, K) each
    found = np.empty((len(channels), count, field, field, 3), np.uint8)
    for channel, order in enumerate(strongest.topk(count, dim=0).indices.T.tolist()):
        for number, image in enumerate(order):
            row, column = divmod(int(positions[image, channel]), maps.shape[-1])
            rows, columns = slice(row * jump, row * jump + field), slice(column * jump, column * jump + field)
            found[channel, number] = images[image, rows, columns]
    return found


def kernels_figure(rows: Mapping[str, Tensor], gap: int = 1) -> Figure:
    """Draw rows of magnified kernels, or of what belongs to them, one column a kernel.

    Args:
        rows: Title → weights, float `(O, H, W)`, red where positive, blue where negative and white at 0, on one scale a
            row; or colours in [0, 1], float `(O, H, W, 3)`.
        gap: Width of the gaps, in weights.
    """
    (count,) = {len(each) for each in rows.values()}
    figure, axes = canvas(1, width=WIDTH, height=len(rows) * (WIDTH - 1.7) / count, rows=len(rows))
    for ax, (title, each) in zip(axes, rows.items(), strict=True):
        reach = float(each.abs().max())
        show_image(ax, tiled(each.numpy(), count, gap), "", cmap="RdBu_r", vmin=-reach, vmax=reach)
        ax.set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
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
    height = len(images) * (rows * WIDTH / (rows + columns) + 0.45)
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH, layout="constrained")
    grid = figure.subplots(len(images), 2, width_ratios=(rows, columns), squeeze=False)
    for (left, right), (title, image), values in zip(grid, images.items(), shown.numpy(), strict=True):
        show_image(left, image, "")
        left.set_title(title, fontsize=9, loc="left")  # it may be wider than the image
        show_image(right, tiled(values, columns, gap=2), "", cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    return figure
