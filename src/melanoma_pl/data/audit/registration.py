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
from scipy.ndimage import gaussian_filter1d

from melanoma_pl.data.audit.candidates import Candidate
from melanoma_pl.data.audit.perceptual_hash import CROPS, Box, Floats, turned_box, turned_image
from melanoma_pl.errors import UserError
from melanoma_pl.image_files import BrokenImageError, draft, open_image, to_rgb

Affines = NDArray[np.float64]  # (B, 2, 3): position in the first image, -1 to 1 → position in the second

FULL = 128  # pixels: side of the images that decide
ROUGH_STEPS, MIDDLE_STEPS = 4, 5
ROUGH_DETAIL = (1.0, 3.0)  # pixels of 64: widths of the two blurs whose difference is the detail
DETAIL = (0.8, 2.0)  # pixels of 128
ROUGH_CORRELATION = 0.85  # pairs of one lesion have 0.92 and more; most others have less
SAME_IMAGE = 0.58  # on 2,637 real images other pairs have at most 0.48, drawn ones 0.54; copies have at least 0.85
LEAST_OVERLAP = 0.5


def confirm(
    candidates: Sequence[Candidate], grey: NDArray[np.uint8], files: Sequence[Path]
) -> list[tuple[float, bool]]:
    """Decide by their pixels whether the two images of each candidate are copies.

    Args:
        candidates: The pairs; some tens at a time are computed fastest.
        grey: Small grey copies of all images, uint8 `(N, 64, 64)`.
        files: Files of all images; they are opened for pairs that are still similar at 64 pixels.

    Returns:
        For each pair the correlation of their fine detail after the alignment, -1 to 1; and whether they are copies of
        one image, or two images of one lesion from the same position.
    """
    first = np.stack([grey[each.first] for each in candidates]).astype(np.float32)
    second = _turned(candidates, [grey[each.second].astype(np.float32) for each in candidates])
    affines = np.stack([_start(turned_box(CROPS[each.crop], each.turn)) for each in candidates])
    affines = register(_halve(first), _halve(second), affines, ROUGH_STEPS)
    affines = register(first, second, affines, 1)
    values = similarity(first, second, affines, ROUGH_DETAIL, compressed=False)
    likely = np.flatnonzero(values >= ROUGH_CORRELATION)
    affines = register(first[likely], second[likely], affines[likely], MIDDLE_STEPS)
    for index, affine in zip(likely.tolist(), affines, strict=True):
        pair = candidates[index]
        full = np.stack([read_grey(files[pair.first])])
        turned = _turned([pair], [read_grey(files[pair.second])])
        values[index] = similarity(full, turned, affine[None], DETAIL)[0]
    is_same = np.zeros(len(values), dtype=bool)
    is_same[likely] = values[likely] >= SAME_IMAGE
    return list(zip(values.tolist(), is_same.tolist(), strict=True))


def _turned(candidates: Sequence[Candidate], images: Sequence[Floats]) -> Floats:
    """Return the second images of candidates as they lie on the first ones, float32 `(B, S, S)`."""
    return np.stack([turned_image(image, each.turn) for each, image in zip(candidates, images, strict=True)])


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


def register(first: Floats, second: Floats, affines: Affines, steps: int) -> Affines:
    """Return the affine maps that align second images with first ones.

    Args:
        first: float32 `(B, S, S)`.
        second: float32 `(B, S, S)`.
        affines: Initial maps.
        steps: Most iterations; the search for a map ends earlier once it converges.
    """
    side = first.shape[-1]
    blur, slope = _blur(side, 1), _blur_slope(side)
    rows, columns = _grid(side)
    pairs = ((blur, blur), (slope, blur), (blur, slope))
    maps = [np.asarray(left @ second @ right.T, dtype=np.float32) for left, right in pairs]
    terms = np.empty((len(first), 8, side, side), dtype=np.float32)
    terms[:, 6], terms[:, 7] = -(blur @ first @ blur.T), -1  # gain and offset of brightness
    affines, active = affines.copy(), np.arange(len(first))
    for _ in range(steps):
        if not active.size:
            break
        positions, inside = _warp(affines[active], rows, columns, side)
        some = terms[active]
        value, some[:, 2], some[:, 5] = _sample([each[active] for each in maps], positions)
        for gradient in (2, 5):
            np.multiply(some[:, gradient], rows, out=some[:, gradient - 2])
            np.multiply(some[:, gradient], columns, out=some[:, gradient - 1])
        flat = some.reshape(len(active), 8, side**2)
        counted = flat * inside.reshape(len(active), 1, side**2)
        normal = (counted @ flat.swapaxes(1, 2)).astype(np.float64)
        right = (counted @ value.reshape(len(active), side**2, 1)).astype(np.float64)
        moves = np.linalg.solve(normal + 1e-3 * np.eye(8), -right)[:, :6, 0]
        affines[active] += moves.reshape(-1, 2, 3)
        goes_on = (np.abs(moves).max(axis=1) >= 1e-3) & np.isfinite(affines[active]).all(axis=(1, 2))
        active = active[goes_on]
    return affines


