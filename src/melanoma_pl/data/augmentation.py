"""Random changes of training images, so that the network cannot rely on how an image was taken.

The change of an image is a pure function of (seed, epoch, index) and does not depend on the other images of its batch.
So the arithmetic is elementwise. Matrix products can add up differently for another number of images, and run in
bfloat16 under autocast and in TF32 on newer GPUs, which is too coarse for coordinates.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from melanoma_pl.data.order import AUGMENTATION_STREAM, SYMMETRY_STREAM, hashes, uniform

# The operating system would have to provide float copies of a whole batch anew at each step. Those of a few images stay
# in memory and cache, which is 3 times faster on a CPU.
_IMAGES_AT_ONCE = 16

_MID_GREY = 127.5
PARAMETERS = 11  # of `Dermoscopy`, for each image


class Augmentation(ABC):
    """A random change of training images; parameters of zero leave an image exactly as it is."""

    @abstractmethod
    def draw(self, seed: int, epoch: int, indices: Tensor) -> Tensor:
        """Return the parameters of each image, a pure function of seed, epoch and index.

        Args:
            seed: The run's seed.
            epoch: Epoch from 0.
            indices: Indices of the images, int64 `(N,)`.

        Returns:
            `(N, P)`, one row per image, on the device of `indices`.
        """

    @abstractmethod
    def apply(self, pixels: Tensor, parameters: Tensor) -> Tensor:
        """Return the changed images.

        Args:
            pixels: uint8 `(N, 3, S, S)`, contiguous or channels last; not modified.
            parameters: `(N, P)` from `draw`, on the same device.

        Returns:
            uint8 `(N, 3, S, S)`.
        """


class NoAugmentation(Augmentation):
    """No change of the images, without parameters."""

    def draw(self, seed: int, epoch: int, indices: Tensor) -> Tensor:
        """Return float32 `(N, 0)`."""
        return torch.empty(len(indices), 0, device=indices.device)

    def apply(self, pixels: Tensor, parameters: Tensor) -> Tensor:
        """Return the pixels themselves."""
        return pixels


@dataclass(frozen=True)
class Dihedral(Augmentation):
    """One of the eight flips and quarter turns of a square, all equally likely; an exact permutation of the pixels.

    Parameters: bool `(N, 3)`: mirrored left-right, mirrored up-down, then rows and columns exchanged.

    Args:
        in_turn: Whether each image walks through all eight in every eight epochs, in an order of its own, instead of
            drawing one each time (after Jordan, arXiv 2404.00498, 2024, who alternates the flips).
    """

    in_turn: bool = False

    def draw(self, seed: int, epoch: int, indices: Tensor) -> Tensor:
        """Return bool `(N, 3)`."""
        if self.in_turn:
            view = symmetries_in_turn(seed, epoch, indices)
            return torch.stack([view % 2, view // 2 % 2, view // 4], dim=1).bool()
        return uniform(seed, epoch, indices, count=3, stream=AUGMENTATION_STREAM) < 0.5

    def apply(self, pixels: Tensor, parameters: Tensor) -> Tensor:
        """Return the permuted pixels; no value changes."""
        return _in_pieces(_permute, pixels, parameters)


def symmetries_in_turn(seed: int, epoch: int, indices: Tensor) -> Tensor:
    """Return which of eight symmetries each image has in an epoch: int64 `(N,)`, 0 to 7.

    In every eight epochs, counted from 0, an image has each of them once. Their order is new every eight epochs.
    """
    keys = hashes(seed, epoch // 8, indices, count=8, stream=SYMMETRY_STREAM)  # (N, 8)
    return keys.argsort(dim=1, stable=True)[:, epoch % 8]


def _strength(default: float, largest: float) -> Any:
    """Return a field of `Dermoscopy` with its largest value, which is 1 for the other fields."""
    return field(default=default, metadata={"largest": largest})


@dataclass(frozen=True)
class Dermoscopy(Augmentation):
    """Changes that also occur between two images of one mole: by the camera's position, the light, the colour balance.

    Parameters: float32 `(N, 11)`, each zero where nothing changes: mirrored left-right and up-down (0 or 1), rotation
    (degrees, counter-clockwise), zoom (relative increase), shift right and down (fraction of the side), brightness,
    contrast and saturation (relative increase), hue (turns of the colour circle), erased border (fraction of the side).

    Args:
        rotation_degrees: Largest rotation in either direction, 0 to 180 degrees.
        zoom: Largest relative increase or decrease of the size, 0 to 0.9.
        shift: Largest shift in each direction, as a fraction of the side, 0 to 0.5.
        flips: Whether half of the images are mirrored left-right, and half up-down.
        brightness: Largest relative change of the brightness, 0 to 1.
        contrast: Largest relative change of the contrast about mid-grey, 0 to 1.
        saturation: Largest relative change of the saturation, 0 to 1.
        hue: Largest change of the hue, in turns of the colour circle, 0 to 0.5.
        border: Largest width of a border that takes the mean colour of its image, as a fraction of the side, 0 to 0.4:
            what lies beside the lesion tells more of the camera than of the lesion.
        in_turn: Whether each image walks through the eight flips and quarter turns, as in `Dihedral`, and is rotated by
            at most 45 degrees more.

    Raises:
        ValueError: If a strength is out of its range.
    """

    rotation_degrees: float = _strength(180.0, largest=180.0)
    zoom: float = _strength(0.2, largest=0.9)
    shift: float = _strength(0.1, largest=0.5)
    flips: bool = True
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = _strength(0.02, largest=0.5)
    border: float = _strength(0.0, largest=0.4)
    in_turn: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            value, largest = getattr(self, each.name), each.metadata.get("largest", 1)
            if not 0 <= value <= largest:
                raise ValueError(f"augmentation.{each.name} is {value}: allowed are 0 to {largest:g}")

    def draw(self, seed: int, epoch: int, indices: Tensor) -> Tensor:
        """Return float32 `(N, 11)`; each parameter has its own random numbers, so no strength affects another."""
        signed = 2 * uniform(seed, epoch, indices, count=PARAMETERS, stream=AUGMENTATION_STREAM) - 1  # in [-1, 1)
        turn = min(self.rotation_degrees, 45.0) if self.in_turn else self.rotation_degrees
        geometry = (turn, self.zoom, self.shift, self.shift)
        colour = (self.brightness, self.contrast, self.saturation, self.hue)
        mirrored = (signed[:, :2] < 0) * self.flips
        parameters = torch.cat([mirrored, signed[:, 2:] * signed.new_tensor((*geometry, *colour, self.border))], dim=1)
        parameters[:, 10].abs_()
        if self.in_turn:
            view = symmetries_in_turn(seed, epoch, indices)
            parameters[:, 0], parameters[:, 1] = view % 2, 0.0
            parameters[:, 2] += 90.0 * (view // 2)
        return parameters.float()

    def apply(self, pixels: Tensor, parameters: Tensor) -> Tensor:
        """Return the images moved (bilinear, reflected at the border), tinted, and rounded to whole levels."""
        return _in_pieces(_move_tint_and_erase if self.border else _move_and_tint, pixels, parameters)


def _in_pieces(change: Callable[[Tensor, Tensor], Tensor], pixels: Tensor, parameters: Tensor) -> Tensor:
    """Change a few images at a time on a CPU."""
    count = _IMAGES_AT_ONCE if pixels.device.type == "cpu" else len(pixels)
    pieces = zip(torch.split(pixels, count), torch.split(parameters, count), strict=True)
    return torch.cat([change(images.contiguous(), values) for images, values in pieces])


def _permute(pixels: Tensor, parameters: Tensor) -> Tensor:
    left_right, up_down, exchanged = parameters[:, :, None, None, None].unbind(1)  # (N, 1, 1, 1) each
    pixels = torch.where(left_right, pixels.flip(-1), pixels)
    pixels = torch.where(up_down, pixels.flip(-2), pixels)
    return torch.where(exchanged, pixels.mT.contiguous(), pixels)


def _move_and_tint(pixels: Tensor, parameters: Tensor) -> Tensor:
    geometry, colour, _ = torch.split(parameters, [6, 4, 1], dim=1)
    grid = _sampling_grid(geometry, pixels.shape[-1])
    images = grid_sample(pixels.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return _tint(images, colour).round_().clamp_(0, 255).to(torch.uint8)


def _move_tint_and_erase(pixels: Tensor, parameters: Tensor) -> Tensor:
    images, width = _move_and_tint(pixels, parameters), parameters[:, 10]
    side = images.shape[-1]
    from_edge = torch.arange(side, device=images.device)
    from_edge = torch.minimum(from_edge, side - 1 - from_edge)
    distance = torch.minimum(from_edge[:, None], from_edge)  # of each pixel from the nearest edge: (S, S)
    is_border = distance < (width * side)[:, None, None]  # (N, S, S)
    mean = images.float().mean(dim=(2, 3), keepdim=True).round().to(torch.uint8)
    return torch.where(is_border[:, None], mean, images)


def _sampling_grid(geometry: Tensor, side: int) -> Tensor:
    """Return the source of each pixel of the changed image, as `torch.nn.functional.affine_grid` does.

    Args:
        geometry: float32 `(N, 6)`: mirrored left-right and up-down, rotation, zoom, shift right and down.
        side: Side S in pixels.

    Returns:
        float32 `(N, S, S, 2)`: x and y, from -1 (left or upper edge) to 1.
    """
    turn = torch.deg2rad(geometry[:, 2])
    scale = (1 - 2 * geometry[:, :2]) / (1 + geometry[:, 3:4])  # (N, 2)
    step_right = torch.stack([turn.cos(), turn.sin()], dim=1) * scale  # (N, 2)
    step_down = torch.stack([-turn.sin(), turn.cos()], dim=1) * scale
    # (N, 2), scaled like the steps, so that the image moves by this fraction of its side, and not the view of it
    origin = -2 * (geometry[:, 4:5] * step_right + geometry[:, 5:6] * step_down)
    centres = (2 * torch.arange(side, device=geometry.device) + 1) / side - 1  # of the pixels: (S,)
    across = centres[:, None] * step_right[:, None]  # (N, S, 2)
    down = centres[:, None] * step_down[:, None] + origin[:, None]
    return down[:, :, None] + across[:, None]


def _tint(images: Tensor, colour: Tensor) -> Tensor:
    """Return the images with other brightness, contrast, saturation and hue: one 3×3 matrix and offset per image.

    Saturation scales the component of a colour at right angles to the grey axis, and hue rotates it by Rodrigues'
    formula, after Haeberli, "Matrix Operations for Image Processing", 1993. Unlike there, the three channels have equal
    weights, so the matrix is circulant: each channel mixes itself, the next and the previous one alike.

    Args:
        images: float32 `(N, 3, S, S)`, 0 to 255.
        colour: float32 `(N, 4)`: brightness, contrast, saturation, hue.

    Returns:
        float32 `(N, 3, S, S)`, not clamped.
    """
    brightness, contrast, saturation = (1 + colour[:, :3, None, None, None]).unbind(1)  # (N, 1, 1, 1) each
    chroma = brightness * contrast * saturation
    turn = 2 * math.pi * colour[:, 3, None, None, None]
    grey, along, across = brightness * contrast / 3, chroma * turn.cos() / 3, chroma * turn.sin() / math.sqrt(3)
    tinted = images * (grey + 2 * along)
    tinted += images.roll(-1, dims=1).mul_(
        grey - along - across
    )  # red takes from green, green from blue, blue from red
    tinted += images.roll(1, dims=1).mul_(grey - along + across)
    return tinted.add_(_MID_GREY * (1 - contrast))
