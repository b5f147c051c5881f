"""The three-conv network layer by layer: shape, parameters, and how much of the image one value sees.

For a window of side k that moves by s, over a layer whose values are j pixels of the image apart and each see r pixels:
the values of the next layer are j·s apart and see r + (k − 1)·j.

Pictures of kernels, pooling and receptive fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.convolution import convolve, max_pool, max_pool_gradient, output_size
from melanoma_pl.report.figures.canvas import CYCLE, RED, bare, canvas


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    Attributes:
        name: What the layer is.
        shape: Of its values for one image: `(channels, height, width)` or `(neurons,)`.
        parameters: How many numbers it learns.
        sees: Receptive field: the side, in pixels of the image, of what one value depends on.
        apart: How many pixels of the image lie between two neighbouring values; 0 where there are no neighbours.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    sees: int
    apart: int


def convolution(before: Layer, channels: int, kernel: int = 3) -> Layer:
    """Return a convolution of stride 1: (k·k·C + 1) parameters for each of its channels."""
    entering, height, width = before.shape
    return Layer(
        name=f"convolution {kernel}×{kernel}, ReLU",
        shape=(channels, output_size(height, kernel), output_size(width, kernel)),
        parameters=(kernel * kernel * entering + 1) * channels,
        sees=before.sees + (kernel - 1) * before.apart,
        apart=before.apart,
    )


def pooling(before: Layer, size: int = 2) -> Layer:
    """Return a max-pooling: nothing to learn, a quarter of the values for 2×2."""
    channels, height, width = before.shape
    return Layer(
        name=f"max-pooling {size}×{size}",
        shape=(channels, output_size(height, size, size), output_size(width, size, size)),
        parameters=0,
        sees=before.sees + (size - 1) * before.apart,
        apart=before.apart * size,
    )


def dense(before: Layer, neurons: int, activation: str) -> Layer:
    """Return a layer in which every neuron has a weight for every value before it, and a bias."""
    side = before.shape[-1] if len(before.shape) == 3 else 1
    return Layer(
        name=f"dense, {activation}",
        shape=(neurons,),
        parameters=(prod(before.shape) + 1) * neurons,
        sees=before.sees + (side - 1) * before.apart,
        apart=0,
    )


def three_conv_layers(
    channels: tuple[int, ...] = (16, 64, 64), hidden: int = 100, image_size: int = 224
) -> list[Layer]:
    """Return the rows of the project's network: convolution and pooling for each of `channels`, then two dense layers.

    Args:
        channels: Of each convolution.
        hidden: Neurons of the first dense layer.
        image_size: The image's side, pixels.
    """
    layers = [Layer("image", (3, image_size, image_size), parameters=0, sees=1, apart=1)]
    for count in channels:
        layers.append(convolution(layers[-1], count))
        layers.append(pooling(layers[-1]))
    layers.append(dense(layers[-1], hidden, "ReLU"))
    layers.append(dense(layers[-1], 1, "sigmoid"))
    return layers


def as_text(layers: list[Layer]) -> str:
    """Return the rows as a table of plain text, with the sum of the parameters."""
    lines = [f"{'layer':<24}{'shape':>16}{'parameters':>14}{'sees (pixels)':>16}"]
    for layer in layers:
        shape = " × ".join(map(str, layer.shape))
        lines.append(f"{layer.name:<24}{shape:>16}{layer.parameters:>14,}{f'{layer.sees} × {layer.sees}':>16}")
    lines.append(f"{'together':<40}{sum(layer.parameters for layer in layers):>14,}")
    return "\n".join(lines)


def draw_numbers(ax: Axes, values: Tensor, title: str) -> None:
    """Draw a small matrix, float `(H, W)`, as shades with each number written into its square."""
    reach = float(values.abs().max()) or 1.0
    ax.imshow(values.numpy(), cmap="coolwarm", vmin=-1.6 * reach, vmax=1.6 * reach)
    for row, numbers in enumerate(values.tolist()):
        for column, number in enumerate(numbers):
            ax.text(column, row, f"{number:g}", ha="center", va="center", fontsize=8)
    ax.set_title(title, fontsize=9)
    bare(ax)


def frame(ax: Axes, row: int, column: int, size: int = 1, color: str = RED) -> None:
    """Draw a square frame around the pixels that begin at (row, column)."""
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), size, size, fill=False, edgecolor=color, linewidth=2.5))


def sliding_figure(picture: Tensor, kernel: Tensor, row: int, column: int, stride: int = 1) -> Figure:
    """Return a small picture, a kernel and the answers, with one window and its answer framed.

    Args:
        picture: float `(H, W)`.
        kernel: float `(M, M)`.
        row: Of the framed answer.
        column: Of the same.
        stride: Pixels from place to place.
    """
    answers = convolve(picture[None, None], kernel[None, None], stride=stride)[0, 0]
    figure, axes = canvas(3, width=2.7, height=2.9)
    draw_numbers(axes[0], picture, f"picture {picture.shape[0]}×{picture.shape[1]}")
    draw_numbers(axes[1], kernel, f"kernel {len(kernel)}×{len(kernel)}, stride {stride}")
    draw_numbers(axes[2], answers, f"answers {answers.shape[0]}×{answers.shape[1]}")
    frame(axes[0], row * stride, column * stride, len(kernel))
    frame(axes[2], row, column)
    return figure


def filtered_images_figure(pictures: Mapping[str, Tensor]) -> Figure:
    """Return named pictures side by side, float `(1, C, H, W)`: three channels as colours, one as grey values.

    Colours are shown between 0 and 1; grey values from the picture's least to its largest.
    """
    figure, axes = canvas(len(pictures), width=2.1, height=2.4)
    for ax, (name, picture) in zip(axes, pictures.items(), strict=True):
        if picture.shape[1] == 3:
            ax.imshow(picture[0].permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
        else:
            ax.imshow(picture[0, 0].numpy(), cmap="gray", interpolation="nearest")
        ax.set_title(f"{name}\n{picture.shape[-2]}×{picture.shape[-1]}", fontsize=9)
        bare(ax)
    return figure


def routing_figure(picture: Tensor, errors: Tensor) -> Figure:
    """Return where a 2×2 max-pool's gradient goes: picture, pooled, the errors that come back, the gradient.

    Args:
        picture: float `(H, W)`, H and W even.
        errors: ∂C/∂(pooled), float `(H / 2, W / 2)`.
    """
    whole, arriving = picture[None, None], errors[None, None]
    gradient = max_pool_gradient(whole, arriving)[0, 0]
    figure, axes = canvas(4, width=2.5, height=2.8)
    draw_numbers(axes[0], picture, "picture")
    draw_numbers(axes[1], max_pool(whole)[0, 0], "pooled: the largest of each 2×2")
    draw_numbers(axes[2], errors, "errors that come back")
    draw_numbers(axes[3], gradient, "gradient: to the winners only")
    for ax in (axes[0], axes[3]):
        for row, column in torch.cartesian_prod(*(torch.arange(0, side, 2) for side in picture.shape)).tolist():
            frame(ax, row, column, 2, color="black")
    return figure


def receptive_fields_figure(image: NDArray[np.uint8], layers: list[Layer]) -> Figure:
    """Return an image, uint8 `(H, W, 3)`, with what one value of each layer but the dense ones sees; and the same near.

    Args:
        image: Of the size that the layers were made for.
        layers: Rows of the table.
    """
    height, width = image.shape[:2]
    seen = [layer for layer in layers if layer.apart and layer.sees > 1]
    largest = max(layer.sees for layer in seen)
    figure, (whole, near) = canvas(2, width=2.4, height=2.7)
    for ax in (whole, near):
        ax.imshow(image)
        for number, layer in enumerate(seen):
            corner = (height - layer.sees) // 2, (width - layer.sees) // 2
            frame(ax, *corner, layer.sees, color=CYCLE[number // 2 % len(CYCLE)])
        bare(ax)
    near.set_xlim(width // 2 - largest, width // 2 + largest)
    near.set_ylim(height // 2 + largest, height // 2 - largest)
    whole.set_title(f"the image, {height}×{width}", fontsize=9)
    near.set_title("pixels seen: " + ", ".join(str(layer.sees) for layer in seen), fontsize=9)
    return figure