def similarity(
    first: Floats, second: Floats, affines: Affines, widths: tuple[float, float], *, compressed: bool = True
) -> NDArray[np.float64]:
    """Return the correlations of the detail of images where they overlap, -1 to 1; 0 where they hardly overlap.

    Args:
        first: float32 `(B, S, S)`.
        second: float32 `(B, S, S)`.
        affines: Positions in the first images → positions in the second.
        widths: Widths of the two blurs whose difference is the detail, in pixels.
        compressed: Whether faint detail counts almost as much as strong detail.

    Returns:
        float64 `(B,)`.
    """
    side = first.shape[-1]
    is_finite = np.asarray(np.isfinite(affines).all(axis=(1, 2)))
    positions, inside = _warp(np.where(is_finite[:, None, None], affines, 0), *_grid(side), side, margin=2)
    is_near = is_finite & np.asarray(inside.mean(axis=(1, 2)) >= LEAST_OVERLAP)
    ours, (theirs,) = _detail(first, widths), _sample([_detail(second, widths)], positions)
    found = np.zeros(len(first))
    for index in np.flatnonzero(is_near).tolist():
        details = [detail[index][inside[index]] for detail in (ours, theirs)]
        one, other = ((each - each.mean()) for each in (map(_compress, details) if compressed else details))
        found[index] = one @ other / max(np.sqrt((one @ one) * (other @ other)), 1e-6)
    return found


def _detail(images: Floats, widths: tuple[float, float]) -> Floats:
    narrow, wide = (_blur(images.shape[-1], width) for width in widths)
    return np.asarray(narrow @ images @ narrow.T - wide @ images @ wide.T)


def _compress(detail: Floats) -> Floats:
    """Compress detail to -1 to 1, half of it beyond ±1/2."""
    magnitude = np.abs(detail)
    return np.asarray(detail / (magnitude + np.median(magnitude) + 1e-3))


@cache
def _blur(side: int, width: float) -> Floats:
    """Return the matrix `(S, S)` that blurs columns of S pixels with a Gaussian; its transpose blurs rows."""
    return np.asarray(gaussian_filter1d(np.eye(side), width, axis=0), dtype=np.float32)


@cache
def _blur_slope(side: int) -> Floats:
    """Return the matrix `(S, S)` that blurs columns of S pixels and takes their slope, per half the image's side."""
    return np.asarray(np.gradient(_blur(side, 1), axis=0) * (side / 2), dtype=np.float32)


@cache
def _grid(side: int) -> tuple[Floats, Floats]:
    """Return the row and the column of each pixel, from -1 to 1."""
    line = (np.arange(side, dtype=np.float32) * 2 + 1) / side - 1
    rows, columns = np.meshgrid(line, line, indexing="ij")
    return np.asarray(rows, dtype=np.float32), np.asarray(columns, dtype=np.float32)


def _warp(
    affines: Affines, rows: Floats, columns: Floats, side: int, margin: int = 0
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the position of each pixel in the second images, in pixels `(B, 2, S, S)`, and which lie inside."""
    by_row, by_column, offset = (affines[:, :, term, None, None].astype(np.float32) for term in range(3))
    positions = (by_row * rows + by_column * columns + (offset + 1)) * np.float32(side / 2) - np.float32(0.5)
    inside = (positions >= margin) & (positions <= side - 1 - margin)  # (B, 2, S, S)
    return np.asarray(positions, dtype=np.float32), np.asarray(inside.all(axis=1))


def _sample(maps: Sequence[Floats], positions: Floats) -> list[Floats]:
    """Return maps `(B, S, S)` at positions in pixels `(B, 2, S, S)`, by bilinear interpolation; the edge goes on."""
    count, side = len(positions), positions.shape[-1]
    positions = positions.clip(0, side - 1)
    corner = np.minimum(positions.astype(np.int64), side - 2)
    by_row, by_column = np.moveaxis(positions - corner.astype(np.float32), 1, 0)
    index = corner[:, 0] * side + corner[:, 1] + side**2 * np.arange(count)[:, None, None]
    indices = (index, index + 1, index + side, index + side + 1)
    sampled = []
    for each in maps:
        upper_left, upper_right, lower_left, lower_right = (each.ravel().take(corner) for corner in indices)
        upper = upper_left + by_column * (upper_right - upper_left)
        lower = lower_left + by_column * (lower_right - lower_left)
        sampled.append(upper + by_row * (lower - upper))
    return sampled


def _start(box: Box) -> Affines:
    """Return the affine map onto a part of the second image, `(2, 3)`."""
    top, bottom, left, right = box
    return np.array([[bottom - top, 0, top + bottom - 1], [0, right - left, left + right - 1]], dtype=np.float64)


def _halve(images: Floats) -> Floats:
    half = images.shape[-1] // 2
    return np.asarray(images.reshape(-1, half, 2, half, 2).mean((2, 4)))
