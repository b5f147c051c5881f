"""Kernels that a person can read, and what they do to a photo."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.convolution import convolve

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


def picture_from_photo(photo: NDArray[np.uint8]) -> Tensor:
    """Return a photo, uint8 `(H, W, 3)`, as a picture, float64 `(1, 3, H, W)`, between 0 and 1."""
    return torch.from_numpy(photo.astype(np.float64) / 255).permute(2, 0, 1)[None]


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
