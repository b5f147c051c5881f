"""Many small pictures in one: photos, kernels and feature maps as tiles."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from melanoma_pl.plotting import bare, canvas


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


def photos_figure(photos: Mapping[str, NDArray[np.uint8]], columns: int = 4, width: float = 3.4) -> Figure:
    """Return tiles of photos, one field a title.

    Args:
        photos: Title → uint8 `(N, S, S, 3)`.
        columns: Of each field's tiles.
        width: Of each field, inches.
    """
    most = max(len(each) for each in photos.values())
    rows = -(-most // columns)
    figure, axes = canvas(len(photos), width=width, height=width * rows / min(columns, most) + 0.35)
    for ax, (title, each) in zip(axes, photos.items(), strict=True):
        field = tiled(each / 255, min(columns, most), gap=max(1, each.shape[1] // 24))
        ax.imshow(np.nan_to_num(field, nan=1.0))
        ax.set_title(title, fontsize=9)
        bare(ax)
    return figure
