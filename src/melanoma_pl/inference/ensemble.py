"""Several networks' answers to one image, made into one.

One network, or several that judge together, with one decision.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from torch import Tensor

from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.loader import ImageBatches
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.evaluation.decision import Decision, fit_decision
from melanoma_pl.inference.prediction import Change, Views, predict_logits, split_batches
from melanoma_pl.models.classifier import MelanomaClassifier

Combine = Literal["logit", "rank"]


def mean_logit(logits: ArrayLike) -> Floats:
    """Return the mean of several networks' logits: float64 `(N,)` from float `(M, N)`.

    It is the logarithm of the geometric mean of the odds. Networks that are surer of themselves weigh more.
    """
    return np.asarray(np.asarray(logits, dtype=np.float64).mean(axis=0), dtype=np.float64)


def mean_rank(logits: ArrayLike, references: ArrayLike) -> Floats:
    """Return the logit of the mean rank, in which every network weighs alike, however sure it sounds.

    An image's rank is the share of reference images that the network finds less suspicious, so that it does not depend
    on which other images happen to be judged. Between two references it rises in a straight line, so that few of them
    do not make ties; beyond them all it rises ever more slowly.

    Args:
        logits: float `(M, N)`.
        references: float `(M, V)`, the same networks' logits of reference images, such as those of validation.

    Returns:
        float64 `(N,)`.
    """
    pairs = zip(np.asarray(logits, dtype=np.float64), np.asarray(references, dtype=np.float64), strict=True)
    return np.asarray(logit(np.mean([_ranks(values, reference) for values, reference in pairs], axis=0)))


def _ranks(values: Floats, reference: Floats) -> Floats:
    """Return each value's place among the references, float64 `(N,)` in (0, 1); those that tie share their mean."""
    different, counts = np.unique(reference, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    beyond = np.maximum(values - different[-1], 0) - np.maximum(different[0] - values, 0)  # below 0: under them all
    spread = reference.std()
    # From the outermost reference's place half a place on, or to where its ties end, which infinity alone reaches.
    way = beyond / (np.abs(beyond) + spread) if spread else np.sign(beyond)
    ends = np.where(beyond > 0, len(reference) + 0.5 - midranks[-1], midranks[0] - 0.5)
    return np.asarray((np.interp(values, different, midranks) + way * ends) / (len(reference) + 1))


logger = logging.getLogger(__name__)

OWN = "its validation images"
NOTHING = "nothing: temperature 1 and threshold 0.5"
FEWEST = 20  # images that several networks have validated on in common: with fewer nothing is fitted

Logits = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Member:
    """One network.

    Attributes:
        name: Of its run.
        classifier: In evaluation mode.
        own: The images of its own run, of which it validated on some.
        judged: The images that are judged; `own` where they are the run's own.
        fits: Whether it may fit a decision on its validation images: not where those are the test images.
        held: Hashes of the images that its run has listed as validation and not as train; None for no such list, as
            in a notebook: then the data module's own cut counts.
    """

    name: str
    classifier: MelanomaClassifier
    own: MoleDataModule
    evaluated: MoleDataModule
    fits: bool
    held: frozenset[str] | None = None


@dataclass(frozen=True)
class Ensemble:
    """Networks that judge together.

    Attributes:
        members: One or more.
        views: Whether each image is seen once, or as the mean of its eight flips and quarter turns.
        combine: How several logits become one.
        decision: Temperature and threshold of the combined logit.
        decided_on: What they were fitted on, in words.
        references: float `(M, V)`, logits of the validation images, where ranks are combined.
    """

    members: tuple[Member, ...]
    views: Views
    combine: Combine
    decision: Decision
    decided_on: str
    references: Logits | None = None

    @classmethod
    def of_one(cls, member: Member) -> "Ensemble":
        """Return a network alone, with the decision that its checkpoint holds."""
        decision = Decision(member.classifier.temperature, member.classifier.threshold)
        return cls((member,), "none", "logit", decision, OWN if member.fits else NOTHING)

    def member_logits(self, split: str, title: str, change: Callable[[Tensor, Tensor], Tensor] | None = None) -> Logits:
        """Return each member's logits of the judged images: float `(M, N)`."""
        return np.stack(
            [
                _logits(member.classifier, member.evaluated.split(split), title, self.views, change)
                for member in self.members
            ]
        )

    def combined(self, logits: Logits) -> Logits:
        """Return one logit an image: float `(N,)` from `(M, N)`; one member's stay as they are."""
        return _combined(logits, self.combine, self.references)

    def logits(self, split: str, title: str, change: Change | None = None) -> Logits:
        """Return the combined logits of the judged images: float `(N,)`."""
        return self.combined(self.member_logits(split, title, change))

    def without(self, position: int) -> "Ensemble":
        """Return the panel without one member, with the same decision."""
        kept = [index for index in range(len(self.members)) if index != position]
        references = None if self.references is None else self.references[kept]
        return replace(self, members=tuple(self.members[index] for index in kept), references=references)


def assemble(members: Sequence[Member], views: Views, combine: Combine) -> Ensemble:
    """Return a panel whose decision is fitted on images that all members validated on, and none trained on.

    Of one network's eight views the decision that its checkpoint holds is taken, if it holds one.

    Raises:
        UserError: If ranks are to be combined and there are no such images to rank among.
    """
    stored = members[0].classifier.augmented_decision
    if len(members) == 1 and stored is not None:
        return Ensemble(tuple(members), views, "logit", stored, OWN)
    held = _held_out(members)
    if held is None and combine == "rank":
        raise UserError(
            "combine=rank ranks each image among those that all runs validated on, and there are none",
            "take combine=logit, or runs that were trained with one data.split_seed on one set of images",
        )
    if held is None:
        return Ensemble(tuple(members), views, "logit", Decision(), NOTHING)
    splits, targets = held
    title = "validation images"
    logits = np.stack(
        [_logits(member.classifier, split, title, views, None) for member, split in zip(members, splits, strict=True)]
    )
    references = logits if combine == "rank" else None
    rule: Mapping[str, Any] = members[0].classifier.threshold_rule
    decision = fit_decision(_combined(logits, combine, references), targets, rule)
    return Ensemble(tuple(members), views, combine, decision, f"{len(targets)} validation images", references)


def _held_out(members: Sequence[Member]) -> tuple[list[ImageBatches], NDArray[np.int64]] | None:
    """Return, as each member sees them, the images that all validated on; None where they are too few."""
    if not all(member.fits for member in members):
        return None
    try:
        splits = [member.own.split("validation") for member in members]
    except UserError as error:
        logger.warning("nothing can be fitted on validation images: %s", error)
        return None
    held = [_contents(split, member.held) for split, member in zip(splits, members, strict=True)]
    common = [content for content in held[0] if all(content in other for other in held[1:])]
    chosen = [
        ImageBatches(split.loaded, torch.tensor([places[content] for content in common], dtype=torch.int64))
        for split, places in zip(splits, held, strict=True)
    ]
    targets = chosen[0].targets.numpy()
    if len(common) < min(FEWEST, len(splits[0])) or not 0 < targets.sum() < len(targets):
        return None
    return chosen, targets


def _contents(split: ImageBatches, listed: frozenset[str] | None) -> dict[str, int]:
    """Return the hash of each image's file that the run has listed, with its place in the folder's list.

    The list counts, not how the images are cut now: other metadata or other files would make another cut.
    """
    places = dict(zip(split.contents, split.positions.tolist(), strict=True))
    return {content: place for content, place in places.items() if listed is None or content in listed}


def _logits(
    classifier: MelanomaClassifier, split: ImageBatches, title: str, views: Views, change: Change | None
) -> NDArray[np.float32]:
    return predict_logits(classifier, split_batches(split, title, change), views)


def _combined(logits: Logits, combine: Combine, references: Logits | None) -> Logits:
    if len(logits) == 1:
        return np.asarray(logits[0])
    combined: Floats = mean_logit(logits) if references is None else mean_rank(logits, references)
    return combined
