"""The review of one split: judge the images, then put everything that is to be said into the report's content."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from melanoma_pl.data.image_set import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.assessment import auroc_with_delong, calibrate, rank
from melanoma_pl.evaluation.checks import Floats, warnings_of
from melanoma_pl.evaluation.metrics import count
from melanoma_pl.evaluation.outcomes import always_benign, decide
from melanoma_pl.inference.ensemble import NOTHING, Ensemble, Logits
from melanoma_pl.messages import DISCLAIMER
from melanoma_pl.models.features import tapped
from melanoma_pl.report.content import Content, MemberFigures, PredictedScores, SetFigures
from melanoma_pl.report.mistakes import worst_mistakes
from melanoma_pl.report.request import Context, Question, Review
from melanoma_pl.report.shortcuts import auroc_lost, find_shortcuts, measure_robustness, training_images
from melanoma_pl.report.subgroups import find_groupings, subgroup_tables

Integers = NDArray[np.int64]


def review(panel: Ensemble, question: Question, context: Context) -> Review:
    """Judge the images of a split, and answer everything that is asked.

    Raises:
        UserError: If a column of the metadata is missing, or the network's answers are no numbers.
    """
    first, split = panel.members[0], question.split
    batches = first.evaluated.split(split)
    evaluated = _images(panel, split)
    is_full = question.depth == "page"
    # what is missing is said before the work
    groupings = find_groupings(first.evaluated, batches, question.subgroups) if is_full else []
    member_logits, is_ood = _evaluate(panel, split)
    logits = panel.combined(member_logits)
    malignant, targets = panel.decision.probabilities(logits), evaluated.targets
    is_seen = np.zeros(len(evaluated), dtype=bool) if context.is_seen is None else context.is_seen
    training = (
        training_images(first.own.list_split("train"), evaluated.paths) if context.may_learn and is_full else None
    )
    missed, alarms = worst_mistakes(panel, split, malignant, targets, question.mistakes if is_full else 0)
    threshold = panel.decision.threshold
    class_names = (first.classifier.class_names[0], first.classifier.class_names[1])
    content = Content(
        title=context.title,
        split=split,
        images=context.images,
        class_names=class_names,
        n=len(evaluated),
        positives=int(targets.sum()),
        facts=context.facts,
        warnings=(*context.warnings, *warnings_of(targets, class_names)),
        notes=_notes(context.notes, batches.loaded.broken, is_ood),
        sets=_sets(split, logits, malignant, evaluated, is_seen, threshold, question.prevalence),
        decisions=(
            decide(_chosen(panel), malignant, targets, threshold, question.prevalence),
            *([decide("0.5", malignant, targets, 0.5, question.prevalence)] if threshold != 0.5 else []),
            always_benign(targets, question.prevalence),
        ),
        prevalence=question.prevalence,
        calibration=(
            calibrate(logits, targets, 1.0, evaluated.groups),
            calibrate(logits, targets, panel.decision.temperature, evaluated.groups),
        ),
        subgroups=subgroup_tables(groupings, logits, malignant, targets, threshold),
        shortcuts=find_shortcuts(panel, split, logits, targets, training) if is_full else (),
        robustness=measure_robustness(panel, split, logits, targets) if question.robustness else (),
        false_negatives=missed,
        false_positives=alarms,
        wrong=count(malignant, targets, threshold),
        members=_members(panel, member_logits, targets),
        curves=PredictedScores(tuple(malignant.tolist()), tuple(targets.tolist())),
        disclaimer=DISCLAIMER,
        lesions=None if evaluated.groups is None else len(set(evaluated.groups)),
        images_note=f"Heat maps of {first.name} alone." if len(panel.members) > 1 else "",
    )
    return Review(content, evaluated, logits, malignant, is_seen, is_ood, _loss(panel, logits, targets), context.runs)


def _images(panel: Ensemble, split: str) -> LabelledImages:
    """Return the judged images, with their lesions if any member knows them.

    Raises:
        UserError: If the members do not judge the same images.
    """
    seen = [member.evaluated.split(split) for member in panel.members]
    images = [batches.loaded.images.take(batches.positions.numpy()) for batches in seen]
    for member, batches, other in zip(panel.members[1:], seen[1:], images[1:], strict=True):
        same = other.paths == images[0].paths and np.array_equal(other.targets, images[0].targets)
        if not same or batches.contents != seen[0].contents:
            raise UserError(
                f"{member.name} has other {split} images than {panel.members[0].name}",
                "take runs on one image set, or give the images: data.root=<folder>",
            )
    return replace(images[0], groups=next((each.groups for each in images if each.groups is not None), None))


def _evaluate(panel: Ensemble, split: str) -> tuple[Logits, NDArray[np.bool_] | None]:
    """Return each member's logits `(M, N)`, and which images are unlike the training images of a network alone."""
    ood_detector, title = panel.members[0].classifier.ood_detector, f"judging {split} images"
    if ood_detector is None or len(panel.members) > 1 or panel.views != "none":
        return panel.member_logits(split, title), None
    with tapped(panel.members[0].classifier.network) as collected:
        logits = panel.member_logits(split, title)
    return logits, ood_detector.is_ood(torch.cat(collected).cpu().numpy())


