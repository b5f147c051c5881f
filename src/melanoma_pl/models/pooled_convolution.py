"""Convolution, ReLU and max-pooling with a gradient of their own: most of the time of a training.

`pooled_convolution` is for a CPU; `space_to_depth_convolution` and `max_pool` are for a compiler on a GPU.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, pad, pixel_unshuffle

POOL = 2
FEW_CHANNELS = 16  # fewer channels make the products of the kernel's gradient too narrow to be fast
INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16}  # by bytes of a number
IN_ONE_PASS = (torch.float32, torch.bfloat16)  # oneDNN convolves and rectifies these at once

_backward = torch.ops.aten.convolution_backward
_relu_backward = torch.ops.aten.threshold_backward


def pooled_convolution(images: Tensor, weight: Tensor, bias: Tensor, by_products: bool = False) -> Tensor:
    """Return `max_pool(relu(convolution))`, with a gradient that passes over memory fewer times than PyTorch's.

    The result has the bits of the three layers one after another, and the gradient equals theirs up to rounding. The
    differences:

    - the maps before the pooling, the largest tensors, are not kept: the gradient needs only masks of where each
      maximum was. Maxima and masks are computed on the bits of the numbers as integers, which have the same order for
      floats that are not negative, and which a CPU compares several times as fast;
    - the gradient of the bias is summed over the pooled maps, since three quarters of the unpooled gradient are zero;
    - with `by_products`, the gradient of the kernel is one matrix product for each row of the kernel.

    Without a gradient, no masks are computed. oneDNN's ReLU turns NaN into zero, so that the result may be finite even
    if an input or a sum is not.

    Args:
        images: float `(N, C, H, W)`, on a CPU; channels-last memory is fastest.
        weight: float `(D, C, K, K)`, the kernel of a valid convolution.
        bias: float `(D,)`.
        by_products: Whether to compute the kernel's gradient by products. For channels-last memory this takes half the
            time of oneDNN 3 on a CPU without AVX-512, and twice its time on one with it.

    Returns:
        float `(N, D, (H - K + 1) // 2, (W - K + 1) // 2)`.
    """
    if not torch.is_grad_enabled():
        return _largest_of_windows(_rectified_convolution(images, weight, bias))
    pooled: Tensor = _PooledConvolution.apply(images, weight, bias, by_products)
    return pooled


class _PooledConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, by_products: bool) -> Tensor:
        maps = _rectified_convolution(images, weight, bias)
        pooled, is_right, is_lower = _pool(maps)
        ctx.shape, ctx.by_products = maps.shape, by_products and images.shape[1] >= FEW_CHANNELS
        ctx.save_for_backward(images, weight, pooled, is_right, is_lower)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor, None]:
        images, weight, pooled, is_right, is_lower = ctx.saved_tensors
        gradient = _relu_backward(gradient, pooled, 0)
        of_bias = gradient.sum(dim=(0, 2, 3))
        of_maps = _unpool(gradient, is_right, is_lower, ctx.shape)
        wanted = [ctx.needs_input_grad[0], not ctx.by_products, False]
        of_images: Tensor | None = None
        of_weight: Tensor | None = None
        if any(wanted):
            options = (None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
            of_images, of_weight, _ = _backward(of_maps, images, weight, *options, wanted)
        if ctx.by_products:
            of_weight = _kernel_gradient(of_maps, images, weight.shape[-1])
        return of_images, of_weight, of_bias, None


def _rectified_convolution(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return `relu(convolution)`, in one pass over memory if oneDNN is there, with the same bits."""
    if images.dtype in IN_ONE_PASS and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        maps: Tensor = torch.ops.mkldnn._convolution_pointwise(
            images, weight, bias, [0, 0], [1, 1], [1, 1], 1, "relu", [], ""
        )
        return maps
    return conv2d(images, weight, bias).relu_()


