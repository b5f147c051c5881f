"""What else is to be seen on a dermoscopic photo: hairs, a ruler, a surgeon's ink, the dermoscope's dark rim.

Benign and malignant moles are photographed by other people on other days, so a network may learn these instead of
moles (Bissoto et al., CVPR workshops 2019; Winkler et al., JAMA Dermatology 2019, for ink). Every function takes
uint8 pixels `(N, 3, S, S)`, a strength of 1, 2 or 3 and each photo's index in its split, int64 `(N,)`; it returns the
same shape and type. Lengths are shares of the picture's side; where things lie follows from seed and index.

Raises everywhere: ValueError, if the strength is not 1, 2 or 3.
"""

import numpy as np
from torch import Tensor

from melanoma_pl.data.mole_drawing import Field, dark_rim, generator, lay_hairs
from melanoma_pl.perturbations.marks import draw_ink, draw_ruler
from melanoma_pl.perturbations.photo_by_photo import HAIRS, INK, RIM, RULER, SEED, change_each, level

HAIR_COUNTS = (4, 12, 25)
RIM_DIAMETERS = (1.3, 1.15, 1.0)  # of the bright disc, in sides; a square's diagonal is 1.41
_RIM_SOFTNESS = 0.12  # half sides


def hairs(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the photos with `HAIR_COUNTS` hairs more, drawn as on synthetic moles."""
    count = level(HAIR_COUNTS, strength)
    return change_each(pixels, indices, lambda photo, index: lay_hairs(photo, generator(seed, index, HAIRS), count))


def ruler(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the photos with the marks of a ruler near one edge; at strength 3 a paper ruler with numbers."""
    level((1, 2, 3), strength)
    return change_each(pixels, indices, lambda photo, index: draw_ruler(photo, generator(seed, index, RULER), strength))


def ink(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the photos with strokes of a surgeon's violet pen around the mole."""
    level((1, 2, 3), strength)
    return change_each(pixels, indices, lambda photo, index: draw_ink(photo, generator(seed, index, INK), strength))


def dark_corners(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the photos through a round tube: dark beyond a disc of `RIM_DIAMETERS`, a little off the middle."""
    diameter = level(RIM_DIAMETERS, strength)

    def shade(photo: Field, index: int) -> Field:
        x0, y0 = generator(seed, index, RIM).uniform(-0.05, 0.05, 2)
        axis = np.linspace(-1, 1, photo.shape[-1], dtype=np.float32)
        radius = np.hypot(axis - x0, axis[:, None] - y0)
        return photo * dark_rim(radius, diameter + _RIM_SOFTNESS / 2, _RIM_SOFTNESS)

    return change_each(pixels, indices, shade)
