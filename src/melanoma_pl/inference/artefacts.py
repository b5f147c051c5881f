"""Artefacts of dermoscopic images, to be drawn on images: hairs, a ruler, a surgeon's ink, the dermoscope's dark rim.

Benign and malignant moles are photographed by different people on different days, so a network may learn these
artefacts instead of moles (Bissoto et al., CVPR workshops 2019; for ink Winkler et al., JAMA Dermatology 2019). Lengths
are fractions of the image's side. An image is float32 `(3, S, S)`, 0 to 255; the random numbers decide on positions.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from melanoma_pl.data.synthetic.mole_drawing import Field, dark_rim, lay_hairs

_CANVAS = 448  # pixels, smallest side to draw on, at least twice the image's: PIL draws hard edges and whole widths
_TICK_OPACITY = (0.45, 0.85, 1.0)
_TICK_COLOUR = (30, 28, 30)
_PAPER_COLOUR = (236, 234, 226)
_STROKES = (1, 3, 7)
_INK_OPACITY = (0.4, 0.6, 0.8)
_VIOLET, _BLUE = np.array([112.0, 58.0, 150.0]), np.array([52.0, 64.0, 140.0])  # gentian violet; a skin marker
_RIM_SOFTNESS = 0.12  # half sides


def hairs(image: Field, count: float, random: np.random.Generator) -> Field:
    """Draw so many hairs, as on synthetic moles."""
    return lay_hairs(image, random, int(count))


def dark_corners(image: Field, diameter: float, random: np.random.Generator) -> Field:
    """Darken everything outside a bright disc, as through a tube; `diameter` is in sides, the diagonal being 1.41."""
    x0, y0 = random.uniform(-0.05, 0.05, 2)
    axis = np.linspace(-1, 1, image.shape[-1], dtype=np.float32)
    radius = np.hypot(axis - x0, axis[:, None] - y0)
    return image * dark_rim(radius, diameter + _RIM_SOFTNESS / 2, _RIM_SOFTNESS)


def ruler(image: Field, strength: float, random: np.random.Generator) -> Field:
    """Draw the ticks of a ruler near one edge; at strength 3 a paper ruler with numbers."""
    size, stage = image.shape[-1], int(strength)
    angle = random.uniform(0, 360)
    spacing, start = random.uniform(0.035, 0.05), random.uniform(0, 0.6)
    if stage == 3:
        image = _blend(image, _draw_paper(size, angle), _PAPER_COLOUR)
    ends = (start, start + 1 / 3) if stage == 1 else (0.0, 1.0)
    ticks = _draw_ticks(size, spacing, ends, numbers=stage == 3).rotate(angle, Image.Resampling.BILINEAR)
    return _blend(image, _TICK_OPACITY[stage - 1] * _reduced(ticks, size), _TICK_COLOUR)


def _draw_paper(size: int, angle: float) -> NDArray[np.float32]:
    """Return the coverage of a strip below the ticks; its corners are turned, since Pillow's `rotate` is far slower."""
    canvas = _canvas(size)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    corners = [(-0.5, 0.35), (0.5, 0.35), (0.5, 0.485), (-0.5, 0.485)]  # from the centre, in sides
    turned = [(0.5 + x * cosine + y * sine, 0.5 - x * sine + y * cosine) for x, y in corners]
    ImageDraw.Draw(canvas).polygon([(canvas.width * x, canvas.width * y) for x, y in turned], fill=255)
    return _reduced(canvas, size)


def _draw_ticks(size: int, spacing: float, ends: tuple[float, float], numbers: bool) -> Image.Image:
    """Draw ticks along the lower edge: every fifth is longer, every tenth longest, with a number below if wanted."""
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


def ink(image: Field, strength: float, random: np.random.Generator) -> Field:
    """Draw strokes of a surgeon's violet pen on a wide ring around the centre; skin shows through the ink.

    The strokes are more and darker with strength 1 to 3.
    """
    size, stage = image.shape[-1], int(strength)
    canvas = _canvas(size)
    side, pen = canvas.width, ImageDraw.Draw(canvas)
    first, count = random.uniform(0, 2 * math.pi), _STROKES[stage - 1]
    colour = _VIOLET + random.random() * (_BLUE - _VIOLET)
    for stroke in range(count):
        direction = first + 2 * math.pi * stroke / count + random.normal(0, 0.15)
        pen.line(_stroke(random, direction, side), fill=255, width=round(0.022 * side), joint="curve")
    coverage = _reduced(canvas, size, blur=0.006)
    absorbed = np.asarray(1 - colour / 255, dtype=np.float32)[:, None, None]
    inked: Field = image * (1 - _INK_OPACITY[stage - 1] * coverage * absorbed)
    return inked


def _stroke(random: np.random.Generator, direction: float, side: int) -> list[tuple[float, float]]:
    """Return the points of a wavering arc on the ring, in pixels of the canvas."""
    angles = direction + np.linspace(-0.5, 0.5, 12) * random.uniform(0.35, 0.65)
    radii = random.uniform(0.43, 0.5) + 0.012 * np.cumsum(random.normal(0, 0.4, 12))
    polar = zip(radii, angles, strict=True)
    return [(side * (0.5 + r * math.cos(a)), side * (0.5 + r * math.sin(a))) for r, a in polar]


def _canvas(size: int) -> Image.Image:
    side = size * max(2, math.ceil(_CANVAS / size))
    return Image.new("L", (side, side))


def _reduced(canvas: Image.Image, size: int, blur: float = 0) -> NDArray[np.float32]:
    """Return each pixel's coverage, `(S, S)`, 0 to 1, blurred by a fraction of the side."""
    reduced = canvas.reduce(canvas.width // size)
    if blur:
        reduced = reduced.filter(ImageFilter.GaussianBlur(blur * size))
    return np.asarray(reduced, dtype=np.float32) / np.float32(255)


def _blend(image: Field, coverage: NDArray[np.float32], colour: tuple[int, int, int]) -> Field:
    return image + coverage * (np.asarray(colour, dtype=np.float32)[:, None, None] - image)
