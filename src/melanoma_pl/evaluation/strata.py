"""Which images belong together when a model's figures are looked at group by group.

How light the skin around a mole is, estimated from the image itself.

Public sets rarely say a patient's skin tone, though networks that saw mostly light skin may fail on dark skin. The
individual typology angle (ITA) of the skin around the lesion (Chardon, Cretois and Hourseau, International Journal of
Cosmetic Science 13, 1991) stands in for it, as of dermoscopic images in Kinyanjui et al., MICCAI 2020. It is an
estimate: light and camera shift it, and so do a lesion, hair or ink that reaches the border. It says in which group a
figure should be looked at, and nothing about a person.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_pl.evaluation.checks import Floats

UNKNOWN = "unknown"
BANDS = ((30, "under 30"), (45, "30–44"), (60, "45–59"), (75, "60–74"), (math.inf, "75 and over"))


def age_bands(ages: ArrayLike) -> list[str]:
    """Return the band of each age.

    Args:
        ages: float `(N,)`, in years; NaN where it is not known.

    Returns:
        One of "under 30", "30–44", "45–59", "60–74", "75 and over", and "unknown", also for what can be no age.
    """
    return [_band(age) for age in np.asarray(ages, dtype=np.float64).tolist()]


def split_by(values: Sequence[str | None]) -> dict[str, NDArray[np.bool_]]:
    """Return which images have each value of a column.

    Args:
        values: of the `N` images; blank or None where it is not known.

    Returns:
        Value → bool `(N,)`; the most frequent first, equally frequent ones by name, "unknown" last.
    """
    names = np.array([(value or "").strip() or UNKNOWN for value in values], dtype=np.str_)
    frequent = Counter(names.tolist()).most_common()
    frequent.sort(key=lambda item: (item[0] == UNKNOWN, -item[1], item[0]))
    return {name: names == name for name, _ in frequent}


def _band(age: float) -> str:
    if not 0 <= age < math.inf:
        return UNKNOWN
    return next(name for end, name in BANDS if age < end)


# Linear sRGB → CIE XYZ of illuminant D65 (IEC 61966-2-1); white is what it makes of (1, 1, 1).
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = TO_XYZ.sum(axis=1)
ENOUGH = 112  # rows or columns: of larger pictures every second, third, … is looked at
BORDER = 8  # the outermost eighth of the picture on each side
DARKEST = 40  # of the brightest channel: vignettes and rims lie below, skin in use of a lamp above
FEWEST = 0.1  # share of the border that must be lit
LEAST_YELLOW = 1.0  # b*: skin is yellower than grey, and near grey the angle only measures noise
TONES = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"), (-math.inf, "dark"))


def lab(rgb: NDArray[np.generic]) -> Floats:
    """Return CIELAB colours of sRGB ones, for illuminant D65 (IEC 61966-2-1; CIE 15).

    Args:
        rgb: `(..., 3)`, 0 to 255: uint8, or numbers between.

    Returns:
        float64 `(..., 3)`: lightness 0 to 100, green to red, blue to yellow.
    """
    encoded = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    relative = linear @ TO_XYZ.T / WHITE
    bent = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def typology_angle(pixels: NDArray[np.uint8]) -> Floats:
    """Return the individual typology angle, arctan((L* - 50) / b*), of the median colour around each lesion.

    The median of each channel is taken over the outermost eighth of the picture, without dark corners and black rims.
    It is an estimate, see the module.

    Args:
        pixels: uint8 `(N, S, S, 3)`, RGB.

    Returns:
        float64 `(N,)`, in degrees, -90 to 90, the higher the lighter; NaN where less than a tenth of the border is lit,
        or where its colour is grey or blue, as no skin is.
    """
    if pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(f"pixels must have shape (N, S, S, 3), not {pixels.shape}")
    step = max(1, min(pixels.shape[1:3]) // ENOUGH)
    pixels = pixels[:, ::step, ::step]
    border = _border(pixels.shape[1], pixels.shape[2])
    colours = np.array([_median_of_lit(image[border]) for image in pixels]).reshape(-1, 3)  # (N, 3)
    lightness, _, yellow = np.moveaxis(lab(colours), -1, 0)
    yellow = np.where(yellow >= LEAST_YELLOW, yellow, np.nan)
    return np.asarray(np.degrees(np.arctan((lightness - 50) / yellow)), dtype=np.float64)


def tone_of(angle: float) -> str:
    """Return the name of the skin tone of a typology angle in degrees (Del Bino and Bernerd, Brit. J. Derm. 169, 2013).

    Returns:
        "very light" above 55, "light" above 41, "intermediate" above 28, "tan" above 10, "brown" above -30, "dark" up
        to there, "unknown" for NaN.
    """
    return next((name for lowest, name in TONES if angle > lowest), UNKNOWN)


def _border(height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels `(height, width)` lie in the outermost eighth; at least one pixel on each side."""
    rows, columns = max(1, height // BORDER), max(1, width // BORDER)
    border = np.ones((height, width), dtype=np.bool_)
    border[rows : height - rows, columns : width - columns] = False
    return border


def _median_of_lit(colours: NDArray[np.uint8]) -> Floats:
    """Return the median `(3,)` of colours `(K, 3)` that are no darkness; NaN where too few are left."""
    lit = colours[(colours >= DARKEST).any(axis=1)]
    if len(lit) < FEWEST * len(colours) or not len(lit):
        return np.full(3, np.nan)
    return np.asarray(np.median(lit, axis=0), dtype=np.float64)
