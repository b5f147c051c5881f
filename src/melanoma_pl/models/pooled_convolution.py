"""Convolution, ReLU and max-pooling as one autograd function, in which training on a CPU spends most of its time."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d

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

    Args:
        images: float `(N, C, H, W)`, on a CPU; channels-last memory is fastest.
        weight: float `(D, C, K, K)`, the kernel of a valid convolution.
        bias: float `(D,)`.
        by_products: Whether to compute the kernel's gradient by products. For channels-last memory this takes half the
            time of oneDNN 3 on a CPU without AVX-512, and twice its time on one with it.

    Returns:
        float `(N, D, (H - K + 1) // 2, (W - K + 1) // 2)`.
    """
    pooled: Tensor = _PooledConvolution.apply(images, weight, bias, by_products)
    return pooled


def predicted_maxima(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return what `pooled_convolution` does, with the same bits, but without a gradient.

    Args:
        images: float32 or bfloat16 `(N, C, H, W)`, on a CPU; channels-last memory is fastest. A number that is not
            finite, here or in a sum, would not stay: oneDNN's ReLU turns NaN into zero.
        weight: float `(D, C, K, K)`, the kernel of a valid convolution.
        bias: float `(D,)`.

    Returns:
        float `(N, D, (H - K + 1) // 2, (W - K + 1) // 2)`.
    """
    height, width = ((side - weight.shape[-1] + 1) // POOL for side in images.shape[2:])
    pooled = torch.empty(len(images), height, width, len(weight), dtype=INTEGERS[images.element_size()])
    # image by image, the maps before the pooling stay in the cache; but several threads would wait for each other at
    # each image, and in bf16 nothing is gained
    at_once = 1 if torch.get_num_threads() == 1 and images.dtype == torch.float32 else len(images)
    for block, maxima in zip(torch.split(images, at_once), torch.split(pooled, at_once), strict=True):
        bits = _bits(_rectified_convolution(block, weight, bias))
        rows = torch.maximum(bits[:, :, 0::2], bits[:, :, 1::2])
        torch.maximum(rows[:, 0::2], rows[:, 1::2], out=maxima)
    return pooled.view(images.dtype).permute(0, 3, 1, 2)


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