def _chosen(panel: Ensemble) -> str:
    """Say where the threshold comes from."""
    is_fixed = panel.members[0].classifier.threshold_rule["rule"] == "fixed"
    return "fixed" if is_fixed or panel.decided_on == NOTHING else "chosen on validation"


def _sets(
    split: str,
    logits: Logits,
    malignant: Floats,
    evaluated: LabelledImages,
    is_seen: NDArray[np.bool_],
    threshold: float,
    prevalence: float | None,
) -> tuple[SetFigures, ...]:
    masks = {split: np.ones(len(evaluated), dtype=bool)}
    if is_seen.any() and not is_seen.all():
        masks[f"{split}, no lesion of train"] = ~is_seen
    return tuple(
        SetFigures(
            title,
            rank(logits[mask], evaluated.targets[mask], _groups(evaluated, mask)),
            decide(title, malignant[mask], evaluated.targets[mask], threshold, prevalence),
        )
        for title, mask in masks.items()
    )


def _groups(evaluated: LabelledImages, mask: NDArray[np.bool_]) -> list[str] | None:
    return None if evaluated.groups is None else list(evaluated.take(np.flatnonzero(mask)).groups or ())


def _members(panel: Ensemble, logits: Logits, targets: Integers) -> tuple[MemberFigures, ...]:
    if len(panel.members) == 1:
        return ()
    together, found = panel.combined(logits), []
    for position, member in enumerate(panel.members):
        rest = panel.without(position).combined(np.delete(logits, position, axis=0))
        found.append(
            MemberFigures(
                member.name, auroc_with_delong(logits[position], targets), auroc_lost(together, rest, targets)
            )
        )
    return tuple(found)


def _notes(known: tuple[str, ...], broken: dict[str, str], is_ood: NDArray[np.bool_] | None) -> tuple[str, ...]:
    notes = [*known]
    if broken:
        notes.append(f"{len(broken)} images of this folder cannot be read and are left out.")
    if is_ood is not None:
        notes.append(
            f"{is_ood.sum()} of {len(is_ood)} images are unlike the training images (1 in 20 of validation is)."
        )
    return tuple(notes)


def _loss(panel: Ensemble, logits: Logits, targets: Integers) -> float | None:
    """Return the loss of the live curve: weighted, before calibration."""
    if len(panel.members) > 1:
        return None
    classifier: Any = panel.members[0].classifier
    with torch.inference_mode():
        answers = (torch.from_numpy(array).to(classifier.device) for array in (logits, targets))
        return float(classifier.loss(*answers))
