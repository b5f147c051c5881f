"""What camera, light and storage do to an image, after Hendrycks and Dietterich (2019), in three strengths.

Every function takes uint8 pixels `(N, 3, S, S)`, contiguous or channels last, a strength from 1 (a careful
photographer would not notice) to 3 (plainly bad, a doctor could still judge the mole) and each image's index in its
split, int64 `(N,)`; it returns the same shape and type. Light, colour and position are changed by the augmentation's
own arithmetic: bilinear, reflected at the border, for black corners would be another perturbation. Which of two
directions an image takes is by chance, the same at all strengths.

Raises everywhere: ValueError, if the strength is not 1, 2 or 3.

All perturbations that a network's robustness is measured with, in the order of the report.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

from melanoma_pl.data.augmentation import Dermoscopy
from melanoma_pl.data.synthetic.mole_drawing import Field, generator
from melanoma_pl.inference import artefacts
from melanoma_pl.inference.artefacts import INK_SETTINGS, NOISE, RULER_SETTINGS, SEED, change_each, directions, level

REFERENCE_SIDE = 224  # pixels: lengths are given for such a picture and scale with its side

BLUR_SIGMAS = (0.75, 1.5, 3.0)  # pixels of 224
NOISE_SIGMAS = (4.0, 10.0, 20.0)  # levels of 255, in a picture of 224
JPEG_QUALITIES = (60, 30, 12)
BRIGHTNESS_FRACTIONS = (0.1, 0.2, 0.35)
CONTRAST_FRACTIONS = (0.1, 0.25, 0.45)
HUE_DEGREES = (4.0, 10.0, 20.0)
ROTATION_DEGREES = (10.0, 30.0, 90.0)
ZOOMS = (0.1, 0.2, 0.4)

# Columns of the augmentation's parameters.
_ROTATION, _ZOOM, _BRIGHTNESS, _CONTRAST, _HUE = 2, 3, 6, 7, 9


def blur(pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
    """Return the images out of focus: a Gaussian of `BLUR_SIGMAS` pixels of a picture of 224."""
    sigma = level(BLUR_SIGMAS, strength) * pixels.shape[-1] / REFERENCE_SIDE

    def soften(image: Field, _: int) -> Field:
        return np.asarray(gaussian_filter(image, (0, sigma, sigma)))

    return change_each(pixels, indices, soften)


def noise(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the images with a dark room's grain: normal noise of `NOISE_SIGMAS` levels in a picture of 224.

    In a picture of another size its deviation is in proportion to the side, as if that picture had been resized.
    """
    sigma = level(NOISE_SIGMAS, strength) * pixels.shape[-1] / REFERENCE_SIDE

    def roughen(image: Field, index: int) -> Field:
        return image + sigma * generator(seed, index, NOISE).standard_normal(image.shape, dtype=np.float32)

    return change_each(pixels, indices, roughen)


def jpeg(pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
    """Return the images compressed at `JPEG_QUALITIES`, blocks being 8 pixels wide.

    Pictures smaller than 224 are enlarged for that and then shrunk, or a block would be much of the mole.
    """
    quality = level(JPEG_QUALITIES, strength)
    return change_each(pixels, indices, lambda image, _: _compressed(image, quality))


def _compressed(image: Field, quality: int) -> Field:
    picture = Image.fromarray(image.astype(np.uint8).transpose(1, 2, 0))  # (3, S, S) → (S, S, 3)
    side, enlarged = picture.width, max(picture.width, REFERENCE_SIDE)
    file = BytesIO()
    picture.resize((enlarged, enlarged), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    with Image.open(file) as stored:
        shrunk = stored.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(shrunk, dtype=np.float32).transpose(2, 0, 1)


def brightness(pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
    """Return the images lighter or darker by `BRIGHTNESS_FRACTIONS`."""
    return _changed(pixels, _BRIGHTNESS, level(BRIGHTNESS_FRACTIONS, strength) * directions(indices))


def contrast(pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
    """Return the images with more or less contrast about mid-grey by `CONTRAST_FRACTIONS`."""
    return _changed(pixels, _CONTRAST, level(CONTRAST_FRACTIONS, strength) * directions(indices))


def hue(pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
    """Return the images with all colours turned one way or the other by `HUE_DEGREES` of 360."""
    return _changed(pixels, _HUE, level(HUE_DEGREES, strength) / 360 * directions(indices))


def rotation(pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
    """Return the images turned one way or the other by `ROTATION_DEGREES`, corners filled by reflection."""
    return _changed(pixels, _ROTATION, level(ROTATION_DEGREES, strength) * directions(indices))


def zoom(pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
    """Return the images larger by `ZOOMS`: always larger, since smaller ones would need skin that nobody has seen."""
    return _changed(pixels, _ZOOM, torch.full((len(pixels),), level(ZOOMS, strength)))


def _changed(pixels: Tensor, column: int, amounts: Tensor) -> Tensor:
    """Return images changed in one of the augmentation's parameters, by an amount an image, `(N,)`."""
    if len(pixels) == 0:
        return pixels
    parameters = torch.zeros(len(pixels), 10, device=pixels.device)
    parameters[:, column] = amounts.to(pixels.device)
    return Dermoscopy().apply(pixels, parameters)


@dataclass(frozen=True)
class Perturbation:
    """One way to change images.

    Attributes:
        name: Such as "blur".
        settings: What strengths 1, 2 and 3 mean, such as "σ 1 pixel of 224".
        apply: Takes pixels, uint8 `(N, 3, S, S)`, a strength of 1, 2 or 3 and each image's index in its split, int64
            `(N,)`; returns the changed images, uint8 `(N, 3, S, S)`: a pure function of each image and its index.
    """

    name: str
    settings: tuple[str, str, str]
    apply: Callable[[Tensor, int, Tensor], Tensor]


def _each(template: str, levels: tuple[float, float, float], times: float = 1) -> tuple[str, str, str]:
    first, second, third = (template.format(times * value) for value in levels)
    return first, second, third


_RIM = "dark outside a disc {:g} % of the side wide"

PERTURBATIONS: tuple[Perturbation, ...] = (
    Perturbation("blur", _each("σ {:g} pixels of 224", BLUR_SIGMAS), blur),
    Perturbation("noise", _each("σ {:g} levels of 255", NOISE_SIGMAS), noise),
    Perturbation("JPEG", _each("quality {:g} of 100", JPEG_QUALITIES), jpeg),
    Perturbation("brightness", _each("±{:g} %", BRIGHTNESS_FRACTIONS, 100), brightness),
    Perturbation("contrast", _each("±{:g} %", CONTRAST_FRACTIONS, 100), contrast),
    Perturbation("hue", _each("±{:g}° of the colour circle", HUE_DEGREES), hue),
    Perturbation("rotation", _each("±{:g}°", ROTATION_DEGREES), rotation),
    Perturbation("zoom", _each("{:g} % larger", ZOOMS, 100), zoom),
    Perturbation("hairs", _each("{:g} hairs", artefacts.HAIR_COUNTS), artefacts.hairs),
    Perturbation("ruler", RULER_SETTINGS, artefacts.ruler),
    Perturbation("ink", INK_SETTINGS, artefacts.ink),
    Perturbation("dark corners", _each(_RIM, artefacts.RIM_DIAMETERS, 100), artefacts.dark_corners),
)
