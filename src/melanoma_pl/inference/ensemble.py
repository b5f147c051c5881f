"""Ensembles: one network, or several whose logits are combined, with one decision."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.loader import ImageBatches
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.evaluation.decision import Decision, fit_decision
from melanoma_pl.inference.prediction import Change, Views, predict_logits, split_batches
from melanoma_pl.messages import timed
from melanoma_pl.models.classifier import MelanomaClassifier

logger = logging.getLogger(__name__)

Logits = NDArray[np.floating[Any]]
Combine = Literal["logit", "rank"]

OWN = "its validation images"
NOTHING, UNFITTED = "nothing: temperature 1 and threshold 0.5", Decision()
FEWEST = 20  # common validation images of several networks: with fewer, no decision is fitted


def mean_logit(logits: ArrayLike) -> Floats:
    """Return the mean of several networks' logits, float64 `(N,)` from float `(M, N)`.

    It is the logarithm of the geometric mean of the odds. Networks with larger logits weigh more.
    """
    return np.asarray(np.asarray(logits, dtype=np.float64).mean(axis=0), dtype=np.float64)


def mean_rank(logits: ArrayLike, references: ArrayLike) -> Floats:
    """Return the logit of the mean rank, in which every network has the same weight.

    An image's rank is the fraction of reference images with a lower logit, so that it does not depend on the other
    images of a batch. The rank rises linearly between two references, which avoids ties where there are few of them,
    and ever more slowly beyond them.

    Args:
        logits: float `(M, N)`.
        references: float `(M, V)`, logits of the same networks for reference images, such as validation images.

    Returns:
        float64 `(N,)`.
    """
    pairs = zip(np.asarray(logits, dtype=np.float64), np.asarray(references, dtype=np.float64), strict=True)
    return np.asarray(logit(np.mean([_ranks(values, reference) for values, reference in pairs], axis=0)))


def _ranks(values: Floats, reference: Floats) -> Floats:
    """Return each value's rank among the references, float64 `(N,)` in (0, 1); ties share their mean rank."""
    different, counts = np.unique(reference, return_counts=True)
    midranks = np.cumsum(counts) - (counts - 1) / 2
    beyond = np.maximum(values - different[-1], 0) - np.maximum(different[0] - values, 0)  # negative: below all
    spread = reference.std()
    # beyond the outermost reference by half a rank, or to the end of its ties, which only infinity reaches
    way = beyond / (np.abs(beyond) + spread) if spread else np.sign(beyond)
    ends = np.where(beyond > 0, len(reference) + 0.5 - midranks[-1], midranks[0] - 0.5)
    return np.asarray((np.interp(values, different, midranks) + way * ends) / (len(reference) + 1))


@dataclass(frozen=True)
class Member:
    """One network of an ensemble, with its images.

    Attributes:
        name: Name of its run.
        classifier: In evaluation mode.
        own: The images of its training run.
        evaluated: The images to evaluate; the same object as `own` for the run's own images.
        held_out: Hashes of the images that its run has listed as validation and not as train. None, as in a notebook,
            trusts the data module's split.
        out_of_fold: Hash → logit and target of each training image, by a cross-validation of the same recipe, if that
            decides for a network that was trained on all images.
    """

    name: str
    classifier: MelanomaClassifier
    own: MoleDataModule
    evaluated: MoleDataModule
    held_out: frozenset[str] | None = None
    out_of_fold: Mapping[str, tuple[float, int]] | None = None

    @property
    def fits(self) -> bool:
        """True if a decision may be fitted on its validation images; False if none, or those of test."""
        return self.own.options.validate_on == "validation" and not self.own.options.trains_on_all


@dataclass(frozen=True)
class Ensemble:
    """One or several networks whose logits are combined, with one decision; `assemble` makes it.

    Attributes:
        members: The networks.
        views: `none`, or `dihedral` for the mean logit of the eight flips and quarter turns of each image.
        combine: `logit` or `rank`: what is averaged over several members.
        decision: Temperature and threshold of the combined logit.
        decided_on: The images that the decision was fitted on, in words.
        references: float `(M, V)`, logits of the validation images that ranks are taken among; None for logits.
    """

    members: tuple[Member, ...]
    views: Views = "none"
    combine: Combine = "logit"
    decision: Decision = UNFITTED
    decided_on: str = NOTHING
    references: Logits | None = None

    @property
    def is_fitted(self) -> bool:
        """True if the decision was fitted; otherwise it has temperature 1 and threshold 0.5."""
        return self.decided_on != NOTHING

    @property
    def decided_by(self) -> str:
        """The kind of the images that the decision was fitted on: `out-of-fold` or `validation`."""
        return "out-of-fold" if any(member.classifier.decided_on for member in self.members) else "validation"

    def member_logits(self, split: str, title: str, change: Change | None = None) -> Logits:
        """Return each member's logits of the evaluated images, float `(M, N)`.

        Args:
            split: `validation` or `test`.
            title: Title of the progress bar.
            change: Applied to each batch before prediction.
        """
        return self._logits([member.evaluated.split(split) for member in self.members], title, change)

    def logits(self, split: str, title: str, change: Change | None = None) -> Logits:
        """Return the combined logits of the evaluated images, float `(N,)`; arguments as of `member_logits`."""
        return self.combined(self.member_logits(split, title, change))

    def combined(self, logits: Logits) -> Logits:
        """Combine the members' logits: float `(N,)` from `(M, N)`; those of a single member stay unchanged."""
        if len(logits) == 1:
            return np.asarray(logits[0])
        return mean_logit(logits) if self.references is None else mean_rank(logits, self.references)

    def without(self, position: int) -> "Ensemble":
        """Return the ensemble without one member, with the same decision."""
        kept = [index for index in range(len(self.members)) if index != position]
        references = None if self.references is None else self.references[kept]
        return replace(self, members=tuple(self.members[index] for index in kept), references=references)

    def _logits(self, splits: Sequence[ImageBatches], title: str, change: Change | None = None) -> Logits:
        batches = [split_batches(split, title, change) for split in splits]
        pairs = zip(self.members, batches, strict=True)
        with timed("variants" if change else "evaluation"):
            return np.stack([predict_logits(member.classifier, pixels, self.views) for member, pixels in pairs])


