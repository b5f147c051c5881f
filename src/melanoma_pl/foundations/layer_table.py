"""The three-conv network layer by layer: shape, parameters and receptive field.

Suppose that neighbouring values of a layer lie j pixels of the image apart, and that each depends on a square of side
r. Then a window of side k and stride s gives values that lie j·s apart and depend on a square of side r + (k − 1)·j.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from melanoma_pl.foundations.convolution import frame, output_size
from melanoma_pl.foundations.display import canvas, show_image
from melanoma_pl.messages import format_table
from melanoma_pl.report.figures.canvas import CYCLE


class Layer(NamedTuple):
    """One row of the table.

    Attributes:
        name: The layer's kind.
        shape: Shape of its values for one image: `(channels, height, width)` or `(neurons,)`.
        parameters: Number of learnt parameters.
        receptive_field: Side of the square of the image that one value depends on, pixels.
        jump: Distance between neighbouring values, pixels of the image; 0 for a dense layer.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    receptive_field: int
    jump: int


def windowed(before: Layer, name: str, channels: int, window: int, stride: int, parameters: int) -> Layer:
    """Return a layer whose windows slide over the values of the layer before it.

    Args:
        before: The layer before it.
        name: The layer's kind.
        channels: Number of its channels.
        window: Side of the window, values.
        stride: Distance between neighbouring windows, values.
        parameters: Number of learnt parameters.
    """
    height, width = (output_size(side, window, stride) for side in before.shape[1:])
    receptive_field = before.receptive_field + (window - 1) * before.jump
    return Layer(name, (channels, height, width), parameters, receptive_field, before.jump * stride)


def dense(before: Layer, neurons: int, activation: str) -> Layer:
    """Return a layer in which every neuron has a weight for every value of the layer before it, and a bias."""
    receptive_field = before.receptive_field + (before.shape[-1] - 1) * before.jump
    return Layer(f"dense, {activation}", (neurons,), (prod(before.shape) + 1) * neurons, receptive_field, jump=0)


def three_conv_layers(channels: Sequence[int] = (16, 64, 64), hidden: int = 100, image_size: int = 224) -> list[Layer]:
    """Return the rows of the project's network: convolution and pooling for each of `channels`, then two dense layers.

    Args:
        channels: Channels of each convolution.
        hidden: Neurons of the first dense layer.
        image_size: Side of the image, pixels.
    """
    layers = [Layer("image", (3, image_size, image_size), parameters=0, receptive_field=1, jump=1)]
    for count in channels:
        parameters = (3 * 3 * layers[-1].shape[0] + 1) * count
        layers.append(windowed(layers[-1], "convolution 3×3, ReLU", count, window=3, stride=1, parameters=parameters))
        layers.append(windowed(layers[-1], "max-pooling 2×2", count, window=2, stride=2, parameters=0))
    layers.append(dense(layers[-1], hidden, "ReLU"))
    layers.append(dense(layers[-1], 1, "sigmoid"))
    return layers


def as_text(layers: list[Layer]) -> str:
    """Return the rows as a table of plain text that ends with the sum of the parameters."""
    rows = [("layer", "shape", "parameters", "receptive field")]
    for layer in layers:
        shape, side = " × ".join(map(str, layer.shape)), layer.receptive_field
        rows.append((layer.name, shape, f"{layer.parameters:,}", f"{side} × {side}"))
    rows.append(("total", "", f"{sum(layer.parameters for layer in layers):,}", ""))
    return "\n".join(format_table(rows))


def receptive_fields_figure(image: NDArray[np.uint8], layers: list[Layer]) -> Figure:
    """Draw the receptive field of one value of each convolution and pooling on an image, whole and enlarged.

    Args:
        image: uint8 `(H, W, 3)`, of the size that the layers were made for.
        layers: Rows of the table.
    """
    height, width = image.shape[:2]
    fields = [layer.receptive_field for layer in layers if layer.jump and layer.receptive_field > 1]
    figure, (whole, near) = canvas(2, width=3.6, height=3.9)
    titles = (f"the image, {height}×{width}", "sides in pixels: " + ", ".join(map(str, fields)))
    for ax, title in zip((whole, near), titles, strict=True):
        show_image(ax, image, title)
        for number, side in enumerate(fields):
            frame(ax, (height - side) // 2, (width - side) // 2, side, color=CYCLE[number // 2 % len(CYCLE)])
    near.set_xlim(width // 2 - max(fields), width // 2 + max(fields))
    near.set_ylim(height // 2 + max(fields), height // 2 - max(fields))
    return figure
