"""The review of one split: judge the photos, then put everything that is to be said into the report's content."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from melanoma_pl.data.image_set import Photos
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
from melanoma_pl.report.shortcuts import auroc_lost, find_shortcuts, measure_robustness, training_photos
from melanoma_pl.report.subgroups import find_groupings, subgroup_tables

Integers = NDArray[np.int64]


def review(panel: Ensemble, question: Question, context: Context) -> Review:
    """Judge the photos of a split, and answer everything that is asked.

    Raises:
        UserError: If a column of the metadata is missing, or the network's answers are no numbers.
    """
    first, split = panel.members[0], question.split
    batches = first.judged.split(split)
    judged = _photos(panel, split)
    is_full = question.depth == "page"
    # what is missing is said before the work
    groupings = find_groupings(first.judged, batches, question.subgroups) if is_full else []
    member_logits, is_unlike = _judge(panel, split)
    logits = panel.combined(member_logits)
    malignant, targets = panel.decision.probabilities(logits), judged.targets
    is_known = np.zeros(len(judged), dtype=bool) if context.is_known is None else context.is_known
    training = training_photos(first.own.list_split("train"), judged.paths) if context.may_learn and is_full else None
    missed, alarms = worst_mistakes(panel, split, malignant, targets, question.mistakes if is_full else 0)
    threshold = panel.decision.threshold
    class_names = (first.classifier.class_names[0], first.classifier.class_names[1])
    content = Content(
        title=context.title,
        split=split,
        photos=context.photos,
        class_names=class_names,
        n=len(judged),
        positives=int(targets.sum()),
        facts=context.facts,
        warnings=(*context.warnings, *warnings_of(targets, class_names)),
        notes=_notes(context.notes, batches.loaded.broken, is_unlike),
        sets=_sets(split, logits, malignant, judged, is_known, threshold, question.prevalence),
        decisions=(
            decide(_chosen(panel), malignant, targets, threshold, question.prevalence),
            *([decide("0.5", malignant, targets, 0.5, question.prevalence)] if threshold != 0.5 else []),
            always_benign(targets, question.prevalence),
        ),
        prevalence=question.prevalence,
        calibration=(
            calibrate(logits, targets, 1.0, judged.groups),
            calibrate(logits, targets, panel.decision.temperature, judged.groups),
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
        lesions=None if judged.groups is None else len(set(judged.groups)),
        pictures_note=f"Heat maps of {first.name} alone." if len(panel.members) > 1 else "",
    )
    return Review(content, judged, logits, malignant, is_known, is_unlike, _loss(panel, logits, targets), context.runs)


def _photos(panel: Ensemble, split: str) -> Photos:
    """Return the judged photos, with their lesions if any member knows them.

    Raises:
        UserError: If the members do not judge the same photos.
    """
    seen = [member.judged.split(split) for member in panel.members]
    photos = [batches.loaded.photos.take(batches.positions.numpy()) for batches in seen]
    for member, batches, other in zip(panel.members[1:], seen[1:], photos[1:], strict=True):
        same = other.paths == photos[0].paths and np.array_equal(other.targets, photos[0].targets)
        if not same or batches.contents != seen[0].contents:
            raise UserError(
                f"{member.name} has other {split} photos than {panel.members[0].name}",
                "take runs on one photo set, or give the photos: data.root=<folder>",
            )
    return replace(photos[0], groups=next((each.groups for each in photos if each.groups is not None), None))


def _judge(panel: Ensemble, split: str) -> tuple[Logits, NDArray[np.bool_] | None]:
    """Return each member's logits `(M, N)`, and which photos are unlike the training photos of a network alone."""
    familiarity, title = panel.members[0].classifier.familiarity, f"judging {split} photos"
    if familiarity is None or len(panel.members) > 1 or panel.views != "none":
        return panel.member_logits(split, title), None
    with tapped(panel.members[0].classifier.network) as collected:
        logits = panel.member_logits(split, title)
    return logits, familiarity.is_unlike(torch.cat(collected).cpu().numpy())


def _chosen(panel: Ensemble) -> str:
    """Say where the threshold comes from."""
    is_fixed = panel.members[0].classifier.threshold_rule["rule"] == "fixed"
    return "fixed" if is_fixed or panel.decided_on == NOTHING else "chosen on validation"


def _sets(
    split: str,
    logits: Logits,
    malignant: Floats,
    judged: Photos,
    is_known: NDArray[np.bool_],
    threshold: float,
    prevalence: float | None,
) -> tuple[SetFigures, ...]:
    masks = {split: np.ones(len(judged), dtype=bool)}
    if is_known.any() and not is_known.all():
        masks[f"{split}, no lesion of train"] = ~is_known
    return tuple(
        SetFigures(
            title,
            rank(logits[mask], judged.targets[mask], _groups(judged, mask)),
            decide(title, malignant[mask], judged.targets[mask], threshold, prevalence),
        )
        for title, mask in masks.items()
    )


def _groups(judged: Photos, mask: NDArray[np.bool_]) -> list[str] | None:
    return None if judged.groups is None else list(judged.take(np.flatnonzero(mask)).groups or ())


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


def _notes(known: tuple[str, ...], broken: dict[str, str], is_unlike: NDArray[np.bool_] | None) -> tuple[str, ...]:
    notes = [*known]
    if broken:
        notes.append(f"{len(broken)} photos of this folder cannot be read and are left out.")
    if is_unlike is not None:
        notes.append(
            f"{is_unlike.sum()} of {len(is_unlike)} photos are unlike the training photos (1 in 20 of validation is)."
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
