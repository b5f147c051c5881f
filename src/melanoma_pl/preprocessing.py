"""The preprocessing from an image to the network's input, the same for training, evaluation and prediction."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from melanoma_pl.image_files import to_array

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
ORDER = 6  # of the Minkowski mean, the best in the paper
LARGEST = 4096  # pixels: a checkpoint must not be able to ask for images that fill the memory


@dataclass(frozen=True)
class Preprocessing:
    """Size, normalisation and interpolation of the network's input; every checkpoint holds them.

    Attributes:
        image_size: Side of the square that every image is resized to, in pixels. Like the original, it changes the
            aspect ratio, so that nothing at the border of an image is cut off.
        mean: Mean of each RGB channel on the scale 0 to 1, subtracted after the division by 255.
        std: Standard deviation of each RGB channel on the scale 0 to 1; divides the result.
        interpolation: Pillow's filter for resizing, which smooths when it shrinks an image.
        colour_constancy: `none`, or `shades_of_gray`: each image is corrected for the colour of its light.

    Raises:
        ValueError: If the size is not 1 to 4096, or a number or the filter is not allowed.
    """

    image_size: int = 224
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    colour_constancy: Literal["none", "shades_of_gray"] = "none"

    def __post_init__(self) -> None:
        """Refuse values that no image can be preprocessed with."""
        if not 1 <= self.image_size <= LARGEST:
            raise ValueError(f"image_size={self.image_size}: it must be 1 to {LARGEST} pixels")
        if len(self.mean) != 3 or not all(map(math.isfinite, self.mean)):
            raise ValueError(f"mean={self.mean}: it must be three finite numbers")
        if len(self.std) != 3 or not all(math.isfinite(value) and value > 0 for value in self.std):
            raise ValueError(f"std={self.std}: it must be three positive numbers")
        if self.interpolation not in FILTERS:
            raise ValueError(f"interpolation={self.interpolation}: it must be {' or '.join(FILTERS)}")
        if self.colour_constancy not in ("none", "shades_of_gray"):
            raise ValueError(f"colour_constancy={self.colour_constancy}: it must be none or shades_of_gray")

    @classmethod
    def imagenet(cls, image_size: int = 224) -> "Preprocessing":
        """Return a preprocessing with the normalisation of networks pretrained on ImageNet."""
        return cls(image_size, IMAGENET_MEAN, IMAGENET_STD)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Return the preprocessing that `to_dict` described."""
        # older checkpoints lack the last two
        more = {key: values[key] for key in ("interpolation", "colour_constancy") if key in values}
        return cls(int(values["image_size"]), tuple(values["mean"]), tuple(values["std"]), **more)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values for a checkpoint."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def difference(self, other: "Preprocessing") -> str:
        """Return the first value that differs, such as "image_size=224 instead of 96"; empty if none does."""
        own, others = self.to_dict(), other.to_dict()
        return next((f"{key}={own[key]} instead of {others[key]}" for key in own if own[key] != others[key]), "")

    def to_pixels(self, image: Image.Image) -> Tensor:
        """Return the resized pixels of an image of any mode and size.

        Returns:
            uint8 `(3, S, S)` in RGB order, a view of channels-last memory. The cache holds these pixels.
        """
        pixels = to_array(image, self.image_size, FILTERS[self.interpolation])
        if self.colour_constancy == "shades_of_gray":
            pixels = shades_of_gray(pixels)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def to_input(self, pixels: Tensor) -> Tensor:
        """Return scaled and normalised pixels.

        Args:
            pixels: uint8 `(N, 3, S, S)`.

        Returns:
            float32 `(N, 3, S, S)`; with the default values in [0, 1].

        Raises:
            TypeError: If the pixels are not uint8, because they would be scaled twice.
        """
        if pixels.dtype != torch.uint8:
            raise TypeError(f"pixels are {pixels.dtype} and should be torch.uint8, 0 to 255, as to_pixels returns them")
        scaled = pixels.float().div_(255)
        if self.mean == (0.0, 0.0, 0.0) and self.std == (1.0, 1.0, 1.0):
            return scaled
        mean, std = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (self.mean, self.std))
        if pixels.stride(1) == 1:  # channels last: loops over whole rows, not over three numbers, take a third as long
            row = (1, 3, 1, pixels.shape[3])
            mean, std = (each.expand(row).contiguous(memory_format=torch.channels_last) for each in (mean, std))
        return scaled.sub_(mean).div_(std)


def shades_of_gray(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image as under white light, whose colour is estimated by the Minkowski mean of order 6.

    G. D. Finlayson and E. Trezzi, "Shades of Gray and Colour Constancy", Color Imaging Conference 2004. The overall
    brightness stays. An image without any light in a channel is returned as it is.

    Args:
        pixels: uint8 `(S, S, 3)`.

    Returns:
        uint8 `(S, S, 3)`.
    """
    light = np.mean((pixels / 255.0) ** ORDER, axis=(0, 1)) ** (1 / ORDER)  # (3,)
    if light.min() == 0:
        return pixels
    corrected = pixels * (np.linalg.norm(light) / (np.sqrt(3) * light))
    rounded: NDArray[np.uint8] = np.rint(corrected).clip(0, 255).astype(np.uint8)
    return rounded