def _pool(maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the maximum of each window, and where it is.

    Args:
        maps: float `(N, D, H, W)`, none of them negative. A last row or column that fills no window is left out.

    Returns:
        The maxima, float `(N, D, h, w)`. Integer masks of all bits or none: `(N, 2h, w, D)`, set where the right one of
        two neighbours is larger, and `(N, h, w, D)`, set where the lower one of two such maxima is. The first one of
        equal numbers counts, row by row, as in PyTorch.
    """
    bits = _bits(maps)
    sign = 8 * maps.element_size() - 1  # shifting by it leaves -1 of a negative difference and 0 of others
    left, right = bits[:, :, 0::2], bits[:, :, 1::2]
    is_right = (left - right).__irshift__(sign)
    rows = torch.maximum(left, right)
    upper, lower = rows[:, 0::2], rows[:, 1::2]
    is_lower = (upper - lower).__irshift__(sign)
    return torch.maximum(upper, lower).view(maps.dtype).permute(0, 3, 1, 2), is_right, is_lower


def _largest_of_windows(maps: Tensor) -> Tensor:
    """Return the maxima of `_pool` alone, float `(N, D, h, w)`."""
    bits = _bits(maps)
    rows = torch.maximum(bits[:, :, 0::2], bits[:, :, 1::2])
    return torch.maximum(rows[:, 0::2], rows[:, 1::2]).view(maps.dtype).permute(0, 3, 1, 2)


def _bits(maps: Tensor) -> Tensor:
    """Return the bits of the numbers that fill windows, integers `(N, 2h, 2w, D)`, from maps `(N, D, H, W)`."""
    bits = maps.permute(0, 2, 3, 1).view(INTEGERS[maps.element_size()])
    height, width = (side - side % POOL for side in bits.shape[1:3])
    return bits[:, :height, :width]


def _unpool(gradient: Tensor, is_right: Tensor, is_lower: Tensor, shape: torch.Size) -> Tensor:
    """Return the gradient of the maps: that of each maximum where it was, and zero elsewhere.

    Args:
        gradient: float `(N, D, h, w)`, of the maxima.
        is_right: Mask of `_pool`.
        is_lower: Mask of `_pool`.
        shape: That of the maps, `(N, D, H, W)`.

    Returns:
        float `(N, D, H, W)`.
    """
    bits = gradient.permute(0, 2, 3, 1).view(INTEGERS[gradient.element_size()])
    rows = torch.empty_like(is_right)
    lower = torch.bitwise_and(bits, is_lower, out=rows[:, 1::2])
    torch.bitwise_xor(bits, lower, out=rows[:, 0::2])
    count, maps, height, width = shape
    whole = bits.new_empty(count, height, width, maps)
    covered_height, covered_width = rows.shape[1], POOL * rows.shape[2]
    whole[:, covered_height:] = 0
    whole[:, :, covered_width:] = 0
    covered = whole[:, :covered_height, :covered_width]
    right = torch.bitwise_and(rows, is_right, out=covered[:, :, 1::2])
    torch.bitwise_xor(rows, right, out=covered[:, :, 0::2])
    return whole.view(gradient.dtype).permute(0, 3, 1, 2)


def _kernel_gradient(of_maps: Tensor, images: Tensor, kernel: int) -> Tensor:
    """Return the gradient of a valid convolution's kernel, float `(D, C, K, K)`.

    Args:
        of_maps: Gradient of the convolution's output, float `(N, D, h, w)`.
        images: Input of the convolution, float `(N, C, H, W)`.
        kernel: Side K of the kernel.
    """
    count, maps, height, width = of_maps.shape
    channels = images.shape[1]
    outputs = of_maps.permute(0, 2, 3, 1).reshape(count, height * width, maps)
    rows = images.permute(0, 2, 3, 1)  # (N, H, W, C)
    # the K neighbours of a pixel in its row stand side by side: the kernel's K rows then differ by a whole row each
    rows = torch.cat([rows[:, :, column : column + width] for column in range(kernel)], dim=3)
    rows = rows.reshape(count, -1, kernel * channels)  # (N, H·w, K·C)
    products = [
        torch.bmm(rows[:, row * width :][:, : height * width].transpose(1, 2), outputs).sum(dim=0)
        for row in range(kernel)
    ]
    return torch.stack(products).view(kernel, kernel, channels, maps).permute(3, 2, 0, 1)


def space_to_depth_convolution(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return `max_pool(convolution)` for few channels, computed with four times as many at half the height and width.

    Each 2×2 block of pixels becomes one pixel, and the four outputs that a pooling window covers become channels of
    one 2×2 convolution. A GPU multiplies matrices of 3 channels at a small part of its speed, and pools by a maximum
    over channels without a pass of its own. On a CPU this is slower than the layers.

    Args:
        images: float `(N, C, H, W)`, H and W at least 4.
        weight: float `(D, C, 3, 3)`, the kernel of a valid convolution.
        bias: float `(D,)`.

    Returns:
        float `(N, D, (H - 2) // 2, (W - 2) // 2)`.
    """
    maps, channels = weight.shape[:2]
    height, width = (side - side % POOL for side in images.shape[2:])
    blocks = pixel_unshuffle(images[:, :, :height, :width], POOL)  # (N, 4 C, H / 2, W / 2)
    shifted = [pad(weight, (right, 1 - right, lower, 1 - lower)) for lower in range(POOL) for right in range(POOL)]
    # a kernel of 4×4 numbers: which half and which place in it, for rows, then for columns
    kernels = torch.cat(shifted).view(POOL**2 * maps, channels, POOL, POOL, POOL, POOL)
    kernels = kernels.permute(0, 1, 3, 5, 2, 4).reshape(POOL**2 * maps, POOL**2 * channels, POOL, POOL)
    outputs = conv2d(blocks, kernels, bias.repeat(POOL**2))  # (N, 4 D, h, w)
    windows = outputs.unflatten(1, (POOL, POOL, maps))  # type: ignore[no-untyped-call]
    return _largest(windows.permute(1, 2, 0, 3, 4, 5))


def max_pool(maps: Tensor) -> Tensor:
    """Return 2×2 max-pooling in elementwise steps that a compiler fuses; for the gradient it keeps one byte a window.

    Args:
        maps: float `(N, D, H, W)`. A last row or column that fills no window is left out.

    Returns:
        float `(N, D, H // 2, W // 2)`.
    """
    height, width = (side // POOL for side in maps.shape[2:])
    covered = maps[:, :, : POOL * height, : POOL * width]
    windows = covered.reshape(*maps.shape[:2], height, POOL, width, POOL)
    return _largest(windows.permute(3, 5, 0, 1, 2, 4))


def _largest(windows: Tensor) -> Tensor:
    """Return the largest number of each window: float `(N, D, h, w)` from `(2, 2, N, D, h, w)`."""
    largest: Tensor = _Largest.apply(windows)
    return largest


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, windows: Tensor) -> Tensor:
        (upper_left, upper_right), (lower_left, lower_right) = (rows.unbind(0) for rows in windows.unbind(0))
        upper, lower = torch.maximum(upper_left, upper_right), torch.maximum(lower_left, lower_right)
        in_upper, in_lower = (upper_right > upper_left).to(torch.uint8), 2 + (lower_right > lower_left).to(torch.uint8)
        ctx.save_for_backward(torch.where(lower > upper, in_lower, in_upper))  # the first one of equal numbers
        return torch.maximum(upper, lower)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (chosen,) = ctx.saved_tensors
        numbers = torch.arange(POOL**2, dtype=torch.uint8, device=chosen.device).view(POOL, POOL, 1, 1, 1, 1)
        return torch.where(chosen == numbers, gradient, gradient.new_zeros(()))
