"""Heat maps as files: each photo in its own shape, with what speaks for its decision laid over it."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from melanoma_pl.data.opening import draft, open_photo
from melanoma_pl.explanation.heat_maps import heat_maps
from melanoma_pl.explanation.overlay import overlay
from melanoma_pl.inference import Prediction
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.rgb import to_rgb

SIDE = 1024  # pixels: the longer side of a written picture, where the photo is larger


def heat_map_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return where each photo's heat map goes: below `folder` as the photos lie, since names repeat in folders."""
    parents = [path.resolve().parent for path in paths]
    try:
        common = os.path.commonpath(parents)
    except ValueError:  # no photos, or on two drives of Windows
        common = ""
    pairs = zip(paths, parents, strict=True)
    return [folder / parent.relative_to(common or parent.anchor) / f"{path.name}.png" for path, parent in pairs]


def write_heat_map(classifier: MelanomaClassifier, prediction: Prediction, target: Path) -> Path | None:
    """Write one photo with its heat map.

    Returns:
        The file; None where the photo could not be read.

    Raises:
        ValueError: If the network has no convolution.
    """
    if prediction.pixels is None:
        return None
    heat = heat_maps(classifier, prediction.pixels[None], [prediction.is_malignant])[0]
    with open_photo(prediction.path) as photo:
        draft(photo, SIDE // 2)
        picture = to_rgb(photo)
    picture.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(overlay(np.asarray(picture), _resized(heat, picture.size))).save(target)
    return target


def _resized(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Stretch a map to a photo's own shape, which the network saw squeezed into a square."""
    return np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
