"""All perturbations that a network's robustness is measured with, in the order of the report."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from melanoma_pl.perturbations import artefacts, corruptions
from melanoma_pl.perturbations.marks import INK_SETTINGS, RULER_SETTINGS


@dataclass(frozen=True)
class Perturbation:
    """One way to change photos.

    Attributes:
        name: Such as "blur".
        settings: What strengths 1, 2 and 3 mean, such as "σ 1 pixel of 224".
        apply: Takes pixels, uint8 `(N, 3, S, S)`, a strength of 1, 2 or 3 and each photo's index in its split, int64
            `(N,)`; returns the changed photos, uint8 `(N, 3, S, S)`: a pure function of each photo and its index.
    """

    name: str
    settings: tuple[str, str, str]
    apply: Callable[[Tensor, int, Tensor], Tensor]


def _each(template: str, levels: tuple[float, float, float], times: float = 1) -> tuple[str, str, str]:
    first, second, third = (template.format(times * value) for value in levels)
    return first, second, third


_RIM = "dark outside a disc {:g} % of the side wide"

PERTURBATIONS: tuple[Perturbation, ...] = (
    Perturbation("blur", _each("σ {:g} pixels of 224", corruptions.BLUR_SIGMAS), corruptions.blur),
    Perturbation("noise", _each("σ {:g} levels of 255", corruptions.NOISE_SIGMAS), corruptions.noise),
    Perturbation("JPEG", _each("quality {:g} of 100", corruptions.JPEG_QUALITIES), corruptions.jpeg),
    Perturbation("brightness", _each("±{:g} %", corruptions.BRIGHTNESS_SHARES, 100), corruptions.brightness),
    Perturbation("contrast", _each("±{:g} %", corruptions.CONTRAST_SHARES, 100), corruptions.contrast),
    Perturbation("hue", _each("±{:g}° of the colour circle", corruptions.HUE_DEGREES), corruptions.hue),
    Perturbation("rotation", _each("±{:g}°", corruptions.ROTATION_DEGREES), corruptions.rotation),
    Perturbation("zoom", _each("{:g} % larger", corruptions.ZOOMS, 100), corruptions.zoom),
    Perturbation("hairs", _each("{:g} hairs", artefacts.HAIR_COUNTS), artefacts.hairs),
    Perturbation("ruler", RULER_SETTINGS, artefacts.ruler),
    Perturbation("ink", INK_SETTINGS, artefacts.ink),
    Perturbation("dark corners", _each(_RIM, artefacts.RIM_DIAMETERS, 100), artefacts.dark_corners),
)
