"""Alignment of two images and correlation of their fine detail, which tells a copy from a similar mole.

The second image is warped by six parameters that a Gauss-Newton search fits together with a gain and an offset of
brightness (Lucas and Kanade, IJCAI 1981; Baker and Matthews, International Journal of Computer Vision 56, 2004). The
similarity is then the correlation of detail about 2 to 5 % of the image wide: spots, streaks, hairs and the grain of
the skin, which two moles never share. Strong detail counts little more than faint detail: otherwise two round spots on
smooth skin would match by their outlines.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from melanoma_pl.data.audit.candidates import Candidate
from melanoma_pl.data.audit.perceptual_hash import CROPS, Box, Floats, turned_box, turned_image
from melanoma_pl.errors import UserError
from melanoma_pl.image_files import BrokenImageError, draft, open_image, to_rgb

Affine = NDArray[np.float64]  # (2, 3): position in the first image, -1 to 1 → position in the second

FULL = 128  # pixels: side of the images that decide
ROUGH_STEPS, MIDDLE_STEPS = 4, 5
ROUGH_DETAIL = (1.0, 3.0)  # pixels of 64: widths of the two blurs whose difference is the detail
DETAIL = (0.8, 2.0)  # pixels of 128
ROUGH_CORRELATION = 0.85  # pairs of one lesion have 0.92 and more; most others have less
SAME_IMAGE = 0.58  # on 2,637 real images other pairs have at most 0.48, drawn ones 0.54; copies have at least 0.85
LEAST_OVERLAP = 0.5


def confirm(candidate: Candidate, grey: NDArray[np.uint8], files: Sequence[Path]) -> tuple[float, bool]:
    """Decide by their pixels whether the two images of a candidate are copies.

    Args:
        candidate: The pair.
        grey: Small grey copies of all images, uint8 `(N, 64, 64)`.
        files: Files of all images; they are opened for pairs that are still similar at 64 pixels.

    Returns:
        The correlation of their fine detail after the alignment, -1 to 1; and whether they are copies of one image, or
        two images of one lesion from the same position.
    """
    first = grey[candidate.first].astype(np.float32)
    second = turned_image(grey[candidate.second].astype(np.float32), candidate.turn)
    affine = _start(turned_box(CROPS[candidate.crop], candidate.turn))
    affine = register(_halve(first), _halve(second), affine, ROUGH_STEPS)
    affine = register(first, second, affine, 1)
    rough = similarity(first, second, affine, ROUGH_DETAIL, compressed=False)
    if rough < ROUGH_CORRELATION:
        return rough, False
    affine = register(first, second, affine, MIDDLE_STEPS)
    first, second = (read_grey(files[index]) for index in (candidate.first, candidate.second))
    value = similarity(first, turned_image(second, candidate.turn), affine, DETAIL)
    return value, value >= SAME_IMAGE


def equal_pixels(first: Path, second: Path) -> bool:
    """Tell whether two files of any format hold exactly the same pixels.

    Raises:
        UserError: If one of them can no longer be read.
    """
    one, other = _read(first), _read(second)
    return one.size == other.size and one.tobytes() == other.tobytes()


def read_grey(file: Path) -> Floats:
    """Return an image in grey, float32 `(128, 128)`.

    Raises:
        UserError: If it can no longer be read.
    """
    image = _read(file, FULL).convert("L").resize((FULL, FULL), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32)


def _read(file: Path, side: int | None = None) -> Image.Image:
    """Return an image in RGB; a large JPEG is decoded at reduced size, not below twice `side`."""
    try:
        with open_image(file) as image:
            if side is not None:
                draft(image, side)
            return to_rgb(image)
    except BrokenImageError as error:
        raise UserError(f"{file} was readable when the audit began and no longer is ({error})") from error


def register(first: Floats, second: Floats, affine: Affine, steps: int) -> Affine:
    """Return the affine map that aligns the second image with the first.

    Args:
        first: float32 `(S, S)`.
        second: float32 `(S, S)`.
        affine: Initial map.
        steps: Most iterations; the search ends earlier once it converges.
    """
    side = len(first)
    target, moving = gaussian_filter(first, 1), gaussian_filter(second, 1)
    slopes = [slope * side / 2 for slope in np.gradient(moving)]
    rows, columns = _grid(side)
    terms = np.empty((8, side, side), dtype=np.float32)
    terms[6], terms[7] = -target, -1  # gain and offset of brightness
    for _ in range(steps):
        positions, inside = _warp(affine, rows, columns, side)
        value, terms[2], terms[5] = (
            map_coordinates(each, positions, order=1, mode="nearest") for each in (moving, *slopes)
        )
        for slope in (2, 5):
            np.multiply(terms[slope], rows, out=terms[slope - 2])
            np.multiply(terms[slope], columns, out=terms[slope - 1])
        flat = terms.reshape(8, -1)
        counted = flat * inside.ravel()
        normal, right = (counted @ flat.T).astype(np.float64), (counted @ value.ravel()).astype(np.float64)
        move = np.linalg.solve(normal + 1e-3 * np.eye(8), -right)
        affine = affine + move[:6].reshape(2, 3)
        if np.abs(move[:6]).max() < 1e-3 or not np.isfinite(affine).all():
            break
    return affine


def similarity(
    first: Floats, second: Floats, affine: Affine, widths: tuple[float, float], *, compressed: bool = True
) -> float:
    """Return the correlation of the detail of two images where they overlap, -1 to 1; 0 where they hardly overlap.

    Args:
        first: float32 `(S, S)`.
        second: float32 `(S, S)`.
        affine: Position in the first image → position in the second.
        widths: Widths of the two blurs whose difference is the detail, in pixels.
        compressed: Whether faint detail counts almost as much as strong detail.
    """
    if not np.isfinite(affine).all():
        return 0.0
    side = len(first)
    positions, inside = _warp(affine, *_grid(side), side, margin=2)
    if inside.mean() < LEAST_OVERLAP:
        return 0.0
    ours = _detail(first, widths)[inside]
    theirs = map_coordinates(_detail(second, widths), positions, order=1, mode="nearest")[inside]
    if compressed:
        ours, theirs = _compress(ours), _compress(theirs)
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    return float(ours @ theirs / max(np.sqrt((ours @ ours) * (theirs @ theirs)), 1e-6))


def _detail(image: Floats, widths: tuple[float, float]) -> Floats:
    return np.asarray(gaussian_filter(image, widths[0]) - gaussian_filter(image, widths[1]))


def _compress(detail: Floats) -> Floats:
    """Compress detail to -1 to 1, half of it beyond ±1/2."""
    magnitude = np.abs(detail)
    return np.asarray(detail / (magnitude + np.median(magnitude) + 1e-3))


@cache
def _grid(side: int) -> tuple[Floats, Floats]:
    """Return the row and the column of each pixel, from -1 to 1."""
    line = (np.arange(side, dtype=np.float32) * 2 + 1) / side - 1
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return np.asarray(rows, dtype=np.float32), np.asarray(columns, dtype=np.float32)


def _warp(
    affine: Affine, rows: Floats, columns: Floats, side: int, margin: int = 0
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the position of each pixel in the second image, in pixels `(2, S, S)`, and which lie inside it."""
    half = np.float32(side / 2)
    positions = np.empty((2, *rows.shape), dtype=np.float32)
    for position, (by_row, by_column, offset) in zip(positions, affine.astype(np.float32), strict=True):
        position[:] = (by_row * rows + by_column * columns + (offset + 1)) * half - np.float32(0.5)
    inside = (positions >= margin) & (positions <= side - 1 - margin)
    return positions, inside[0] & inside[1]


def _start(box: Box) -> Affine:
    """Return the affine map onto a part of the second image."""
    top, bottom, left, right = box
    return np.array([[bottom - top, 0, top + bottom - 1], [0, right - left, left + right - 1]], dtype=np.float64)


def _halve(image: Floats) -> Floats:
    half = len(image) // 2
    return np.asarray(image.reshape(half, 2, half, 2).mean((1, 3)))
