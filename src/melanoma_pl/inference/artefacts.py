"""One image after the other: what becomes of an image cannot depend on those beside it in the batch.

A ruler's ticks and a pen's strokes, drawn on one image, float32 `(3, S, S)`, 0 to 255.

What else is to be seen on a dermoscopic image: hairs, a ruler, a surgeon's ink, the dermoscope's dark rim.

Benign and malignant moles are photographed by other people on other days, so a network may learn these instead of
moles (Bissoto et al., CVPR workshops 2019; Winkler et al., JAMA Dermatology 2019, for ink). Every function takes
uint8 pixels `(N, 3, S, S)`, a strength of 1, 2 or 3 and each image's index in its split, int64 `(N,)`; it returns the
same shape and type. Lengths are shares of the picture's side; where things lie follows from seed and index.

Raises everywhere: ValueError, if the strength is not 1, 2 or 3.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from melanoma_pl.data.synthetic.mole_drawing import Field, dark_rim, generator, lay_hairs

SEED = 0  # all evaluations meet the same noise and hairs, so that networks can be compared
# Of random numbers; apart from those that synthetic moles are drawn with.
DIRECTION, NOISE, HAIRS, RULER, INK, RIM = range(101, 107)

Level = TypeVar("Level")


def level(levels: tuple[Level, Level, Level], strength: int) -> Level:
    """Return what a strength means.

    Raises:
        ValueError: If the strength is not 1, 2 or 3.
    """
    if strength not in (1, 2, 3):
        raise ValueError(f"strength is {strength}: allowed are 1, 2 and 3")
    return levels[strength - 1]


def change_each(pixels: Tensor, indices: Tensor, change: Callable[[Field, int], Field]) -> Tensor:
    """Return the images, each changed by itself on the CPU.

    Args:
        pixels: uint8 `(N, 3, S, S)`; left as they are.
        indices: int64 `(N,)`; each image's place in its split.
        change: Takes an image, float32 `(3, S, S)`, 0 to 255, and its index; returns it changed, any range.

    Returns:
        uint8 `(N, 3, S, S)`, rounded and clamped, where and as `pixels` lie in memory.
    """
    changed = torch.empty_like(pixels, device="cpu")
    for place, (image, index) in enumerate(zip(pixels.cpu(), indices.tolist(), strict=True)):
        picture = change(np.ascontiguousarray(image.numpy(), dtype=np.float32), index)
        changed[place] = torch.from_numpy(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
    return changed.to(pixels.device)


def directions(indices: Tensor, seed: int = SEED) -> Tensor:
    """Return -1 or 1 for each image, by chance: every second one would split a set whose classes alternate by class.

    Args:
        indices: int64 `(N,)`; each image's place in its split.
        seed: Of the chance.

    Returns:
        float32 `(N,)`, on the device of `indices`.
    """
    signs = [1.0 if generator(seed, index, DIRECTION).random() < 0.5 else -1.0 for index in indices.tolist()]
    return torch.tensor(signs, dtype=torch.float32, device=indices.device)


RULER_SETTINGS = ("faint ticks along a third of an edge", "black ticks along an edge", "a paper ruler along an edge")
INK_SETTINGS = ("one short faint stroke", "three strokes", "seven dark strokes around the mole")

_CANVAS = 448  # pixels at least, and twice the image's side at least: PIL's shapes have hard edges and whole widths
_TICK_OPACITY = (0.45, 0.85, 1.0)
_TICK_COLOUR = (30, 28, 30)
_PAPER_COLOUR = (236, 234, 226)
_STROKES = (1, 3, 7)
_INK_OPACITY = (0.4, 0.6, 0.8)
_VIOLET, _BLUE = np.array([112.0, 58.0, 150.0]), np.array([52.0, 64.0, 140.0])  # gentian violet; a skin marker


def draw_ruler(picture: Field, chance: np.random.Generator, strength: int) -> Field:
    """Return the picture with a ruler along an edge or across a corner."""
    size = picture.shape[-1]
    turn = chance.uniform(0, 360)
    spacing, start = chance.uniform(0.035, 0.05), chance.uniform(0, 0.6)
    if strength == 3:
        picture = _cover(picture, _draw_paper(size, turn), _PAPER_COLOUR)
    ends = (start, start + 1 / 3) if strength == 1 else (0.0, 1.0)
    ticks = _draw_ticks(size, spacing, ends, numbers=strength == 3).rotate(turn, Image.Resampling.BILINEAR)
    return _cover(picture, _TICK_OPACITY[strength - 1] * _shrunk(ticks, size), _TICK_COLOUR)


def _draw_paper(size: int, turn: float) -> NDArray[np.float32]:
    """Return what a strip below the ticks covers, turned as Pillow's `rotate` turns, which takes far longer."""
    canvas = _canvas(size)
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    corners = [(-0.5, 0.35), (0.5, 0.35), (0.5, 0.485), (-0.5, 0.485)]  # from the middle, in sides
    turned = [(0.5 + x * cosine + y * sine, 0.5 - x * sine + y * cosine) for x, y in corners]
    ImageDraw.Draw(canvas).polygon([(canvas.width * x, canvas.width * y) for x, y in turned], fill=255)
    return _shrunk(canvas, size)


