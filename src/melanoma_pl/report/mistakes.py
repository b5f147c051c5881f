"""The worst mistakes, with heat maps and controls, as images that are embedded in a page if they may be."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.inference.ensemble import Ensemble
from melanoma_pl.inference.heat_maps import control_maps, heat_maps, overlay, similarity
from melanoma_pl.messages import timed
from melanoma_pl.models.features import last_convolution
from melanoma_pl.report.content import Mistake
from melanoma_pl.report.markup import data_uri

Integers = NDArray[np.int64]
Heat = NDArray[np.float32]


def worst_mistakes(
    ensemble: Ensemble,
    split: str,
    probabilities: Floats,
    targets: Integers,
    count: int,
    with_images: bool = True,
) -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    """Return the worst false negatives and false positives, at most `count` of each.

    Args:
        ensemble: The networks; the heat maps are those of the first.
        split: `validation` or `test`.
        probabilities: float64 `(N,)`, of malignant.
        targets: int64 `(N,)`.
        count: 0 or more.
        with_images: Whether the images and their heat maps are embedded; the similarity is computed in any case.
    """
    is_called = probabilities >= ensemble.decision.threshold
    missed = _worst(np.flatnonzero((targets == 1) & ~is_called), probabilities, count)
    alarms = _worst(np.flatnonzero((targets == 0) & is_called), -probabilities, count)
    chosen = [*missed, *alarms]
    shown = _describe(ensemble, split, probabilities, chosen, is_called[chosen], with_images)
    return shown[: len(missed)], shown[len(missed) :]


def _worst(candidates: Integers, scores: Floats, count: int) -> list[int]:
    """Return the indices of the lowest scores."""
    return candidates[np.argsort(scores[candidates], kind="stable")][:count].tolist()  # type: ignore[no-any-return]


def _describe(
    ensemble: Ensemble,
    split: str,
    probabilities: Floats,
    chosen: Sequence[int],
    is_called: NDArray[np.bool_],
    with_images: bool,
) -> tuple[Mistake, ...]:
    if not chosen:
        return ()
    classifier, batches = ensemble.members[0].classifier, ensemble.members[0].evaluated.split(split)
    pixels = batches[0, torch.tensor(chosen)].pixels
    paths = batches.images.take(chosen).paths
    images = np.ascontiguousarray(pixels.cpu().permute(0, 2, 3, 1).numpy())  # uint8 (N, S, S, 3)
    maps: Sequence[Heat | None] | Heat = [None] * len(chosen)
    controls = maps
    if last_convolution(classifier.network) is not None:
        with timed("heat_maps"):
            maps, controls = heat_maps(classifier, pixels, is_called), control_maps(classifier, pixels)
    return tuple(
        Mistake(
            path=path,
            label=classifier.class_names[not called],
            probability=float(probabilities[index]),
            image=data_uri(Image.fromarray(image)) if with_images else "",
            heat_map=_overlay_uri(image, heat) if with_images else "",
            control=_overlay_uri(image, control) if with_images else "",
            similarity=None if heat is None or control is None else similarity(heat, control),
            map_is_empty=heat is not None and not heat.any(),
            control_is_empty=control is not None and not control.any(),
        )
        for index, called, path, image, heat, control in zip(
            chosen, is_called, paths, images, maps, controls, strict=True
        )
    )


def _overlay_uri(image: NDArray[np.uint8], heat: Heat | None) -> str:
    return "" if heat is None else data_uri(Image.fromarray(overlay(image, heat)))
