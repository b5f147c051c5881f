"""Drawing of a mole with given traits as a dermoscopic image: pigment on skin, with hair and light.

The mole itself (outline, colours, structures) depends on ``(seed, index)``. Its surroundings (skin, position, rotation,
hair, light, rim, noise) depend on ``(seed, index, image)`` and never on a trait, so that they reveal nothing about the
class. Lengths are millimetres on an image `IMAGE_MILLIMETRES` wide, whatever its size in pixels. Fields are float32,
``(S, S)`` or channels first ``(3, S, S)``: numpy broadcasts a number over planes ten times faster than over interleaved
channels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Field: TypeAlias = NDArray[np.floating[Any]]

IMAGE_MILLIMETRES = 13.0
LESION_MILLIMETRES = 17.0  # the mole's own frame: rotated and shifted, it shows no edge inside the image
OUTLINE_ANGLES = 1024
# The six colours that the ABCD rule counts (Nachbar et al. 1994); every mole has a brown, so the browns come first.
PALETTE = {
    "light brown": (168, 92, 60),
    "dark brown": (96, 42, 30),
    "black": (34, 24, 26),
    "red": (176, 78, 68),
    "blue-grey": (96, 100, 114),
    "white": (226, 196, 186),
}
# From very fair to very dark, after the six Fitzpatrick types, as a dermoscope's lamp shows them.
SKIN_TONES = ((238, 200, 194), (234, 166, 162), (222, 158, 138), (196, 148, 118), (150, 104, 80), (104, 70, 56))
SHAPE, COLOUR, STRUCTURE, POSITION, SKIN, HAIR, LIGHT, NOISE = range(1, 9)


@dataclass(frozen=True)
class Mole:
    """The four traits of a mole by the ABCD rule.

    Asymmetry, border and diameter are those of the clinical rule (Friedman et al. 1985); the six colours are counted
    as in the dermoscopic one (Stolz et al. 1994, Nachbar et al. 1994), whose D stands for differential structures.

    Attributes:
        asymmetry: 0 (outline and pigment are equal on both sides) to 1 (one side bulges and is darker).
        border: 0 (smooth edge that fades) to 1 (jagged, notched edge that ends abruptly).
        colours: Number of the rule's six colours that it shows, 1 to 6.
        diameter: Diameter of the disc of equal area in millimetres, 2 to 11; the image is 13 mm wide.
    """

    asymmetry: float
    border: float
    colours: int
    diameter: float


def generator(seed: int, index: int, stream: int, image: int = 0) -> np.random.Generator:
    """Return the generator of one stream of random numbers for one image of a lesion."""
    return np.random.default_rng(np.random.SeedSequence([seed, index, stream, image]))


def draw_image(mole: Mole, seed: int, index: int, size: int = 224, image: int = 0) -> NDArray[np.uint8]:
    """Draw one image of a mole.

    Args:
        mole: The traits to show.
        seed: Seed of the dataset; not negative.
        index: Index of the lesion in the dataset; not negative. Outline, colours and structures follow from it.
        size: Side of the image in pixels.
        image: 0 for the lesion's first image, 1 for its second, ...: the same mole in new surroundings.

    Returns:
        RGB, uint8 ``(size, size, 3)``.
    """
    pigment, opacity = _put_on_skin(_draw_lesion(mole, seed, index, size), generator(seed, index, POSITION, image))
    tone, pixels = _draw_skin(generator(seed, index, SKIN, image), size)
    darkening = 0.35 + 0.65 * tone / _planes(SKIN_TONES[0])  # pigment is darker in darker skin
    pixels += opacity * (pigment * darkening - pixels)
    pixels = _lay_hair(pixels, generator(seed, index, HAIR, image))
    pixels *= _draw_light(generator(seed, index, LIGHT, image), size)
    noise = generator(seed, index, NOISE, image)
    pixels += noise.uniform(1, 4) * noise.standard_normal((size, size), dtype=np.float32)
    return np.stack(list(np.clip(pixels + 0.5, 0, 255).astype(np.uint8)), axis=-1)  # (3, S, S) → (S, S, 3)


def _draw_lesion(mole: Mole, seed: int, index: int, size: int) -> Field:
    """Return the mole's colour and opacity in its own frame, ``(4, S, S)``, 0 to 255."""
    x, y = _grid(size, LESION_MILLIMETRES)
    shape = generator(seed, index, SHAPE)
    outline, fade = _draw_outline(mole, shape), _draw_fade(mole, shape)
    radius, at_angle = _polar(size)
    ragged = (0.08 + 0.045 * mole.border * mole.diameter) * _noise(shape, size, {9: 1, 20: 0.7, 46: 0.5})
    depth = outline[at_angle] - radius + ragged  # mm from the edge, inside is positive
    inside = _ramp(depth / ((0.6 + 0.14 * mole.diameter) * fade[at_angle]) + 0.5)
    middle = _ramp(depth * (2.4 / mole.diameter))
    towards = shape.uniform(-math.pi, math.pi)
    lean = mole.asymmetry * (x * math.cos(towards) + y * math.sin(towards)) / (mole.diameter / 2)
    structure = _draw_structure(generator(seed, index, STRUCTURE), size)
    shade = np.clip(1 - 0.32 * lean - 0.11 * structure, 0.3, 1.4)
    opacity = 255 * inside * np.clip(0.6 + 0.34 * middle + 0.16 * lean + 0.1 * structure, 0, 0.96)
    colour = _draw_colours(mole, outline, generator(seed, index, COLOUR), size)
    return np.concatenate([colour * shade, opacity[None]])


