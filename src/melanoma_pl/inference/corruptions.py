"""Perturbations of images in three strengths, after Hendrycks and Dietterich (ICLR 2019): the measure of robustness.

Strength 1 is one that a careful photographer would not notice; 3 is plainly bad, but a doctor could still judge the
mole. A perturbation is a pure function of each image and its index in the split. Light, colour and position are changed
by the arithmetic of the augmentation: bilinear and reflected at the border, since black corners would be a perturbation
of their own. An image's direction (lighter or darker, left or right) is random and the same at all strengths.

The lesion, or everything but the lesion, can be erased as well, after Bissoto et al., "(De)Constructing Bias on Skin
Lesion Datasets", CVPR workshops 2019: a network that still ranks images well when the lesion is gone has learnt how the
images were taken. The boundary is a disc with a diameter of `DIAMETER` sides. It contained the whole lesion in 34 of 40
dermoscopic images that were examined, and it covers 64 % of the image, so that mostly the corners lie outside. A larger
disc would leave nothing to learn from; a smaller one would leave the rims of large lesions, which are often malignant.
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

from melanoma_pl.data.augmentation import PARAMETERS, Dermoscopy
from melanoma_pl.data.synthetic.mole_drawing import Field, generator
from melanoma_pl.inference.artefacts import dark_corners, hairs, ink, ruler

SEED = 0  # the same in all evaluations, so that networks can be compared
# streams of random numbers, apart from those of synthetic moles
DIRECTION, NOISE, HAIRS, RULER, INK, RIM = range(101, 107)
STRENGTHS = (1, 2, 3)
REFERENCE_SIDE = 224  # pixels: lengths hold for images of this side, and scale with the side
DIAMETER = 0.9  # of the disc, in sides of the image
_EDGE = 0.06  # width of the fading zone outside the disc, in sides: a hard edge would be visible
_IMAGES_AT_ONCE = 16  # a copy of all images in 64 bits would take eight times their memory

Levels = tuple[float, float, float]
ImageChange = Callable[[Field, float, np.random.Generator], Field]

# columns of the augmentation's parameters
_ROTATION, _ZOOM, _BRIGHTNESS, _CONTRAST, _HUE = 2, 3, 6, 7, 9


@dataclass(frozen=True)
class Perturbation:
    """One way to change images, in three strengths.

    Attributes:
        name: Such as "blur".
        settings: Meaning of the strengths 1, 2 and 3, such as "σ 1 pixel of 224".
        levels: Parameter of `change` at each strength.
        change: Function of an image, float32 `(3, S, S)`, 0 to 255, a level and random numbers → the changed image, of
            any range.
        stream: Stream of the random numbers.
    """

    name: str
    settings: tuple[str, str, str]
    levels: Levels
    change: ImageChange
    stream: int = DIRECTION

    def apply(self, pixels: Tensor, strength: int, indices: Tensor) -> Tensor:
        """Change each image by itself on the CPU, so that the result cannot depend on the others of the batch.

        Args:
            pixels: uint8 `(N, 3, S, S)`; they stay unchanged.
            strength: 1, 2 or 3.
            indices: int64 `(N,)`, each image's index in its split; they and `SEED` decide the random numbers.

        Returns:
            uint8 `(N, 3, S, S)`, rounded and clamped, with the device and memory format of `pixels`.

        Raises:
            ValueError: If the strength is not 1, 2 or 3.
        """
        if strength not in STRENGTHS:
            raise ValueError(f"strength is {strength}: allowed are 1, 2 and 3")
        changed = torch.empty_like(pixels, device="cpu")
        for position, (image, index) in enumerate(zip(pixels.cpu(), indices.tolist(), strict=True)):
            values = np.ascontiguousarray(image.numpy(), dtype=np.float32)
            result = self.change(values, self.levels[strength - 1], generator(SEED, index, self.stream))
            changed[position] = torch.from_numpy(np.clip(result + 0.5, 0, 255).astype(np.uint8))
        return changed.to(pixels.device)


def blur(image: Field, sigma: float, _: np.random.Generator) -> Field:
    """Blur an image by a Gaussian; `sigma` is in pixels of an image of 224."""
    scaled = sigma * image.shape[-1] / REFERENCE_SIDE
    return np.asarray(gaussian_filter(image, (0, scaled, scaled)))


def noise(image: Field, sigma: float, random: np.random.Generator) -> Field:
    """Add normal noise to an image; `sigma` is in levels of 255 for an image of 224.

    For another size it is in proportion to the side, as if an image of 224 had been resized.
    """
    scaled = sigma * image.shape[-1] / REFERENCE_SIDE
    return np.asarray(image + scaled * random.standard_normal(image.shape, dtype=np.float32))


def jpeg(image: Field, quality: float, _: np.random.Generator) -> Field:
    """Compress an image as JPEG.

    One smaller than 224 is enlarged for that and then reduced, or a block of 8 pixels would be much of the mole.
    """
    original = Image.fromarray(image.astype(np.uint8).transpose(1, 2, 0))  # (3, S, S) → (S, S, 3)
    side, enlarged = original.width, max(original.width, REFERENCE_SIDE)
    file = BytesIO()
    original.resize((enlarged, enlarged), Image.Resampling.BICUBIC).save(file, "JPEG", quality=int(quality))
    with Image.open(file) as stored:
        reduced = stored.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(reduced, dtype=np.float32).transpose(2, 0, 1)


def adjust(image: Field, amount: float, random: np.random.Generator, column: int) -> Field:
    """Change one parameter of the augmentation by an amount, in a random direction.

    Alternating directions would follow classes that alternate. Zoom only enlarges, since a smaller image would need
    skin that nobody has seen.
    """
    direction = 1 if column == _ZOOM or random.random() < 0.5 else -1
    parameters = torch.zeros(1, PARAMETERS)
    parameters[0, column] = amount * direction
    pixels = torch.from_numpy(image.astype(np.uint8))[None]
    return np.asarray(Dermoscopy().apply(pixels, parameters)[0], dtype=np.float32)


def _perturbation(
    name: str, setting: str, levels: Levels, change: ImageChange, scale: float = 1, stream: int = DIRECTION
) -> Perturbation:
    """Return a perturbation whose settings are its levels times a scale, in words."""
    first, second, third = (setting.format(scale * level) for level in levels)
    return Perturbation(name, (first, second, third), levels, change, stream)


_RULERS = ("faint ticks along a third of an edge", "black ticks along an edge", "a paper ruler along an edge")
_INKS = ("one short faint stroke", "three strokes", "seven dark strokes around the mole")

PERTURBATIONS: tuple[Perturbation, ...] = (
    _perturbation("blur", "σ {:g} pixels of 224", (0.75, 1.5, 3.0), blur),
    _perturbation("noise", "σ {:g} levels of 255", (4.0, 10.0, 20.0), noise, stream=NOISE),
    _perturbation("JPEG", "quality {:g} of 100", (60, 30, 12), jpeg),
    _perturbation("brightness", "±{:g} %", (0.1, 0.2, 0.35), partial(adjust, column=_BRIGHTNESS), 100),
    _perturbation("contrast", "±{:g} %", (0.1, 0.25, 0.45), partial(adjust, column=_CONTRAST), 100),
    _perturbation(
        "hue", "±{:g}° of the colour circle", (4 / 360, 10 / 360, 20 / 360), partial(adjust, column=_HUE), 360
    ),
    _perturbation("rotation", "±{:g}°", (10.0, 30.0, 90.0), partial(adjust, column=_ROTATION)),
    _perturbation("zoom", "{:g} % larger", (0.1, 0.2, 0.4), partial(adjust, column=_ZOOM), 100),
    _perturbation("hairs", "{:g} hairs", (4, 12, 25), hairs, stream=HAIRS),
    Perturbation("ruler", _RULERS, (1, 2, 3), ruler, RULER),
    Perturbation("ink", _INKS, (1, 2, 3), ink, INK),
    _perturbation(
        "dark corners", "dark outside a disc {:g} % of the side wide", (1.3, 1.15, 1.0), dark_corners, 100, RIM
    ),
)
"""All perturbations that robustness is measured with, in the order of the report."""


def erase_centre(pixels: Tensor) -> Tensor:
    """Fill the disc in the centre with the mean colour of what each image shows outside it.

    Args:
        pixels: uint8 `(N, 3, S, S)`; they stay unchanged.

    Returns:
        uint8 `(N, 3, S, S)`; nothing is left of the original inside the disc.
    """
    inside = _disc(pixels)
    outside = (1 - inside).double()  # in 64 bits the order of summation, which depends on the batch, is lost
    erased = []
    for images in torch.split(pixels, _IMAGES_AT_ONCE):
        colours = ((images * outside).sum((2, 3), keepdim=True) / outside.sum()).float()  # (B, 3, 1, 1)
        erased.append(_mix(colours, images, inside))
    return torch.cat(erased)


def erase_border(pixels: Tensor, fill: Tensor) -> Tensor:
    """Fill everything outside the disc with one colour, the same for all images, so that it reveals nothing.

    Args:
        pixels: uint8 `(N, 3, S, S)`; they stay unchanged.
        fill: `(3,)`, 0 to 255, such as the mean colour of the split.

    Returns:
        uint8 `(N, 3, S, S)`; the kept part is what `erase_centre` replaces.
    """
    colour = fill.to(pixels.device, torch.float32).view(1, 3, 1, 1)
    inside = _disc(pixels)
    return torch.cat([_mix(images, colour, inside) for images in torch.split(pixels, _IMAGES_AT_ONCE)])


def _disc(pixels: Tensor) -> Tensor:
    """Return each pixel's weight in the disc: float32 `(S, S)`, 1 inside, falling to 0 beyond the edge."""
    side = pixels.shape[-1]
    axis = (torch.arange(side, device=pixels.device) + 0.5) / side - 0.5
    radius = torch.hypot(axis[:, None], axis)
    return (1 - (radius - DIAMETER / 2) / _EDGE).clamp(0, 1)


def _mix(inner: Tensor, outer: Tensor, inside: Tensor) -> Tensor:
    """Blend two images by the disc's weights, rounded to whole levels: uint8."""
    return (inner * inside + outer * (1 - inside)).round_().clamp_(0, 255).to(torch.uint8)
