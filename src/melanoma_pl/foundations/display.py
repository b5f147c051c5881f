"""Display in a notebook: example images, tiles of images, and the source of a function."""

import importlib
import inspect
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.report.figures import canvas as report_canvas
from melanoma_pl.report.figures.canvas import bare

DOTS_PER_INCH = 100  # letters of 10 points are then as high as a notebook's text, 14 pixels
WIDTH = 9.3  # inches: as wide as the column of a page of JupyterLab or GitHub


def canvas(
    columns: int = 1, width: float = 4.6, height: float = 2.9, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of empty axes, in the style of the reports and with letters as large as the text.

    Args:
        columns: Number of axes side by side.
        width: Width of each, in inches; all together should not exceed `WIDTH`.
        height: Height of the figure, in inches.
        rows: Number of rows of axes.
        options: Keyword arguments of `Figure.subplots`, such as ``sharey=True``.
    """
    figure, axes = report_canvas.canvas(columns, width, height, rows, **options)
    figure.set_dpi(DOTS_PER_INCH)
    return figure, axes


def first_of_each(targets: NDArray[np.int64], count: int = 1) -> dict[str, Tensor]:
    """Return the indices of the first images of each class, by class name, int64 `(count,)` or fewer.

    Args:
        targets: int64 `(N,)`, 1 for malignant.
        count: Images per class.
    """
    return {name: torch.from_numpy(np.flatnonzero(targets == label)[:count]) for label, name in enumerate(CLASS_NAMES)}


def clearest_of_each(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> dict[str, int]:
    """Return the index of the benign image with the lowest and of the malignant image with the highest probability.

    Args:
        probabilities: Probabilities of malignant, float `(N,)`.
        targets: int64 `(N,)`, 1 for malignant; both classes occur.

    Returns:
        Class name → index.
    """
    errors = np.where(targets == 1, 1 - probabilities, probabilities)
    return {name: int(np.where(targets == target, errors, 2).argmin()) for target, name in enumerate(CLASS_NAMES)}


def as_arrays(pixels: Tensor) -> NDArray[np.uint8]:
    """Return images of a network's input, uint8 `(N, 3, S, S)`, as arrays for display, uint8 `(N, S, S, 3)`."""
    return np.asarray(pixels.permute(0, 2, 3, 1))


def tiled(images: NDArray[np.floating | np.integer], columns: int, gap: int = 1) -> NDArray[np.float64]:
    """Return images as the tiles of one image, row by row, with NaN in the gaps between them.

    Args:
        images: `(N, H, W)`, or `(N, H, W, 3)` in colour.
        columns: Tiles per row.
        gap: Width of the gaps, pixels.

    Returns:
        float64 `(rows · (H + gap) − gap, columns · (W + gap) − gap)`, followed by 3 in colour.
    """
    count, height, width, *colours = images.shape
    rows = -(-count // columns)
    field = np.full((rows * (height + gap), columns * (width + gap), *colours), np.nan)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        field[top : top + height, left : left + width] = image
    return field[: len(field) - gap, : field.shape[1] - gap]


def show_image(ax: Axes, image: NDArray[Any], title: str, **options: Any) -> None:
    """Show an image, `(H, W)` or `(H, W, 3)`, below a title, with options for `Axes.imshow`; NaN in colour is white."""
    ax.imshow(np.nan_to_num(image, nan=1.0) if image.ndim == 3 else image, **options)
    ax.set_title(title, fontsize=9)
    bare(ax)


def images_figure(images: Mapping[str, NDArray[np.uint8]], columns: int = 4, width: float = 3.4) -> Figure:
    """Draw images as tiles, with one field of tiles per title.

    Args:
        images: Title → uint8 `(N, S, S, 3)`.
        columns: Tiles per row of each field.
        width: Width of each field, inches.
    """
    most = max(len(each) for each in images.values())
    columns = min(columns, most)
    lines = 1 + max(title.count("\n") for title in images)
    figure, axes = canvas(len(images), width=width, height=width * -(-most // columns) / columns + 0.1 + 0.15 * lines)
    for ax, (title, each) in zip(axes, images.items(), strict=True):
        show_image(ax, tiled(each / 255, columns, gap=max(1, each.shape[1] // 24)), title)
    return figure


def code_of(*functions: Callable[..., Any]) -> str:
    """Return the source of functions without their docstrings, which the text of the notebook replaces."""
    sources = (inspect.getsource(function).rstrip() for function in functions)
    return "\n\n".join(re.sub(r'\n +""".*?"""', "", source, count=1, flags=re.DOTALL) for source in sources)


def as_jpeg(figure: Figure, quality: int = 88) -> Any:
    """Return a figure as a JPEG for a notebook, at twice the resolution that it is shown at.

    A figure full of images takes a fifth of the bytes that it would take as a PNG. Needs IPython, as any notebook does.

    Args:
        figure: Figure to draw.
        quality: Quality of the JPEG, 1 to 95.

    Returns:
        An `IPython.display.Image`, as wide as the figure would be.
    """
    file = io.BytesIO()
    figure.savefig(file, format="jpeg", dpi=2 * figure.dpi, pil_kwargs={"quality": quality})
    return importlib.import_module("IPython.display").Image(file.getvalue(), format="jpeg", retina=True)
