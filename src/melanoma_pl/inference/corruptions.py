"""Perturbations of images in three strengths, after Hendrycks and Dietterich (ICLR 2019): the measure of robustness.

Strength 1 is one that a careful photographer would not notice; 3 is plainly bad, but a doctor could still judge the
mole. A perturbation is a pure function of each image and its index in the split. Light, colour and position are changed
by the arithmetic of the augmentation: bilinear and reflected at the border, since black corners would be a perturbation
of their own. An image's direction (lighter or darker, left or right) is random and the same at all strengths.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from melanoma_pl.data.augmentation import Dermoscopy
from melanoma_pl.data.synthetic.mole_drawing import Field, generator
from melanoma_pl.inference.artefacts import DIRECTION, NOISE, SEED, change_each, dark_corners, hairs, ink, ruler

STRENGTHS = (1, 2, 3)
REFERENCE_SIDE = 224  # pixels: lengths hold for images of this side, and scale with the side

Levels = tuple[float, float, float]
LevelChange = Callable[[Tensor, float, Tensor], Tensor]

# columns of the augmentation's parameters
_ROTATION, _ZOOM, _BRIGHTNESS, _CONTRAST, _HUE = 2, 3, 6, 7, 9


@dataclass(frozen=True)
class Perturbation:
    """One way to change images, in three strengths.

    Attributes:
        name: Such as "blur".
        settings: Meaning of the strengths 1, 2 and 3, such as "σ 1 pixel of 224".
        levels: Parameter of `change` at each strength.
        change: Function of pixels, uint8 `(N, 3, S, S)`, level and each image's index in its split, int64 `(N,)` →
            changed pixels of the same shape and type.
    """

    name: str
    settings: tuple[str, str, str]
    levels: Levels
    change: LevelChange

    def apply(self, pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
        """Return the changed images, uint8 `(N, 3, S, S)`; arguments as of `change`.

        Raises:
            ValueError: If the strength is not 1, 2 or 3.
        """
        if strength not in STRENGTHS:
            raise ValueError(f"strength is {strength}: allowed are 1, 2 and 3")
        return self.change(pixels, self.levels[strength - 1], indices)


def blur(pixels: Tensor, sigma: float, indices: Tensor) -> Tensor:
    """Blur each image by a Gaussian; `sigma` is in pixels of an image of 224."""
    scaled = sigma * pixels.shape[-1] / REFERENCE_SIDE
    return change_each(pixels, indices, lambda image, _: np.asarray(gaussian_filter(image, (0, scaled, scaled))))


def noise(pixels: Tensor, sigma: float, indices: Tensor, seed: int = SEED) -> Tensor:
    """Add normal noise to each image; `sigma` is in levels of 255 for an image of 224.

    For another size it is in proportion to the side, as if an image of 224 had been resized.
    """
    scaled = sigma * pixels.shape[-1] / REFERENCE_SIDE

    def add_noise(image: Field, random: np.random.Generator) -> Field:
        return image + scaled * random.standard_normal(image.shape, dtype=np.float32)

    return change_each(pixels, indices, add_noise, NOISE, seed)


def jpeg(pixels: Tensor, quality: float, indices: Tensor) -> Tensor:
    """Compress each image as JPEG.

    Images smaller than 224 are enlarged for that and then reduced, or a block of 8 pixels would be much of the mole.
    """

    def compress(image: Field, _: np.random.Generator) -> Field:
        original = Image.fromarray(image.astype(np.uint8).transpose(1, 2, 0))  # (3, S, S) → (S, S, 3)
        side, enlarged = original.width, max(original.width, REFERENCE_SIDE)
        file = BytesIO()
        original.resize((enlarged, enlarged), Image.Resampling.BICUBIC).save(file, "JPEG", quality=int(quality))
        with Image.open(file) as stored:
            reduced = stored.resize((side, side), Image.Resampling.BICUBIC)
        return np.asarray(reduced, dtype=np.float32).transpose(2, 0, 1)

    return change_each(pixels, indices, compress)


def directions(indices: Tensor, seed: int = SEED) -> Tensor:
    """Return a random -1 or 1 for each image: alternating signs would follow classes that alternate.

    Args:
        indices: int64 `(N,)`, each image's index in its split.
        seed: Seed of the random numbers.

    Returns:
        float32 `(N,)`, on the device of `indices`.
    """
    signs = [1.0 if generator(seed, index, DIRECTION).random() < 0.5 else -1.0 for index in indices.tolist()]
    return torch.tensor(signs, dtype=torch.float32, device=indices.device)


def adjust(pixels: Tensor, amount: float, indices: Tensor, column: int) -> Tensor:
    """Change one parameter of the augmentation by an amount, in each image's random direction.

    Zoom only enlarges, since a smaller image would need skin that nobody has seen.
    """
    if len(pixels) == 0:
        return pixels
    parameters = torch.zeros(len(pixels), 10, device=pixels.device)
    parameters[:, column] = amount if column == _ZOOM else amount * directions(indices).to(pixels.device)
    return Dermoscopy().apply(pixels, parameters)


def _perturbation(name: str, setting: str, levels: Levels, change: LevelChange, scale: float = 1) -> Perturbation:
    """Return a perturbation whose settings are its levels times a scale, in words."""
    first, second, third = (setting.format(scale * level) for level in levels)
    return Perturbation(name, (first, second, third), levels, change)


_RULERS = ("faint ticks along a third of an edge", "black ticks along an edge", "a paper ruler along an edge")
_INKS = ("one short faint stroke", "three strokes", "seven dark strokes around the mole")

PERTURBATIONS: tuple[Perturbation, ...] = (
    _perturbation("blur", "σ {:g} pixels of 224", (0.75, 1.5, 3.0), blur),
    _perturbation("noise", "σ {:g} levels of 255", (4.0, 10.0, 20.0), noise),
    _perturbation("JPEG", "quality {:g} of 100", (60, 30, 12), jpeg),
    _perturbation("brightness", "±{:g} %", (0.1, 0.2, 0.35), partial(adjust, column=_BRIGHTNESS), 100),
    _perturbation("contrast", "±{:g} %", (0.1, 0.25, 0.45), partial(adjust, column=_CONTRAST), 100),
    _perturbation(
        "hue", "±{:g}° of the colour circle", (4 / 360, 10 / 360, 20 / 360), partial(adjust, column=_HUE), 360
    ),
    _perturbation("rotation", "±{:g}°", (10.0, 30.0, 90.0), partial(adjust, column=_ROTATION)),
    _perturbation("zoom", "{:g} % larger", (0.1, 0.2, 0.4), partial(adjust, column=_ZOOM), 100),
    _perturbation("hairs", "{:g} hairs", (4, 12, 25), hairs),
    Perturbation("ruler", _RULERS, (1, 2, 3), ruler),
    Perturbation("ink", _INKS, (1, 2, 3), ink),
    _perturbation("dark corners", "dark outside a disc {:g} % of the side wide", (1.3, 1.15, 1.0), dark_corners, 100),
)
"""All perturbations that robustness is measured with, in the order of the report."""