def _draw_outline(mole: Mole, shape: np.random.Generator) -> Field:
    """Return the distance from the centre to the edge in millimetres at `OUTLINE_ANGLES` angles from -π to π."""
    angles = np.linspace(-np.pi, np.pi, OUTLINE_ANGLES, endpoint=False)
    radius = 1 + shape.uniform(0.02, 0.16) * np.cos(2 * angles)
    radius += mole.asymmetry * 0.8 * np.exp(2.5 * (np.cos(angles - shape.uniform(-np.pi, np.pi)) - 1))
    radius += mole.asymmetry * 0.14 * np.cos(3 * angles + shape.uniform(-np.pi, np.pi))
    for harmonic in range(4, 13):
        swing = 0.1 * mole.border * shape.standard_normal() / np.sqrt(harmonic)
        radius += swing * np.cos(harmonic * angles + shape.uniform(-np.pi, np.pi))
    for notch in shape.uniform(-np.pi, np.pi, 3):
        radius -= mole.border**2 * 0.35 * np.exp(30 * (np.cos(angles - notch) - 1))
    radius = np.maximum(radius, 0.3)
    return np.asarray(radius * mole.diameter / 2 / np.sqrt(np.mean(radius**2)), dtype=np.float32)


def _draw_fade(mole: Mole, shape: np.random.Generator) -> Field:
    """Return the softness of the edge at each angle, 1 (fades) to 0.2 (ends abruptly, as the rule's B counts)."""
    angles = np.linspace(-np.pi, np.pi, OUTLINE_ANGLES, endpoint=False, dtype=np.float32)
    waves = [np.cos(turns * angles + shape.uniform(-math.pi, math.pi)) for turns in (1, 2, 3)]
    return 1 - 0.8 * _ramp(1.6 * mole.border - 0.3 + 0.25 * (waves[0] + waves[1] + waves[2]))


def _draw_colours(mole: Mole, outline: Field, colour: np.random.Generator, size: int) -> Field:
    """Return the mole's colours, each a soft patch over its first brown, ``(3, S, S)``, 0 to 255."""
    others = 2 + colour.choice(4, 4, replace=False, p=(0.35, 0.35, 0.15, 0.15))
    order = np.concatenate([colour.permutation(2), others])[: mole.colours]
    paints = _planes(list(PALETTE.values()))[order] * colour.normal(1, 0.06)
    x, y = _grid(size, LESION_MILLIMETRES)
    warp, turn = 0.6 * _noise(colour, size, {10: 0.5, 26: 0.35}), colour.uniform(-math.pi, math.pi)
    pixels: Field = paints[0] * np.ones_like(x)
    for number, paint in enumerate(paints[1:]):
        angle = (turn + 2.4 * number + colour.uniform(-0.3, 0.3)) % (2 * math.pi)  # the golden angle spreads patches
        reach = float(outline[int(angle / (2 * math.pi) * OUTLINE_ANGLES + OUTLINE_ANGLES / 2) % OUTLINE_ANGLES])
        away, width = reach * colour.uniform(0.35, 0.6), reach * colour.uniform(0.5, 0.7)
        right, down = x - away * math.cos(angle), y - away * math.sin(angle)
        distance = np.sqrt(right * right + down * down) / width
        pixels += 0.9 * _ramp(1.25 - distance + np.rot90(warp, number)) * (paint - pixels)
    return pixels


