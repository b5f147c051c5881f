"""Small pictures that travel inside a page: JPEG as data URIs.

The images that were decided most wrongly, with where the network looked and a control beside it.
"""

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_all, to_rgb
from melanoma_pl.inference.ensemble import Ensemble
from melanoma_pl.inference.heat_maps import heat_maps, overlay, shuffled, similarity
from melanoma_pl.models.features import last_convolution
from melanoma_pl.report.content import Mistake

SIDE = 160  # pixels, of the longer side
QUALITY = 72  # of JPEG: about 5 kB a picture


@dataclass(frozen=True)
class Thumbnail:
    """A small picture.

    Attributes:
        uri: `data:image/jpeg;base64,…`.
        width: In pixels.
        height: In pixels.
    """

    uri: str
    width: int
    height: int


def thumbnails(root: Path, paths: Iterable[str], side: int = SIDE) -> dict[str, Thumbnail]:
    """Return a small picture of each image that can be read.

    Args:
        root: Folder that the paths are relative to.
        paths: Of the images, with `/`.
        side: Of the longer side, pixels; smaller images keep their size.
    """
    wanted = sorted(set(paths))
    pictures = read_all(lambda file: thumbnail(file, side), [root / path for path in wanted], "small pictures")
    return {path: picture for path, picture in zip(wanted, pictures, strict=True) if picture}


def thumbnail(file: Path, side: int = SIDE) -> Thumbnail | None:
    """Return a small picture of an image, or None where it cannot be read."""
    try:
        with open_image(file) as image:
            draft(image, side)
            small = to_rgb(image)
            small.thumbnail((side, side), reducing_gap=2.0)
            return Thumbnail(_uri(small), *small.size)
    except BrokenImageError:
        return None


def image_uri(pixels: NDArray[np.uint8]) -> str:
    """Return pixels, uint8 `(H, W, 3)`, as a data URI."""
    return _uri(Image.fromarray(pixels))


def _uri(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


Integers = NDArray[np.int64]
Picture = NDArray[np.uint8]


def worst_mistakes(
    panel: Ensemble, split: str, malignant: Floats, targets: Integers, count: int
) -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    """Return the worst false negatives and false positives, at most `count` of each.

    Args:
        panel: Who judged; the pictures are of its first network.
        split: `validation` or `test`.
        malignant: float64 `(N,)`, probabilities.
        targets: int64 `(N,)`.
        count: 0 or more.
    """
    is_called = malignant >= panel.decision.threshold
    missed = _worst(np.flatnonzero((targets == 1) & ~is_called), malignant, count)
    alarms = _worst(np.flatnonzero((targets == 0) & is_called), -malignant, count)
    shown = _describe(panel, split, malignant, targets, [*missed, *alarms])
    return tuple(shown[: len(missed)]), tuple(shown[len(missed) :])


def _worst(candidates: Integers, badness: Floats, count: int) -> list[int]:
    return candidates[np.argsort(badness[candidates], kind="stable")][:count].tolist()  # type: ignore[no-any-return]


def _describe(
    panel: Ensemble, split: str, malignant: Floats, targets: Integers, chosen: Sequence[int]
) -> list[Mistake]:
    if not chosen:
        return []
    first = panel.members[0]
    batches = first.evaluated.split(split)
    pixels = batches[0, torch.tensor(chosen)].pixels
    paths = batches.loaded.images.take(batches.positions.numpy()[list(chosen)]).paths
    maps = controls = None
    if last_convolution(first.classifier.network) is not None:
        called = malignant[list(chosen)] >= panel.decision.threshold
        maps = heat_maps(first.classifier, pixels, called)
        controls = heat_maps(shuffled(first.classifier), pixels, called)
    pictures = [_picture(each) for each in pixels]
    return [
        Mistake(
            path=path,
            label=first.classifier.class_names[targets[index]],
            probability=float(malignant[index]),
            image=image_uri(pictures[place]),
            heat_map="" if maps is None else image_uri(overlay(pictures[place], maps[place])),
            control="" if controls is None else image_uri(overlay(pictures[place], controls[place])),
            similarity=None if maps is None or controls is None else similarity(maps[place], controls[place]),
            map_is_empty=maps is not None and not maps[place].any(),
            control_is_empty=controls is not None and not controls[place].any(),
        )
        for place, (index, path) in enumerate(zip(chosen, paths, strict=True))
    ]


def _picture(pixels: Tensor) -> Picture:
    """Return uint8 `(S, S, 3)` from `(3, S, S)`."""
    return np.ascontiguousarray(pixels.cpu().permute(1, 2, 0).numpy())