def _draw_ticks(size: int, spacing: float, ends: tuple[float, float], numbers: bool) -> Image.Image:
    """Draw ticks along the lower edge: every fifth longer, every tenth longest, with a number below if asked for."""
    canvas = _canvas(size)
    side, pen = canvas.width, ImageDraw.Draw(canvas)
    for number in range(math.ceil(ends[0] / spacing), math.floor(ends[1] / spacing) + 1):
        x = (number + 0.5) * spacing * side
        length = 0.07 if number % 10 == 0 else 0.05 if number % 5 == 0 else 0.03
        pen.rectangle((x, 0.86 * side, x + 0.004 * side, (0.86 + length) * side), fill=255)
        if numbers and number % 10 == 0:
            pen.text((x, 0.935 * side), str(number // 10 + 1), fill=255, font=_font(0.05 * side), anchor="mt")
    return canvas


@lru_cache(maxsize=8)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw_ink(picture: Field, chance: np.random.Generator, strength: int) -> Field:
    """Return the picture with pen strokes on a wide ring around the middle; skin shows through ink."""
    size = picture.shape[-1]
    canvas = _canvas(size)
    side, pen = canvas.width, ImageDraw.Draw(canvas)
    first, count = chance.uniform(0, 2 * math.pi), _STROKES[strength - 1]
    colour = _VIOLET + chance.random() * (_BLUE - _VIOLET)
    for stroke in range(count):
        towards = first + 2 * math.pi * stroke / count + chance.normal(0, 0.15)
        pen.line(_stroke(chance, towards, side), fill=255, width=round(0.022 * side), joint="curve")
    cover = _shrunk(canvas, size, ink_runs=0.006)
    absorbed = np.asarray(1 - colour / 255, dtype=np.float32)[:, None, None]
    inked: Field = picture * (1 - _INK_OPACITY[strength - 1] * cover * absorbed)
    return inked


def _stroke(chance: np.random.Generator, towards: float, side: int) -> list[tuple[float, float]]:
    """Return the points of a wavering arc on the ring, in pixels of the canvas."""
    angles = towards + np.linspace(-0.5, 0.5, 12) * chance.uniform(0.35, 0.65)
    radius = chance.uniform(0.43, 0.5) + 0.012 * np.cumsum(chance.normal(0, 0.4, 12))
    return [
        (side * (0.5 + r * math.cos(a)), side * (0.5 + r * math.sin(a))) for r, a in zip(radius, angles, strict=True)
    ]


def _canvas(size: int) -> Image.Image:
    side = size * max(2, math.ceil(_CANVAS / size))
    return Image.new("L", (side, side))


def _shrunk(canvas: Image.Image, size: int, ink_runs: float = 0) -> NDArray[np.float32]:
    """Return how much of each pixel is covered, `(S, S)`, 0 to 1; ink runs by a share of the side."""
    cover = canvas.reduce(canvas.width // size)
    if ink_runs:
        cover = cover.filter(ImageFilter.GaussianBlur(ink_runs * size))
    return np.asarray(cover, dtype=np.float32) / np.float32(255)


def _cover(picture: Field, cover: NDArray[np.float32], colour: tuple[int, int, int]) -> Field:
    return picture + cover * (np.asarray(colour, dtype=np.float32)[:, None, None] - picture)


HAIR_COUNTS = (4, 12, 25)
RIM_DIAMETERS = (1.3, 1.15, 1.0)  # of the bright disc, in sides; a square's diagonal is 1.41
_RIM_SOFTNESS = 0.12  # half sides


def hairs(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the images with `HAIR_COUNTS` hairs more, drawn as on synthetic moles."""
    count = level(HAIR_COUNTS, strength)
    return change_each(pixels, indices, lambda image, index: lay_hairs(image, generator(seed, index, HAIRS), count))


def ruler(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the images with the marks of a ruler near one edge; at strength 3 a paper ruler with numbers."""
    level((1, 2, 3), strength)
    return change_each(pixels, indices, lambda image, index: draw_ruler(image, generator(seed, index, RULER), strength))


def ink(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the images with strokes of a surgeon's violet pen around the mole."""
    level((1, 2, 3), strength)
    return change_each(pixels, indices, lambda image, index: draw_ink(image, generator(seed, index, INK), strength))


def dark_corners(pixels: Tensor, strength: int, indices: Tensor, seed: int = SEED) -> Tensor:
    """Return the images through a round tube: dark beyond a disc of `RIM_DIAMETERS`, a little off the middle."""
    diameter = level(RIM_DIAMETERS, strength)

    def shade(image: Field, index: int) -> Field:
        x0, y0 = generator(seed, index, RIM).uniform(-0.05, 0.05, 2)
        axis = np.linspace(-1, 1, image.shape[-1], dtype=np.float32)
        radius = np.hypot(axis - x0, axis[:, None] - y0)
        return image * dark_rim(radius, diameter + _RIM_SOFTNESS / 2, _RIM_SOFTNESS)

    return change_each(pixels, indices, shade)
