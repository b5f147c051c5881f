"""A heat map laid over its photo."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from torch import Tensor

# Evenly perceived and safe for the colour-blind (van der Walt and Smith 2015); inferno's reds would be lost on skin.
_COLOUR_MAP = "viridis"
_STRONGEST = 0.65  # opacity where the map is 1: the mole stays visible below


def overlay(pixels: Tensor | NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a photo with its heat map over it, the more opaque the hotter: where the map is zero it is the photo.

    Args:
        pixels: The photo: a uint8 tensor `(3, S, S)` on any device, or a uint8 array `(S, S, 3)`.
        heat: Float `(S, S)` in [0, 1].

    Returns:
        RGB, uint8 `(S, S, 3)`.

    Raises:
        ValueError: If map and photo differ in size.
    """
    photo = pixels.permute(1, 2, 0).cpu().numpy() if isinstance(pixels, Tensor) else pixels
    if photo.shape[:2] != heat.shape:
        raise ValueError(f"the photo's sides are {photo.shape[:2]} and the map's {heat.shape}: they should be equal")
    colours = 255 * colormaps[_COLOUR_MAP](heat)[..., :3]
    opacity = _STRONGEST * heat[..., None]
    return np.asarray(np.rint(photo + opacity * (colours - photo)), dtype=np.uint8)
