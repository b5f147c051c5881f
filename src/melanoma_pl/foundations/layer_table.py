"""The three-conv network layer by layer: shape, parameters, and how much of the photo one value sees.

For a window of side k that moves by s, over a layer whose values are j pixels of the photo apart and each see r pixels:
the values of the next layer are j·s apart and see r + (k − 1)·j.
"""

from dataclasses import dataclass
from math import prod

from melanoma_pl.foundations.convolution import output_size


@dataclass(frozen=True)
class Layer:
    """One row of the table.

    Attributes:
        name: What the layer is.
        shape: Of its values for one photo: `(channels, height, width)` or `(neurons,)`.
        parameters: How many numbers it learns.
        sees: Receptive field: the side, in pixels of the photo, of what one value depends on.
        apart: How many pixels of the photo lie between two neighbouring values; 0 where there are no neighbours.
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
        image_size: The photo's side, pixels.
    """
    layers = [Layer("photo", (3, image_size, image_size), parameters=0, sees=1, apart=1)]
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