def _draw_structure(structure: np.random.Generator, size: int) -> Field:
    """Return pigment network, globules and mottling, ``(S, S)``, about -1 (pale) to 1 (dark).

    Plane waves 60° apart make a honeycomb; bending it with noise makes it look natural.
    """
    x, y = _grid(size, LESION_MILLIMETRES)
    bend, region = 0.3 * _noise(structure, size, {8: 1}), _noise(structure, size, {5: 1})
    honeycomb = _draw_honeycomb(x + bend, y + np.rot90(bend), structure.uniform(0.36, 0.55))
    network, globules = 2 * _ramp(0.5 - 0.5 * honeycomb) - 1, 1.6 * _ramp(0.7 * honeycomb - 0.4) - 0.4
    regular = globules + _ramp(0.5 + structure.uniform(-1.2, 1.2) + 0.8 * region) * (network - globules)
    regular *= structure.uniform(0.2, 0.9) * _ramp(0.8 + np.rot90(region))
    return regular + structure.uniform(0.6, 1.3) * _noise(structure, size, {16: 0.6, 36: 0.6, 78: 0.5})


def _put_on_skin(lesion: Field, position: np.random.Generator) -> tuple[Field, Field]:
    """Rotate, mirror and shift a lesion ``(4, S, S)``; return colour ``(3, S, S)`` and opacity ``(S, S)``, 0 to 1."""
    size, angle, mirror = lesion.shape[-1], position.uniform(-math.pi, math.pi), position.choice([-1, 1])
    scale, middle = IMAGE_MILLIMETRES / LESION_MILLIMETRES, size / 2
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    right, down = middle + position.uniform(-1.2, 1.2, 2) * size / IMAGE_MILLIMETRES
    across = (mirror * cosine, mirror * sine, middle - mirror * (cosine * right + sine * down))
    along = (-sine, cosine, middle + sine * right - cosine * down)
    bands = [Image.fromarray(band) for band in np.clip(lesion, 0, 255).astype(np.uint8)]
    layer = Image.merge("RGBA", bands)
    turned = layer.transform((size, size), Image.Transform.AFFINE, (*across, *along), Image.Resampling.BILINEAR)
    placed = np.ascontiguousarray(np.asarray(turned).transpose(2, 0, 1), dtype=np.float32)
    return placed[:3], placed[3] / 255


def _draw_skin(skin: np.random.Generator, size: int) -> tuple[Field, Field]:
    """Return a skin tone ``(3, 1, 1)`` and skin of that tone with flush and furrows ``(3, S, S)``, 0 to 255."""
    step = 5 * skin.beta(1.2, 2.4)
    between = [np.interp(step, range(len(SKIN_TONES)), channel) for channel in zip(*SKIN_TONES, strict=True)]
    tone = _planes(between * skin.normal(1, (0.02, 0.05, 0.05)))
    x, y = _grid(size, IMAGE_MILLIMETRES)
    bend = 0.3 * _noise(skin, size, {12: 1})
    furrows = skin.uniform(0.1, 0.7) * _draw_honeycomb(x + bend, y + np.rot90(bend), skin.uniform(0.5, 0.9))
    grain = 0.014 * (furrows + _noise(skin, size, {60: 0.7}))
    flush = _noise(skin, size, {4: 0.6, 13: 0.4}) * skin.uniform(0.4, 1.4)
    return tone, tone * (1 + grain + flush * _planes((0.012, 0.04, 0.035)))


def _lay_hair(pixels: Field, hair: np.random.Generator) -> Field:
    """Draw hairs over an image ``(3, S, S)``; about half of the images have none."""
    count = int(hair.exponential(7) * (hair.random() < 0.6))
    return lay_hairs(pixels, hair, count) if count else pixels


