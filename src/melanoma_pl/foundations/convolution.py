"""Convolution by hand: a small kernel slid over a picture.

As in Nielsen, *Neural Networks and Deep Learning*, chapter 6, and in every deep-learning library, the kernel is not
turned over: strictly this is cross-correlation. Padding is "valid": the kernel never leaves the picture.

Max-pooling by hand: the largest value of each window, and where its gradient goes.
"""

import torch
from torch import Tensor


def output_size(size: int, window: int, stride: int = 1) -> int:
    """Return ⌊(size − window) / stride⌋ + 1: how many places a window has along one side of a picture.

    Args:
        size: The picture's side, pixels, ≥ window.
        window: The kernel's or the pooling window's side, pixels.
        stride: How far the window moves at a time, pixels.
    """
    return (size - window) // stride + 1


def response_at(picture: Tensor, kernel: Tensor, row: int, column: int) -> Tensor:
    """Return Σ_c Σ_m Σ_n k_cmn a_c,row+m,column+n: the kernel's answer at one place.

    It is a neuron's weighted input, but for the bias; its inputs are the pixels under the kernel.

    Args:
        picture: a, float `(C, H, W)`.
        kernel: k, float `(C, M, N)`.
        row: Of the window's upper left pixel.
        column: Of the same.

    Returns:
        float `()`.
    """
    height, width = kernel.shape[-2:]
    window = picture[:, row : row + height, column : column + width]
    return (kernel * window).sum()


def convolve(pictures: Tensor, kernels: Tensor, biases: Tensor | None = None, stride: int = 1) -> Tensor:
    """Return z_o,ij = Σ_c Σ_m Σ_n k_ocmn a_c,si+m,sj+n + b_o: every kernel's answer at every place.

    The sum over m and n is a loop; each turn adds one pixel of the kernel for all places, kernels and pictures at once.

    Args:
        pictures: a, float `(N, C, H, W)`.
        kernels: k, float `(O, C, M, N)`: O kernels, each with one sheet for each of the pictures' C channels.
        biases: b, float `(O,)`; None for zeros.
        stride: s, pixels from place to place.

    Returns:
        z, float `(N, O, ⌊(H − M) / s⌋ + 1, ⌊(W − N) / s⌋ + 1)`.
    """
    height, width = kernels.shape[-2:]
    rows, columns = (output_size(pictures.shape[-2], height, stride), output_size(pictures.shape[-1], width, stride))
    responses = pictures.new_zeros(len(pictures), len(kernels), rows, columns)
    for m in range(height):
        for n in range(width):
            seen = pictures[:, :, m : m + stride * rows : stride, n : n + stride * columns : stride]
            responses += torch.einsum("oc,bcij->boij", kernels[:, :, m, n], seen)
    return responses if biases is None else responses + biases[:, None, None]


def rectified(z: Tensor) -> Tensor:
    """Return max(0, z), in z's shape and dtype: the ReLU that takes the sigmoid's place after each convolution.

    Its slope is 1 wherever the neuron answers at all, so that errors do not shrink on their way back as they do by the
    sigmoid's σ′ ≤ 1/4.
    """
    return z.clamp(min=0)


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
