"""Images without the mole, and moles without the image: what does the network know from which?

After Bissoto et al., "(De)Constructing Bias on Skin Lesion Datasets", CVPR workshops 2019: a network that still ranks
images well when the mole is gone has learnt how the images were taken.

The line between the two is a disc of `FRACTION` of the picture's side. Of 40 dermoscopic images looked at, 34 had the
whole lesion inside; it covers 64 % of the picture, so what lies outside is mostly the corners. A larger disc would
leave nothing to learn from, a smaller one would leave the rims of large lesions, which are often malignant.
"""

from collections.abc import Callable

import torch
from torch import Tensor

FRACTION = 0.9  # the disc's diameter, in sides
_IMAGES_AT_ONCE = 16  # a copy of all images in 64 bits would take eight times their memory
_EDGE = (
    0.06  # over so much of the side, outside the disc, one fades into the other: a hard edge would be a thing to see
)


def erase_centre(pixels: Tensor, share: float = FRACTION) -> Tensor:
    """Return the images with the disc in the middle in the mean colour of what each image has outside.

    Args:
        pixels: uint8 `(N, 3, S, S)`; left as they are.
        share: The disc's diameter, in sides, above 0 to 1.

    Returns:
        uint8 `(N, 3, S, S)`; inside the disc nothing is left of what was there.

    Raises:
        ValueError: If the share is out of its range.
    """
    inside = _disc(pixels, share)
    return _by_pieces(lambda images: _mix(_mean_colour(images, 1 - inside), images, inside), pixels)


def erase_border(pixels: Tensor, fill: Tensor, share: float = FRACTION) -> Tensor:
    """Return the images with everything outside the disc in one colour: each image's own would tell of its border.

    Args:
        pixels: uint8 `(N, 3, S, S)`; left as they are.
        fill: `(3,)`, 0 to 255; the same for all images, such as the mean colour of the set.
        share: The disc's diameter, in sides, above 0 to 1.

    Returns:
        uint8 `(N, 3, S, S)`; what `erase_centre` replaces is what is kept here.

    Raises:
        ValueError: If the share is out of its range.
    """
    colour = fill.to(pixels.device, torch.float32).view(1, 3, 1, 1)
    inside = _disc(pixels, share)
    return _by_pieces(lambda images: _mix(images, colour, inside), pixels)


def _disc(pixels: Tensor, share: float) -> Tensor:
    """Return how far each pixel belongs to the disc: float32 `(S, S)`, 1 inside, falling to 0 beyond its edge."""
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}: allowed are above 0 to 1, the disc's diameter in sides")
    side = pixels.shape[-1]
    axis = (torch.arange(side, device=pixels.device) + 0.5) / side - 0.5
    radius = torch.hypot(axis[:, None], axis)
    return (1 - (radius - share / 2) / _EDGE).clamp(0, 1)


def _mean_colour(images: Tensor, weights: Tensor) -> Tensor:
    """Return each image's weighted mean `(N, 3, 1, 1)`; 64 bits hide in which order a batch of another size adds up."""
    weights = weights.double()
    return ((images * weights).sum((2, 3), keepdim=True) / weights.sum()).float()


def _by_pieces(change: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    return torch.cat([change(images) for images in torch.split(pixels, _IMAGES_AT_ONCE)])


def _mix(inner: Tensor, outer: Tensor, inside: Tensor) -> Tensor:
    """Return one inside the disc, the other outside, rounded to whole levels."""
    return (inner * inside + outer * (1 - inside)).round_().clamp_(0, 255).to(torch.uint8)
