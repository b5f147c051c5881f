"""Convolution and max-pooling by hand, and kernels that a person can read.

The module follows Nielsen, *Neural Networks and Deep Learning*, chapter 6. As in every deep-learning library, the
kernel is not flipped, so strictly this is cross-correlation. Padding is "valid": the kernel never leaves the image.
"""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.display import WIDTH, canvas, show_image
from melanoma_pl.report.figures.canvas import RED

KERNELS = {
    "identity": torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]]).double(),
    "blur": torch.full((3, 3), 1 / 9, dtype=torch.float64),
    "sharpen": torch.tensor([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]).double(),
    "vertical edges": torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]).double(),
    "horizontal edges": torch.tensor([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]).double(),
    "outline": torch.tensor([[0, 1, 0], [1, -4, 1], [0, 1, 0]]).double(),
}
"""Kernels by name, float64 `(3, 3)`; the edge kernels are Sobel's, the outline is a discrete Laplacian.

Kernels that sum to 1 leave a uniform area as it is; kernels that sum to 0 respond to it with 0.
"""


def output_size(size: int, window: int, stride: int = 1) -> int:
    """Return ⌊(size − window) / stride⌋ + 1, the number of positions of a window along one side of an image.

    Args:
        size: Side of the image, pixels, ≥ window.
        window: Side of the kernel or of the pooling window, pixels.
        stride: Distance between neighbouring positions, pixels.
    """
    return (size - window) // stride + 1


def response_at(image: Tensor, kernel: Tensor, row: int, column: int) -> Tensor:
    """Return Σ_c Σ_m Σ_n k_cmn a_c,row+m,column+n, the response of a kernel at one position.

    The response is a neuron's weighted input without the bias; the neuron's inputs are the pixels under the kernel.

    Args:
        image: a, float `(C, H, W)`.
        kernel: k, float `(C, M, N)`.
        row: Row of the window's upper left pixel.
        column: Column of the window's upper left pixel.

    Returns:
        float `()`.
    """
    height, width = kernel.shape[-2:]
    return (kernel * image[:, row : row + height, column : column + width]).sum()


