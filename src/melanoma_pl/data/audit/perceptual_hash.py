"""What stays of an image when it is recompressed, resized, mirrored, turned or brightened: its low frequencies.

The discrete cosine transform of a small grey picture, as in pHash (Zauner, Implementation and Benchmarking of
Perceptual Image Hash Functions, 2010), with two things added. Mirroring a picture only changes signs of its
coefficients, and turning it by 90° swaps their two indices, so that some combinations of them are the same for all
eight (`invariants`). And the transform of any part of a picture is as cheap as that of the whole, so that a cropped
image is met by the crops of its original (`CROPS`).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]  # top, bottom, left, right as shares of the side

COARSE = 12  # frequencies a side: tells what lies where
FINE = 24
FINE_FROM = 5  # below it every mole on light skin is alike
SAMPLES = 256
_MARGIN = 0.05
WHOLE: Box = (0, 1, 0, 1)
CROPS: tuple[Box, ...] = (
    WHOLE,
    (_MARGIN / 2, 1 - _MARGIN / 2, _MARGIN / 2, 1 - _MARGIN / 2),
    (0, 1 - _MARGIN, 0, 1 - _MARGIN),
    (_MARGIN, 1, _MARGIN, 1),
    (0, 1 - _MARGIN, _MARGIN, 1),
    (_MARGIN, 1, 0, 1 - _MARGIN),
)
TURNS = (
    "as it is",
    "mirrored",
    "mirrored",
    "turned by 180°",
    "mirrored and turned",
    "turned by 90°",
    "turned by 90°",
    "mirrored and turned",
)


def spectrum(grey: NDArray[np.uint8], frequencies: int, box: Box = WHOLE, *, lowest: float = 0.5) -> Floats:
    """Return low frequencies of a part of each picture.

    Args:
        grey: uint8 `(N, S, S)`.
        frequencies: K, a side; those outside the quarter circle of radius K are 0.
        box: The part.
        lowest: Radius below which frequencies are 0; a picture's brightness always is.

    Returns:
        float32 `(N, K, K)`. Each frequency counts with a weight that grows with it, since pictures have the less of it.
    """
    centred = grey - grey.mean((1, 2), keepdims=True, dtype=np.float32)
    top, bottom, left, right = box
    side = grey.shape[1]
    coefficients = _cosines(frequencies, side, top, bottom) @ centred @ _cosines(frequencies, side, left, right).T
    index = np.arange(frequencies)
    radius = np.hypot(index[:, None], index)
    power = 1 if lowest < 1 else 2
    weights = np.where((radius >= lowest) & (radius < frequencies), radius**power, 0)
    return np.asarray(coefficients * weights, dtype=np.float32)


@cache
def _cosines(frequencies: int, side: int, low: float, high: float) -> Floats:
    """Return the matrix `(K, S)` that takes `S` pixels to the cosine transform of the part from `low` to `high`."""
    fraction = (np.arange(SAMPLES) + 0.5) / SAMPLES
    position = (low + fraction * (high - low)) * side - 0.5
    left = np.clip(np.floor(position).astype(int), 0, side - 2)
    share = np.clip(position - left, 0, 1)
    interpolation = np.zeros((SAMPLES, side))
    interpolation[np.arange(SAMPLES), left] = 1 - share
    interpolation[np.arange(SAMPLES), left + 1] += share
    cosines = np.cos(np.pi * np.outer(np.arange(frequencies), fraction)) / SAMPLES
    return np.asarray(cosines @ interpolation, dtype=np.float32)


def invariants(spectra: Floats) -> Floats:
    """Return what mirroring and turning leave as it is, as vectors of length 1: float32 `(N, D)`."""
    magnitude = np.abs(spectra)
    rows, columns = np.triu_indices(spectra.shape[1], 1)
    above, below = magnitude[:, rows, columns], magnitude[:, columns, rows]
    diagonal = np.sqrt(2) * np.diagonal(magnitude, axis1=1, axis2=2)
    return unit(np.concatenate([above + below, np.abs(above - below), diagonal], axis=1))


def turned(spectra: Floats, turn: int) -> Floats:
    """Return the spectra of the pictures after turn 0 to 7 of `TURNS`: float32 `(N, K, K)`."""
    signs = np.where(np.arange(spectra.shape[-1]) % 2, -1, 1).astype(np.float32)
    spectra = spectra.swapaxes(-1, -2) if turn >= 4 else spectra
    spectra = spectra * signs[:, None] if turn // 2 % 2 else spectra
    return spectra * signs if turn % 2 else spectra


def turned_image(picture: Floats, turn: int) -> Floats:
    """Return a picture `(S, S)` after turn 0 to 7 of `TURNS`."""
    picture = picture.T if turn >= 4 else picture
    picture = picture[::-1] if turn // 2 % 2 else picture
    return picture[:, ::-1] if turn % 2 else picture


def turned_box(box: Box, turn: int) -> Box:
    """Return where a part lies after turn 0 to 7 of `TURNS`."""
    top, bottom, left, right = box
    if turn >= 4:
        top, bottom, left, right = left, right, top, bottom
    if turn // 2 % 2:
        top, bottom = 1 - bottom, 1 - top
    return (top, bottom, 1 - right, 1 - left) if turn % 2 else (top, bottom, left, right)


def unit(vectors: Floats) -> Floats:
    """Return vectors `(N, …)` flattened to length 1; those of nothing stay 0."""
    flat = vectors.reshape(len(vectors), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6), dtype=np.float32)
