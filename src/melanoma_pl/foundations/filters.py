"""Kernels that a person can read, and what they do to an image.

A few images of each class, to look at.

Many small pictures in one: images, kernels and feature maps as tiles.

The lines of a function, to be read beside its formula.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.foundations.convolution import convolve
from melanoma_pl.report.figures.canvas import bare, canvas

KERNELS: dict[str, list[list[float]]] = {
    "nothing": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "blur": [[1 / 9, 1 / 9, 1 / 9], [1 / 9, 1 / 9, 1 / 9], [1 / 9, 1 / 9, 1 / 9]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "upright edges": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "level edges": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "outline": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
}
"""3×3 kernels by name; the edge kernels are Sobel's, the outline is a discrete Laplacian.

Those that sum to 1 keep a uniform patch as it is; those that sum to 0 answer nothing there.
"""


def kernel(name: str) -> Tensor:
    """Return the kernel of that name in `KERNELS`, float64 `(3, 3)`."""
    return torch.tensor(KERNELS[name], dtype=torch.float64)


def grey_image(image: NDArray[np.uint8]) -> Tensor:
    """Return an image, uint8 `(H, W, 3)`, as a picture, float64 `(1, 3, H, W)`, between 0 and 1."""
    return torch.from_numpy(image.astype(np.float64) / 255).permute(2, 0, 1)[None]


def grey(pictures: Tensor) -> Tensor:
    """Return the mean of the channels, float `(N, 1, H, W)`, of pictures, float `(N, C, H, W)`.

    This too is a convolution: one 1×1 kernel with the weight 1/C for each channel.
    """
    channels = pictures.shape[1]
    return convolve(pictures, pictures.new_full((1, channels, 1, 1), 1 / channels))


def filtered(pictures: Tensor, kernel: Tensor, times: int = 1) -> Tensor:
    """Return each channel convolved with the same kernel, several times over.

    As a bank of C kernels with C sheets each it is a layer's convolution: kernel o has `kernel` on its sheet o and
    zeros on the others.

    Args:
        pictures: float `(N, C, H, W)`.
        kernel: float `(3, 3)`.
        times: How often; each takes one pixel off every side.

    Returns:
        float `(N, C, H − 2·times, W − 2·times)`.
    """
    bank = torch.eye(pictures.shape[1], dtype=kernel.dtype)[:, :, None, None] * kernel  # (C, C, 3, 3)
    for _ in range(times):
        pictures = convolve(pictures, bank)
    return pictures


def edge_strength(pictures: Tensor) -> Tensor:
    """Return √(upright² + level²), float `(N, 1, H − 2, W − 2)`: how steep the grey value is, in any direction."""
    shades = grey(pictures)
    return torch.hypot(filtered(shades, kernel("upright edges")), filtered(shades, kernel("level edges")))


def first_of_each(targets: NDArray[np.int64], count: int = 1) -> dict[str, Tensor]:
    """Return where the first images of each class are: class name → positions, int64 `(count,)` or fewer.

    Args:
        targets: int64 `(N,)`, 1 for malignant.
        count: Of each class.
    """
    return {
        name: torch.from_numpy(np.flatnonzero(targets == target)[:count]) for target, name in enumerate(CLASS_NAMES)
    }


def clearest_of_each(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> dict[str, int]:
    """Return where the benign image with the lowest and the malignant one with the highest probability are.

    Args:
        probabilities: Of malignant, float `(N,)`.
        targets: int64 `(N,)`, 1 for malignant, both classes.

    Returns:
        Class name → position.
    """
    wrongness = np.where(targets == 1, 1 - probabilities, probabilities)
    return {name: int(np.where(targets == target, wrongness, 2).argmin()) for target, name in enumerate(CLASS_NAMES)}


def as_arrays(pixels: Tensor) -> NDArray[np.uint8]:
    """Return images as a network takes them, uint8 `(N, 3, S, S)`, as one looks at them, uint8 `(N, S, S, 3)`."""
    pictures: NDArray[np.uint8] = pixels.permute(0, 2, 3, 1).numpy()
    return pictures


def tiled(pictures: NDArray[np.floating | np.integer], columns: int, gap: int = 1) -> NDArray[np.float64]:
    """Return pictures side by side and below each other, not-a-number (drawn as nothing) between them.

    Args:
        pictures: `(N, H, W)` or, in colours, `(N, H, W, 3)`.
        columns: Of the tiles.
        gap: Between tiles, in pixels.

    Returns:
        float64 `(rows · (H + gap) − gap, columns · (W + gap) − gap)`, and 3 at the end for colours.
    """
    count, height, width, *colours = pictures.shape
    rows = -(-count // columns)
    field = np.full((rows * (height + gap), columns * (width + gap), *colours), np.nan)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        field[top : top + height, left : left + width] = picture
    return field[: len(field) - gap, : field.shape[1] - gap]


def images_figure(images: Mapping[str, NDArray[np.uint8]], columns: int = 4, width: float = 3.4) -> Figure:
    """Return tiles of images, one field a title.

    Args:
        images: Title → uint8 `(N, S, S, 3)`.
        columns: Of each field's tiles.
        width: Of each field, inches.
    """
    most = max(len(each) for each in images.values())
    rows = -(-most // columns)
    figure, axes = canvas(len(images), width=width, height=width * rows / min(columns, most) + 0.35)
    for ax, (title, each) in zip(axes, images.items(), strict=True):
        field = tiled(each / 255, min(columns, most), gap=max(1, each.shape[1] // 24))
        ax.imshow(np.nan_to_num(field, nan=1.0))
        ax.set_title(title, fontsize=9)
        bare(ax)
    return figure


def code_of(*functions: Callable[..., Any]) -> str:
    """Return the source of functions without their docstrings, which a notebook's text takes the place of."""
    return "\n\n".join(_without_docstring(inspect.getsource(function)) for function in functions)


def _without_docstring(source: str) -> str:
    """Return one function's source without its docstring; comments stay."""
    definition = ast.parse(source).body[0]
    if not isinstance(definition, ast.FunctionDef) or ast.get_docstring(definition) is None:
        return source.rstrip()
    docstring, lines = definition.body[0], source.rstrip().splitlines()
    return "\n".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])
