"""Pictures of what a network has learnt to look for, and of what it answers to a photo."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.feature_maps import as_colours
from melanoma_pl.foundations.plots.pictures import tiled
from melanoma_pl.plotting import DOTS_PER_INCH, bare, canvas


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
    photos: Mapping[str, NDArray[np.uint8]], maps: Tensor, channels: Tensor, columns: int = 8, gap: int = 2
) -> Figure:
    """Return photos, each beside the same channels of what a layer answers to it.

    A channel has one scale for all photos, black for 0, so that one can compare downwards.

    Args:
        photos: Title → uint8 `(S, S, 3)`.
        maps: float `(N, C, H, W)`, at least 0, of the same photos.
        channels: Which to show, int64 `(K,)`.
        columns: Of the tiles.
        gap: Between tiles, in pixels of the maps.
    """
    shown = maps[:, channels]
    shown = shown / shown.amax(dim=(0, 2, 3), keepdim=True).clamp(min=1e-12)  # (N, K, H, W)
    rows = -(-len(channels) // columns)
    figure = Figure(figsize=(6.8, len(photos) * (rows * 0.66 + 0.25)), dpi=DOTS_PER_INCH, layout="constrained")
    grid = figure.subplots(len(photos), 2, width_ratios=(rows, columns), squeeze=False)
    for (left, right), (title, photo), answers in zip(grid, photos.items(), shown.numpy(), strict=True):
        left.imshow(photo)
        left.set_title(title, fontsize=9)
        right.imshow(tiled(answers, columns, gap), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        bare(left)
        bare(right)
    return figure