def convolve(images: Tensor, kernels: Tensor, biases: Tensor | None = None, stride: int = 1) -> Tensor:
    """Return z_o,ij = Σ_c Σ_m Σ_n k_ocmn a_c,si+m,sj+n + b_o, the response of every kernel at every position.

    The sum over m and n is a loop. Each turn adds one pixel of the kernels at all positions of all images at once.

    Args:
        images: a, float `(N, C, H, W)`.
        kernels: k, float `(O, C, M, N)`: O kernels, each with one slice per channel of the images.
        biases: b, float `(O,)`; None means zeros.
        stride: s, distance between neighbouring positions, pixels.

    Returns:
        z, float `(N, O, ⌊(H − M) / s⌋ + 1, ⌊(W − N) / s⌋ + 1)`.
    """
    height, width = kernels.shape[-2:]
    rows, columns = output_size(images.shape[-2], height, stride), output_size(images.shape[-1], width, stride)
    responses = images.new_zeros(len(images), len(kernels), rows, columns)
    for m in range(height):
        for n in range(width):
            seen = images[:, :, m : m + stride * rows : stride, n : n + stride * columns : stride]
            responses += torch.einsum("oc,bcij->boij", kernels[:, :, m, n], seen)
    return responses if biases is None else responses + biases[:, None, None]


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Return an image, uint8 `(H, W, 3)`, as a batch of one, float64 `(1, 3, H, W)`, between 0 and 1."""
    return torch.from_numpy(pixels.astype(np.float64) / 255).permute(2, 0, 1)[None]


def grey(images: Tensor) -> Tensor:
    """Return the mean of the channels, float `(N, 1, H, W)`, of images, float `(N, C, H, W)`.

    The mean is a convolution too: one 1×1 kernel with the weight 1/C for each channel.
    """
    channels = images.shape[1]
    return convolve(images, images.new_full((1, channels, 1, 1), 1 / channels))


def filtered(images: Tensor, kernel: Tensor, times: int = 1) -> Tensor:
    """Return images whose channels are each convolved with the same kernel, once or several times.

    Written as a layer's convolution, this takes C kernels of C slices: kernel o holds `kernel` on its slice o and zeros
    on the others.

    Args:
        images: float `(N, C, H, W)`.
        kernel: float `(3, 3)`.
        times: Number of convolutions; each removes one pixel on every side.

    Returns:
        float `(N, C, H − 2·times, W − 2·times)`.
    """
    bank = torch.eye(images.shape[1], dtype=kernel.dtype)[:, :, None, None] * kernel  # (C, C, 3, 3)
    for _ in range(times):
        images = convolve(images, bank)
    return images


def edge_strength(images: Tensor) -> Tensor:
    """Return √(vertical² + horizontal²), the steepness of the grey value, float `(N, 1, H − 2, W − 2)`."""
    vertical, horizontal = (filtered(grey(images), KERNELS[f"{name} edges"]) for name in ("vertical", "horizontal"))
    return torch.hypot(vertical, horizontal)


def windows(images: Tensor, size: int = 2) -> Tensor:
    """Return images cut into adjacent windows; rows and columns that do not fill a window are dropped.

    Args:
        images: float `(N, C, H, W)`.
        size: Side and stride of the windows, pixels.

    Returns:
        float `(N, C, ⌊H / size⌋, ⌊W / size⌋, size²)`.
    """
    rows, columns = images.shape[-2] // size, images.shape[-1] // size
    cut = images[..., : rows * size, : columns * size]
    blocks = cut.reshape(*images.shape[:2], rows, size, columns, size)
    return blocks.transpose(-3, -2).flatten(-2)


def max_pool(images: Tensor, size: int = 2) -> Tensor:
    """Return the maximum of each window of `windows`, float `(N, C, ⌊H / size⌋, ⌊W / size⌋)`."""
    return windows(images, size).amax(dim=-1)


def winners(images: Tensor, size: int = 2) -> Tensor:
    """Return the position of each window's maximum: bool, in the shape of `windows`, one True per window.

    Among equal values the first wins, row by row, as in PyTorch.
    """
    values = windows(images, size)
    largest = values == values.amax(dim=-1, keepdim=True)
    return largest & (largest.cumsum(dim=-1) == 1)


def max_pool_gradient(images: Tensor, errors: Tensor, size: int = 2) -> Tensor:
    """Return ∂C/∂(images) from ∂C/∂(pooled): each window's error goes to its winner, and all other pixels get 0.

    A small change of a pixel below its window's maximum changes nothing, so its derivative is 0. A change of the
    maximum passes on unchanged, so its derivative is 1 times the error.

    Args:
        images: Input of the pooling, float `(N, C, H, W)`.
        errors: ∂C/∂(pooled), float `(N, C, ⌊H / size⌋, ⌊W / size⌋)`.
        size: Side and stride of the windows, pixels.

    Returns:
        float `(N, C, H, W)`.
    """
    routed = torch.where(winners(images, size), errors[..., None], 0.0)  # (N, C, rows, columns, size²)
    blocks = routed.reshape(*errors.shape, size, size).transpose(-3, -2)  # (N, C, rows, size, columns, size)
    cut = blocks.flatten(-2).flatten(-3, -2)
    gradient = torch.zeros_like(images)
    gradient[..., : cut.shape[-2], : cut.shape[-1]] = cut
    return gradient


def draw_numbers(ax: Axes, values: Tensor, title: str, hidden: Tensor | None = None) -> None:
    """Draw a small matrix, float `(H, W)`, as shaded squares with the numbers written into them.

    Args:
        ax: Axes to draw on.
        values: float `(H, W)`.
        title: Text above.
        hidden: bool `(H, W)`, True where a square stays empty; None hides nothing.
    """
    reach = float(values.abs().max()) or 1.0
    shown = values if hidden is None else values.masked_fill(hidden, torch.nan)
    show_image(ax, shown.numpy(), title, cmap="coolwarm", vmin=-1.6 * reach, vmax=1.6 * reach)
    for (row, column), number in np.ndenumerate(shown.numpy()):
        if not np.isnan(number):
            ax.text(column, row, f"{number:g}".replace("-", "−"), ha="center", va="center", fontsize=9)
    ax.spines[:].set_visible(hidden is not None)


def frame(ax: Axes, row: int, column: int, size: int = 1, color: str = RED) -> None:
    """Draw a square frame around the pixels that begin at (row, column)."""
    ax.add_patch(Rectangle((column - 0.5, row - 0.5), size, size, fill=False, edgecolor=color, linewidth=2.5))


def sliding_figure(image: Tensor, kernel: Tensor, row: int, column: int, stride: int = 1) -> Figure:
    """Draw a small image, a kernel and the responses, with one window and its response framed.

    Args:
        image: float `(H, W)`.
        kernel: float `(M, M)`.
        row: Row of the framed response.
        column: Column of the framed response.
        stride: Distance between neighbouring positions, pixels.
    """
    responses = convolve(image[None, None], kernel[None, None], stride=stride)[0, 0]
    figure, axes = canvas(3, width=2.7, height=2.9)
    draw_numbers(axes[0], image, f"image {image.shape[0]}×{image.shape[1]}")
    draw_numbers(axes[1], kernel, f"kernel {len(kernel)}×{len(kernel)}, stride {stride}")
    draw_numbers(axes[2], responses, f"responses {responses.shape[0]}×{responses.shape[1]}")
    frame(axes[0], row * stride, column * stride, len(kernel))
    frame(axes[2], row, column)
    return figure


def sliding_step_figure(image: Tensor, kernel: Tensor, position: int) -> Figure:
    """Draw one position of a kernel that slides over a small image, and the responses up to this position.

    Args:
        image: float `(H, W)`.
        kernel: float `(M, M)`.
        position: Number of the position, from 0, row by row.
    """
    responses = convolve(image[None, None], kernel[None, None])[0, 0]
    row, column = divmod(position, responses.shape[1])
    hidden = torch.arange(responses.numel()).reshape(responses.shape) > position
    side = len(kernel)
    products = kernel * image[row : row + side, column : column + side] + 0.0  # −0 becomes 0
    figure, axes = canvas(4, width=WIDTH / 4, height=2.7)
    draw_numbers(axes[0], image, "image")
    draw_numbers(axes[1], kernel, "kernel")
    draw_numbers(axes[2], products, f"products, sum {products.sum():g}".replace("-", "−"))
    draw_numbers(axes[3], responses, "responses", hidden)
    frame(axes[0], row, column, side)
    frame(axes[3], row, column)
    return figure


def filtered_images_figure(images: Mapping[str, Tensor]) -> Figure:
    """Draw named images, float `(1, C, H, W)`, side by side: three channels in colour, one channel in grey.

    Colours are shown between 0 and 1, grey values from the image's smallest to its largest.
    """
    figure, axes = canvas(len(images), width=min(3, WIDTH / len(images)), height=0.6 + min(3, WIDTH / len(images)))
    for ax, (name, image) in zip(axes, images.items(), strict=True):
        shown = image[0].permute(1, 2, 0).clamp(0, 1) if image.shape[1] == 3 else image[0, 0]
        title = f"{name}\n{image.shape[-2]}×{image.shape[-1]}"
        show_image(ax, shown.numpy(), title, cmap="gray", interpolation="nearest")
    return figure


def routing_figure(image: Tensor, errors: Tensor) -> Figure:
    """Draw the route of a 2×2 max-pool's gradient: the image, the pooled values, the errors and the gradient.

    Args:
        image: float `(H, W)`, H and W even.
        errors: ∂C/∂(pooled), float `(H / 2, W / 2)`.
    """
    batch = image[None, None]
    figure, axes = canvas(4, width=WIDTH / 4, height=2.6)
    draw_numbers(axes[0], image, "image")
    draw_numbers(axes[1], max_pool(batch)[0, 0], "pooled: the maximum of each 2×2")
    draw_numbers(axes[2], errors, "errors that come back")
    draw_numbers(axes[3], max_pool_gradient(batch, errors[None, None])[0, 0], "gradient: to the winners only")
    for ax in (axes[0], axes[3]):
        for row, column in np.ndindex(*errors.shape):
            frame(ax, 2 * row, 2 * column, 2, color="black")
    return figure