def lay_hairs(pixels: Field, hair: np.random.Generator, count: int) -> Field:
    """Draw `count` thin hairs and their faint shadows over an image ``(3, S, S)``, 0 to 255."""
    size = pixels.shape[-1]
    drawing = Image.new("L", (3 * size, 3 * size))  # drawn three times too large: PIL's polygons have hard edges
    pen, combed = ImageDraw.Draw(drawing), hair.uniform(-math.pi, math.pi)
    for _ in range(count):
        pen.polygon(_draw_strand(hair, combed, 3 * size), fill=int(hair.uniform(150, 245)))
    cover = np.asarray(drawing.reduce(3), dtype=np.float32) / 255
    shadow = np.roll(cover, (max(1, size // 110),) * 2, axis=(0, 1))
    pixels = pixels * (1 - 0.18 * shadow)
    return pixels + cover * (_planes((52, 36, 32)) * hair.uniform(0.6, 1.6) - pixels)


def _draw_strand(hair: np.random.Generator, combed: float, side: int) -> list[tuple[float, float]]:
    """Return the polygon of one hair in pixels: a quadratic Bézier curve that thins from root to tip."""
    root, heading = hair.uniform(-0.1, 1.1, 2), combed + hair.normal(0, 0.6)
    forward, sideways = np.array([[math.cos(heading), math.sin(heading)], [-math.sin(heading), math.cos(heading)]])
    length, step = hair.uniform(0.2, 0.8), np.linspace(0, 1, 24)[:, None]
    middle = root + length * (step * forward + 2 * step * (1 - step) * hair.normal(0, 0.3) * sideways)
    half = hair.uniform(0.0025, 0.0045) * (1 - 0.85 * step) * sideways
    return [(float(x), float(y)) for x, y in side * np.concatenate([middle - half, (middle + half)[::-1]])]


def _draw_light(light: np.random.Generator, size: int) -> Field:
    """Return the factor by which lamp and, on some images, the dark round rim change each pixel, ``(3, S, S)``."""
    x, y = (axis / (IMAGE_MILLIMETRES / 2) for axis in _grid(size, IMAGE_MILLIMETRES))
    right, down = x - light.uniform(-0.08, 0.08), y - light.uniform(-0.08, 0.08)
    radius: Field = np.sqrt(right * right + down * down)
    lamp: Field = (
        1 + light.uniform(-0.09, 0.09) * x + light.uniform(-0.09, 0.09) * y - light.uniform(0, 0.22) * radius**2
    )
    rim, softness = light.uniform(0.98, 1.25), light.uniform(0.02, 0.15)
    if light.random() < 0.3:
        lamp *= dark_rim(radius, rim, softness)
    colour = _planes(light.uniform(0.88, 1.1) * light.normal(1, 0.03, 3))
    return lamp * colour


def dark_rim(radius: Field, rim: float, softness: float) -> Field:
    """Return the factor by which the dark round rim of a dermoscope darkens each pixel.

    Args:
        radius: Distance of each pixel from the centre of the rim, ``(S, S)``; 1 is half the image's side.
        rim: Radius from which all is dark, in the unit of `radius`.
        softness: Width of the transition, in the unit of `radius`.

    Returns:
        ``(S, S)``, from 1 inside to 0.03 beyond the rim.
    """
    return 0.03 + 0.97 * _ramp((rim - radius) / softness)


@lru_cache(maxsize=8)
def _grid(size: int, millimetres: float) -> tuple[Field, Field]:
    """Return x (right) and y (down) of each pixel from the centre of a square `millimetres` wide, ``(S, S)`` each."""
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * millimetres
    x, y = np.meshgrid(axis, axis)
    x.flags.writeable = y.flags.writeable = False
    return x, y


@lru_cache(maxsize=8)
def _polar(size: int) -> tuple[Field, NDArray[np.intp]]:
    """Return the distance of each pixel from the mole's centre in millimetres, and the index of its outline angle."""
    x, y = _grid(size, LESION_MILLIMETRES)
    turn: Field = np.arctan2(y, x) / (2 * math.pi) + 0.5
    radius, at_angle = np.sqrt(x * x + y * y), (turn * OUTLINE_ANGLES).astype(np.intp) % OUTLINE_ANGLES
    radius.flags.writeable = at_angle.flags.writeable = False
    return radius, at_angle


def _planes(colours: ArrayLike) -> Field:
    """Return colours ``(..., 3)`` as float32 ``(..., 3, 1, 1)``, for broadcasting over planes."""
    return np.asarray(colours, dtype=np.float32)[..., None, None]


def _noise(source: np.random.Generator, size: int, octaves: Mapping[int, float]) -> Field:
    """Return smooth noise ``(S, S)`` of mean 0, the same at any size: a sum of ``{cells per side: deviation}``."""
    finest = max(octaves)
    field = np.zeros((finest + 2, finest + 2), dtype=np.float32)
    for cells, deviation in octaves.items():
        lattice = source.standard_normal((cells + 2, cells + 2), dtype=np.float32)
        field += 1.4 * deviation * _stretch(lattice, finest + 2)  # 1.4: smoothing reduces the deviation by so much
    return _stretch(field, size)


def _stretch(lattice: Field, size: int) -> Field:
    """Resample a square lattice to ``(size, size)``, without the half cell along the edge that lacks neighbours."""
    cut = (0.5, 0.5, len(lattice) - 0.5, len(lattice) - 0.5)
    return np.asarray(Image.fromarray(lattice).resize((size, size), Image.Resampling.BICUBIC, box=cut))


def _draw_honeycomb(x: Field, y: Field, spacing: float) -> Field:
    """Return the sum of three plane waves 60° apart: 3 in the centres of the cells, down to -1.5 on their walls."""
    scale, slant = 4 * math.pi / math.sqrt(3) / spacing, math.sqrt(3) / 2
    waves: Field = np.cos(scale * x) + np.cos(scale * (x / 2 + slant * y)) + np.cos(scale * (x / 2 - slant * y))
    return waves


def _ramp(values: Field) -> Field:
    """Return the cubic smoothstep of values: 0 up to 0, 1 from 1, smooth between."""
    clipped = np.clip(values, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)