def assemble(members: Sequence[Member], views: Views = "none", combine: Combine = "logit") -> Ensemble:
    """Return an ensemble with its decision.

    A single network keeps the decision of its checkpoint, if that was fitted with the checkpoint's weights, or, for
    `dihedral` views, the one that an earlier evaluation fitted. That of a cross-validation serves any views. Any other
    decision is fitted on images that all members validated on and none trained on; of a member that was trained on all
    images, the out-of-fold predictions by single views stand for its own.

    Raises:
        UserError: If a member's images are preprocessed otherwise than its network was trained with, if members have
            other class names, or if ranks are to be combined and there are no such images.
    """
    _check_members(members)
    ensemble, classifier = Ensemble(tuple(members), views, combine), members[0].classifier
    if (
        len(members) == 1
        and (classifier.decided_on or views == "none")
        and (classifier.is_decided or not members[0].fits)
    ):
        own = Decision(classifier.temperature, classifier.threshold)
        return replace(
            ensemble, decision=own, decided_on=classifier.decided_on or (OWN if members[0].fits else NOTHING)
        )
    if len(members) == 1 and views == "dihedral" and classifier.augmented_decision is not None:
        return replace(ensemble, decision=classifier.augmented_decision, decided_on=OWN)
    held_out = common_held_out(members)
    if held_out is None:
        if combine == "rank":
            raise UserError(
                "combine=rank ranks each image among those that all runs validated on, and there are none",
                "take combine=logit, or runs that were trained with one data.split_seed on the same images",
            )
        return ensemble
    logits, targets, told = held_out.logits(ensemble), held_out.targets, held_out.title
    ensemble = replace(ensemble, references=logits if combine == "rank" else None)
    decision = fit_decision(ensemble.combined(logits), targets, classifier.threshold_rule)
    return replace(ensemble, decision=decision, decided_on=f"{len(targets)} {told}")


def _check_members(members: Sequence[Member]) -> None:
    """Refuse a network that its run's images were not prepared for, and networks of different classes."""
    first = members[0]
    for member in members:
        classifier, data = member.classifier, member.evaluated
        names, of_data = list(classifier.class_names), list(data.options.class_names)
        difference = "" if names == of_data else f"class_names={names} instead of {of_data}"
        if difference := difference or classifier.preprocessing.difference(data.preprocessing):
            raise UserError(
                f"the checkpoint of {member.name} was trained with {difference}",
                "put the run's own checkpoint and run.json back",
            )
        if names != list(first.classifier.class_names):
            raise UserError(
                f"{member.name} has the classes {', '.join(names)}, unlike {first.name}",
                "combine networks of the same classes",
            )


@dataclass(frozen=True)
class HeldOutImages:
    """Images that no member was trained on, or whose logits are out of fold.

    Attributes:
        members: The members.
        contents: V hashes.
        splits: The validation images of each member; None for one with out-of-fold predictions.
        targets: int `(V,)`, 1 is malignant.
    """

    members: Sequence[Member]
    contents: Sequence[str]
    splits: Sequence[ImageBatches | None]
    targets: NDArray[np.int64]

    @property
    def title(self) -> str:
        """The kind of these images."""
        return "validation images" if None not in self.splits else "images with out-of-fold predictions"

    def logits(self, ensemble: Ensemble) -> Logits:
        """Return each member's logits, float `(M, V)`."""
        rows = []
        for member, split in zip(self.members, self.splits, strict=True):
            if split is None:
                rows.append(np.array([(member.out_of_fold or {})[content][0] for content in self.contents]))
            else:
                pixels = split_batches(split, "validation images")
                rows.append(predict_logits(member.classifier, pixels, ensemble.views))
        return np.stack(rows)


def common_held_out(members: Sequence[Member]) -> HeldOutImages | None:
    """Return the images that all members validated on or have out-of-fold predictions of; None if they are too few."""
    if not all(member.fits or member.out_of_fold for member in members):
        return None
    try:
        splits = [None if member.out_of_fold else member.own.split("validation") for member in members]
    except UserError as error:
        logger.warning("no decision can be fitted on validation images: %s", error)
        return None
    known = [
        {content: target for content, (_, target) in (member.out_of_fold or {}).items()}
        if split is None
        else dict(zip(split.contents, split.targets.tolist(), strict=True))
        for member, split in zip(members, splits, strict=True)
    ]
    # the runs' lists decide, not the present splits: other metadata or other files would cut other splits
    listed = [each.held_out for each in members if each.held_out is not None and not each.out_of_fold]
    in_all = set(known[0]).intersection(*known[1:], *listed)
    common = [content for content in known[0] if content in in_all]
    targets = np.array([known[0][content] for content in common], dtype=np.int64)
    is_enough = len(common) >= min(FEWEST, len(known[0])) and 0 < targets.sum() < len(common)
    return HeldOutImages(members, common, [_among(split, common) for split in splits], targets) if is_enough else None


def _among(split: ImageBatches | None, contents: Sequence[str]) -> ImageBatches | None:
    """Return the images of a split with these contents, in their order."""
    if split is None:
        return None
    found = dict(zip(split.contents, split.positions.tolist(), strict=True))
    return ImageBatches(split.loaded, torch.tensor([found[content] for content in contents], dtype=torch.int64))
