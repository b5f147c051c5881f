"""Low frequencies of an image, which survive recompression, resizing, mirroring, rotation and brightening.

They are the discrete cosine transform of a small grey image, as in pHash (Zauner, Implementation and Benchmarking of
Perceptual Image Hash Functions, 2010), with two additions. Mirroring an image only changes signs of its coefficients,
and turning it by 90° swaps their two indices, so that some combinations of them are the same for all eight orientations
(`invariants`). The transform of any part of an image is as cheap as that of the whole, so that a cropped copy matches
one of the crops of its original (`CROPS`).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]  # top, bottom, left, right as fractions of the side

COARSE = 12  # frequencies per side: the coarse layout of the image
FINE = 24
FINE_FROM = 5  # below it all moles on light skin are similar
SAMPLES = 256
CHUNK = 256  # images transformed at a time, which fit into the cache of a core
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


def coefficients(grey: NDArray[np.uint8], box: Box = WHOLE) -> Floats:
    """Return the discrete cosine transform of a part of each image, without the mean brightness.

    Args:
        grey: uint8 `(N, S, S)`.
        box: The part.

    Returns:
        float32 `(N, 24, 24)`, the lowest frequencies.
    """
    top, bottom, left, right = box
    side = grey.shape[1]
    vertical, horizontal = _cosines(FINE, side, top, bottom).T, _cosines(FINE, side, left, right).T
    found = np.empty((len(grey), FINE, FINE), dtype=np.float32)
    for start in range(0, len(grey), CHUNK):
        some = grey[start : start + CHUNK].astype(np.float32)
        some -= some.mean((1, 2), keepdims=True)
        # two large matrix products are ten times as fast as two small ones for each image
        columns = (some.reshape(-1, side) @ horizontal).reshape(-1, side, FINE).swapaxes(1, 2)  # (n, 24, S)
        found[start : start + CHUNK] = (columns.reshape(-1, side) @ vertical).reshape(-1, FINE, FINE).swapaxes(1, 2)
    return found


def spectrum(transform: Floats, frequencies: int, *, lowest: float = 0.5) -> Floats:
    """Return low frequencies of images, each with a weight that grows with it, since images have less of high ones.

    Args:
        transform: As of `coefficients`.
        frequencies: K, the frequencies per side, at most 24; those outside the quarter circle of radius K are 0.
        lowest: Radius below which frequencies are 0; the mean brightness is always 0.

    Returns:
        float32 `(N, K, K)`.
    """
    index = np.arange(frequencies)
    radius = np.hypot(index[:, None], index)
    power = 1 if lowest < 1 else 2
    weights = np.where((radius >= lowest) & (radius < frequencies), radius**power, 0).astype(np.float32)
    return np.asarray(transform[:, :frequencies, :frequencies] * weights)


def coarse(transform: Floats) -> Floats:
    """Return the coarse frequencies of images, float32 `(N, 12, 12)`, scaled to length 1, from their coefficients."""
    return _directions(spectrum(transform, COARSE))


def fine(transform: Floats) -> Floats:
    """Return the finer frequencies of images, float32 `(N, 24, 24)`, scaled to length 1, from their coefficients."""
    return _directions(spectrum(transform, FINE, lowest=FINE_FROM))


def _directions(spectra: Floats) -> Floats:
    return unit(spectra).reshape(spectra.shape)


@cache
def _cosines(frequencies: int, side: int, low: float, high: float) -> Floats:
    """Return the matrix `(K, S)` that maps `S` pixels to the cosine transform of the part from `low` to `high`."""
    fraction = (np.arange(SAMPLES) + 0.5) / SAMPLES
    position = (low + fraction * (high - low)) * side - 0.5
    left = np.clip(np.floor(position).astype(int), 0, side - 2)
    weight = np.clip(position - left, 0, 1)
    interpolation = np.zeros((SAMPLES, side))
    interpolation[np.arange(SAMPLES), left] = 1 - weight
    interpolation[np.arange(SAMPLES), left + 1] += weight
    cosines = np.cos(np.pi * np.outer(np.arange(frequencies), fraction)) / SAMPLES
    return np.asarray(cosines @ interpolation, dtype=np.float32)


def invariants(spectra: Floats) -> Floats:
    """Return the features that mirroring and rotation leave unchanged, as vectors of length 1: float32 `(N, D)`."""
    magnitude = np.abs(spectra)
    rows, columns = np.triu_indices(spectra.shape[1], 1)
    above, below = magnitude[:, rows, columns], magnitude[:, columns, rows]
    diagonal = np.sqrt(2) * np.diagonal(magnitude, axis1=1, axis2=2)
    return unit(np.concatenate([above + below, np.abs(above - below), diagonal], axis=1))


def turned(spectra: Floats, turn: int) -> Floats:
    """Return the spectra of images after turn 0 to 7 of `TURNS`: float32 `(N, K, K)`."""
    signs = np.where(np.arange(spectra.shape[-1]) % 2, -1, 1).astype(np.float32)
    spectra = spectra.swapaxes(-1, -2) if turn >= 4 else spectra
    spectra = spectra * signs[:, None] if turn // 2 % 2 else spectra
    return spectra * signs if turn % 2 else spectra


def turned_image(image: Floats, turn: int) -> Floats:
    """Return an image `(S, S)` after turn 0 to 7 of `TURNS`."""
    image = image.T if turn >= 4 else image
    image = image[::-1] if turn // 2 % 2 else image
    return image[:, ::-1] if turn % 2 else image


def turned_box(box: Box, turn: int) -> Box:
    """Return a part of an image after turn 0 to 7 of `TURNS`."""
    top, bottom, left, right = box
    if turn >= 4:
        top, bottom, left, right = left, right, top, bottom
    if turn // 2 % 2:
        top, bottom = 1 - bottom, 1 - top
    return (top, bottom, 1 - right, 1 - left) if turn % 2 else (top, bottom, left, right)


def unit(vectors: Floats) -> Floats:
    """Return vectors `(N, …)` flattened to `(N, D)` and scaled to length 1; zero vectors stay 0."""
    flat = vectors.reshape(len(vectors), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(length, 1e-6), dtype=np.float32)
