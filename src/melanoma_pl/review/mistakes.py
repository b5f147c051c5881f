"""The photos that were decided most wrongly, with where the network looked and a control beside it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.explanation.control import likeness, shuffled
from melanoma_pl.explanation.heat_maps import heat_maps
from melanoma_pl.explanation.overlay import overlay
from melanoma_pl.models.features import last_convolution
from melanoma_pl.reporting.evaluation.content import Mistake
from melanoma_pl.reporting.thumbnails import picture_uri
from melanoma_pl.review.panel import Panel

Integers = NDArray[np.int64]
Picture = NDArray[np.uint8]


def worst_mistakes(
    panel: Panel, split: str, malignant: Floats, targets: Integers, count: int
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


def _describe(panel: Panel, split: str, malignant: Floats, targets: Integers, chosen: Sequence[int]) -> list[Mistake]:
    if not chosen:
        return []
    first = panel.members[0]
    batches = first.judged.split(split)
    pixels = batches[0, torch.tensor(chosen)].pixels
    paths = batches.loaded.photos.take(batches.positions.numpy()[list(chosen)]).paths
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
            photo=picture_uri(pictures[place]),
            heat_map="" if maps is None else picture_uri(overlay(pictures[place], maps[place])),
            control="" if controls is None else picture_uri(overlay(pictures[place], controls[place])),
            likeness=None if maps is None or controls is None else likeness(maps[place], controls[place]),
            map_is_empty=maps is not None and not maps[place].any(),
            control_is_empty=controls is not None and not controls[place].any(),
        )
        for place, (index, path) in enumerate(zip(chosen, paths, strict=True))
    ]


def _picture(pixels: Tensor) -> Picture:
    """Return uint8 `(S, S, 3)` from `(3, S, S)`."""
    return np.ascontiguousarray(pixels.cpu().permute(1, 2, 0).numpy())
