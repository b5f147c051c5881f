"""Max-pooling by hand: the largest value of each window, and where its gradient goes."""

import torch
from torch import Tensor


def windows(pictures: Tensor, size: int = 2) -> Tensor:
    """Return the pictures cut into windows side by side; rows and columns that fill no window are dropped.

    Args:
        pictures: float `(N, C, H, W)`.
        size: The window's side and stride, pixels.

    Returns:
        float `(N, C, ⌊H / size⌋, ⌊W / size⌋, size²)`.
    """
    rows, columns = pictures.shape[-2] // size, pictures.shape[-1] // size
    cut = pictures[..., : rows * size, : columns * size]
    blocks = cut.reshape(*pictures.shape[:2], rows, size, columns, size)
    return blocks.transpose(-3, -2).flatten(-2)


def max_pool(pictures: Tensor, size: int = 2) -> Tensor:
    """Return a_ij = max of the window (i, j): a quarter of the values for 2×2.

    Args:
        pictures: float `(N, C, H, W)`.
        size: The window's side and stride, pixels.

    Returns:
        float `(N, C, ⌊H / size⌋, ⌊W / size⌋)`.
    """
    return windows(pictures, size).amax(dim=-1)


def winners(pictures: Tensor, size: int = 2) -> Tensor:
    """Return which value of each window is its maximum: bool, in the shape of `windows`, one True a window.

    Of equal values the first wins, row by row, as in PyTorch.
    """
    values = windows(pictures, size)
    largest = values == values.amax(dim=-1, keepdim=True)
    return largest & (largest.cumsum(dim=-1) == 1)


def max_pool_gradient(pictures: Tensor, errors: Tensor, size: int = 2) -> Tensor:
    """Return ∂C/∂(pictures) from ∂C/∂(pooled): each window's error goes to its winner, all other pixels get 0.

    A small change of a pixel that is not its window's maximum changes nothing, so its derivative is 0; that of the
    maximum passes on unchanged, so its derivative is 1 times the error.

    Args:
        pictures: What was pooled, float `(N, C, H, W)`.
        errors: ∂C/∂(pooled), float `(N, C, ⌊H / size⌋, ⌊W / size⌋)`.
        size: The window's side and stride, pixels.

    Returns:
        float `(N, C, H, W)`.
    """
    routed = torch.where(winners(pictures, size), errors[..., None], 0.0)  # (N, C, rows, columns, size²)
    blocks = routed.reshape(*errors.shape, size, size).transpose(-3, -2)  # (N, C, rows, size, columns, size)
    cut = blocks.flatten(-2).flatten(-3, -2)
    gradient = torch.zeros_like(pictures)
    gradient[..., : cut.shape[-2], : cut.shape[-1]] = cut
    return gradient
