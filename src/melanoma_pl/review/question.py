"""What is asked of a review, what is known beforehand, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.data.folder import Photos
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.reporting.evaluation.content import Content
from melanoma_pl.review.panel import Logits

Depth = Literal["page", "numbers"]


@dataclass(frozen=True)
class Question:
    """What is asked of a review.

    Attributes:
        split: `validation` or `test`.
        prevalence: Share of malignant photos to give predictive values at, or None.
        subgroups: Columns of the metadata, or None for those that are known by their names.
        robustness: Whether to judge perturbed photos, too.
        mistakes: How many of the worst false negatives and false positives to show.
        depth: `numbers` leaves out what is slow and only a page shows: shortcuts and mistakes.
    """

    split: str
    prevalence: float | None = None
    subgroups: Sequence[str] | None = None
    robustness: bool = False
    mistakes: int = 6
    depth: Depth = "page"


@dataclass(frozen=True)
class Context:
    """What is known of the photos and the networks beside their pixels and weights.

    Attributes:
        title: Of the report: the run's name.
        photos: Name of the photo set.
        facts: Label → text.
        runs: Folders of the runs that judge.
        warnings: What must be said beside every figure.
        notes: What is worth knowing.
        is_known: bool `(N,)`, photos that the network trained on, or whose lesion it trained on.
        may_learn: Whether the run's own training photos are there for what knows no medicine to learn from.
    """

    title: str
    photos: str
    facts: dict[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_known: NDArray[np.bool_] | None = None
    may_learn: bool = True


@dataclass(frozen=True)
class Review:
    """A review, photo by photo and in all.

    Attributes:
        content: What the report says.
        judged: The photos.
        logits: float `(N,)`, combined.
        malignant: float64 `(N,)`, probabilities.
        is_known: bool `(N,)`, photos whose lesion was trained on.
        is_unlike: bool `(N,)`, photos unlike the training photos; None where the checkpoint cannot tell.
        loss: Of the live curve, before calibration; None for several networks.
        runs: Folders of the runs that judged.
    """

    content: Content
    judged: Photos
    logits: Logits
    malignant: Floats
    is_known: NDArray[np.bool_]
    is_unlike: NDArray[np.bool_] | None
    loss: float | None
    runs: tuple[str, ...]
