"""A ruler's ticks and a pen's strokes, drawn on one photo, float32 `(3, S, S)`, 0 to 255."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from melanoma_pl.data.mole_drawing import Field

RULER_SETTINGS = ("faint ticks along a third of an edge", "black ticks along an edge", "a paper ruler along an edge")
INK_SETTINGS = ("one short faint stroke", "three strokes", "seven dark strokes around the mole")

_CANVAS = 448  # pixels at least, and twice the photo's side at least: PIL's shapes have hard edges and whole widths
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
