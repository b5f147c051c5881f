"""How two models differ on the same images: figures, paired differences, and what so many images could have shown."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.evaluation.assessment import auroc_with_delong
from melanoma_pl.evaluation.checks import warnings_of
from melanoma_pl.evaluation.comparison import (
    Difference,
    Discordance,
    mcnemar,
    paired_auroc_by_lesion,
    paired_delong,
    paired_proportion_difference,
)
from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.evaluation.outcomes import share
from melanoma_pl.runs.pairing import PairedPredictions
from melanoma_pl.runs.predictions import Predictions

Floats = NDArray[np.float64]
Targets = NDArray[np.int64]
Flags = NDArray[np.bool_]
FRACTIONS = ("sensitivity", "specificity", "accuracy")
NONE_OF_THEM = {"sensitivity": "no malignant images", "specificity": "no benign images", "accuracy": "no images"}


@dataclass(frozen=True)
class Model:
    """One of the two.

    Attributes:
        place: Where its predictions were found, as typed.
        threshold: Its own, in [0, 1]; None where it is not noted.
        figures: `auroc`, `sensitivity`, `specificity`, `accuracy`.
    """

    place: str
    threshold: float | None
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Comparison:
    """What two models differ by.

    Attributes:
        split: `test` or `validation`.
        n: Images.
        positives: Malignant ones.
        lesions: Of these images; None where they are not known.
        first: A.
        second: B.
        differences: B − A of `auroc`, `sensitivity`, `specificity` and `accuracy`, each image standing alone.
        auroc_by_lesion: B − A, drawing lesions; None where they are not known or have one image each.
        discordances: For each share, how many images only A or only B decides rightly.
        warnings: What must be said beside every figure.
        is_synthetic: Whether the images were drawn.
    """

    split: str
    n: int
    positives: int
    lesions: int | None
    first: Model
    second: Model
    differences: Mapping[str, Difference]
    auroc_by_lesion: Difference | None
    discordances: Mapping[str, Discordance]
    warnings: tuple[str, ...]
    is_synthetic: bool

    @property
    def ranking(self) -> Difference:
        """The difference of AUROCs that allows for images of one lesion, where there are any."""
        return self.auroc_by_lesion or self.differences["auroc"]


@dataclass(frozen=True)
class _Side:
    """One model's answers: probabilities float64 `(N,)`, and whether each decision is right, bool `(N,)`."""

    probabilities: Floats
    right: Flags


def compare_pair(pair: PairedPredictions, draws: int | None = None, seed: int = 0) -> Comparison:
    """Return how B differs from A.

    Args:
        pair: Predictions of the same images.
        draws: Of the bootstrap over lesions; None: as many as suit the number of images.
        seed: Of the bootstrap.
    """
    targets = np.array([image.is_malignant for image in pair.first.images.values()], dtype=np.int64)  # (N,)
    first, second = (_side(side, tuple(pair.first.images), targets) for side in (pair.first, pair.second))
    lesions = len(set(pair.groups)) if pair.groups else None
    by_lesion = None
    if pair.groups and lesions != targets.size:
        by_lesion = paired_auroc_by_lesion(second.probabilities, first.probabilities, targets, pair.groups, draws, seed)
    return Comparison(
        split=pair.first.split,
        n=targets.size,
        positives=int(targets.sum()),
        lesions=lesions,
        first=_model(pair.first, first, targets),
        second=_model(pair.second, second, targets),
        differences=_differences(first, second, targets),
        auroc_by_lesion=by_lesion,
        discordances={
            name: mcnemar(first.right[chosen], second.right[chosen]) for name, chosen in _chosen(targets).items()
        },
        warnings=(*pair.warnings, *warnings_of(targets)),
        is_synthetic=pair.first.is_synthetic or pair.second.is_synthetic,
    )


def _side(side: Predictions, paths: tuple[str, ...], targets: Targets) -> _Side:
    images = [side.images[path] for path in paths]
    called_malignant = np.array([image.is_called_malignant for image in images], dtype=bool)
    return _Side(np.array([image.probability for image in images]), called_malignant == (targets == 1))


def _chosen(targets: Targets) -> dict[str, Flags]:
    """Return which images each share is of: bool `(N,)`."""
    return {"sensitivity": targets == 1, "specificity": targets == 0, "accuracy": np.ones(targets.shape, dtype=bool)}


def _differences(first: _Side, second: _Side, targets: Targets) -> dict[str, Difference]:
    shares = {
        name: paired_proportion_difference(second.right[chosen], first.right[chosen])
        for name, chosen in _chosen(targets).items()
    }
    return {"auroc": paired_delong(second.probabilities, first.probabilities, targets), **shares}


def _model(predictions: Predictions, side: _Side, targets: Targets) -> Model:
    shares = {
        name: share(int(side.right[chosen].sum()), int(chosen.sum()), NONE_OF_THEM[name])
        for name, chosen in _chosen(targets).items()
    }
    figures = {"auroc": auroc_with_delong(side.probabilities, targets), **shares}
    return Model(str(predictions.source.place), predictions.threshold, figures)
