"""Strata in which performance is reported: values of a metadata column, age bands, and estimated skin tone.

Public datasets rarely record skin tone, although networks trained mostly on light skin may fail on dark skin. The
individual typology angle (ITA) of the skin around the lesion (Chardon, Cretois and Hourseau, International Journal of
Cosmetic Science 13, 1991) is therefore estimated from the image, as Kinyanjui et al. (MICCAI 2020) did for dermoscopic
images. Illumination and camera shift the estimate, and so do a lesion, hair or ink that reaches the border. It serves
to group images and does not characterise a person.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_pl.evaluation.checks import Floats

UNKNOWN = "unknown"
OLDEST = 120  # years
BANDS = ((30, "under 30"), (45, "30–44"), (60, "45–59"), (75, "60–74"), (math.inf, "75 and over"))


def age_bands(ages: ArrayLike) -> list[str]:
    """Return the band of each age.

    Args:
        ages: float `(N,)`, in years; NaN if unknown.

    Returns:
        For each age "under 30", "30–44", "45–59", "60–74", "75 and over" or, for NaN and impossible ages, "unknown".
    """
    return [_band(age) for age in np.asarray(ages, dtype=np.float64).tolist()]


def split_by(values: Sequence[str | None]) -> dict[str, NDArray[np.bool_]]:
    """Return which images have each value of a column.

    Args:
        values: Values of the `N` images; blank or None if unknown.

    Returns:
        Value → bool `(N,)`; the most frequent value first, equally frequent ones by name, "unknown" last.
    """
    names = np.array([(value or "").strip() or UNKNOWN for value in values], dtype=np.str_)
    frequent = Counter(names.tolist()).most_common()
    frequent.sort(key=lambda item: (item[0] == UNKNOWN, -item[1], item[0]))
    return {name: names == name for name, _ in frequent}


def _band(age: float) -> str:
    if not 0 <= age <= OLDEST:
        return UNKNOWN
    return next(name for end, name in BANDS if age < end)


# Linear sRGB → CIE XYZ for illuminant D65 (IEC 61966-2-1).
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = TO_XYZ.sum(axis=1)
SAMPLED_ROWS = 112  # larger images are subsampled to at least this many rows and columns
BORDER = 8  # the border is the outermost eighth of the image on each side
DARKEST = 40  # lowest value of the brightest channel: vignettes and rims are darker, illuminated skin is brighter
FEWEST = 0.1  # smallest fraction of the border that must be illuminated
LEAST_YELLOW = 1.0  # b*: skin is yellower than grey, and near grey the angle measures only noise
TONES = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"), (-math.inf, "dark"))


def lab(rgb: NDArray[np.generic]) -> Floats:
    """Convert sRGB colours to CIELAB for illuminant D65 (IEC 61966-2-1; CIE 15).

    Args:
        rgb: uint8 or float `(..., 3)`, 0 to 255.

    Returns:
        float64 `(..., 3)`: L* from 0 to 100, a* from green to red, b* from blue to yellow.
    """
    encoded = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    relative = linear @ TO_XYZ.T / WHITE
    bent = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def typology_angle(pixels: NDArray[np.uint8]) -> Floats:
    """Return the individual typology angle, arctan((L* - 50) / b*), of the median colour around each lesion.

    The median of each channel is taken over the outermost eighth of the image, without dark corners and black rims.

    Args:
        pixels: uint8 `(N, S, S, 3)`, RGB.

    Returns:
        float64 `(N,)`, in degrees, -90 to 90, the higher, the lighter; NaN if less than a tenth of the border is
        illuminated, or if its colour is grey or blue, unlike skin.
    """
    if pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(f"pixels must have shape (N, S, S, 3), not {pixels.shape}")
    step = max(1, min(pixels.shape[1:3]) // SAMPLED_ROWS)
    pixels = pixels[:, ::step, ::step]
    border = _border(pixels.shape[1], pixels.shape[2])
    colours = np.array([_median_of_lit(image[border]) for image in pixels]).reshape(-1, 3)  # (N, 3)
    lightness, _, yellow = np.moveaxis(lab(colours), -1, 0)
    yellow = np.where(yellow >= LEAST_YELLOW, yellow, np.nan)
    return np.asarray(np.degrees(np.arctan((lightness - 50) / yellow)), dtype=np.float64)


def tone_of(angle: float) -> str:
    """Return the name of the skin tone of a typology angle in degrees (Del Bino and Bernerd, Brit. J. Derm. 169, 2013).

    Returns:
        "very light" above 55, "light" above 41, "intermediate" above 28, "tan" above 10, "brown" above -30, otherwise
        "dark"; "unknown" for NaN.
    """
    return next((name for lowest, name in TONES if angle > lowest), UNKNOWN)


def _border(height: int, width: int) -> NDArray[np.bool_]:
    """Return the mask `(height, width)` of the outermost eighth, at least one pixel wide on each side."""
    rows, columns = max(1, height // BORDER), max(1, width // BORDER)
    border = np.ones((height, width), dtype=np.bool_)
    border[rows : height - rows, columns : width - columns] = False
    return border


def _median_of_lit(colours: NDArray[np.uint8]) -> Floats:
    """Return the median `(3,)` of the illuminated ones among colours `(K, 3)`; NaN if they are too few."""
    lit = colours[(colours >= DARKEST).any(axis=1)]
    if len(lit) < FEWEST * len(colours) or not len(lit):
        return np.full(3, np.nan)
    return np.asarray(np.median(lit, axis=0), dtype=np.float64)
