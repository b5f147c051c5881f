"""Analysis of one split: predict its images, then collect everything that the report says about them."""

from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import (
    USUAL_PREVALENCE,
    RankedImages,
    always_benign,
    calibrate,
    count,
    decide,
    decision_curve,
    in_people,
    rank,
    risk_coverage,
    scarcity_warnings,
)
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.inference.ensemble import Ensemble, Logits
from melanoma_pl.messages import DISCLAIMER
from melanoma_pl.models.features import tapped
from melanoma_pl.report.content import Caveat, Consequences, Content, MemberFigures, PredictedScores, SetFigures
from melanoma_pl.report.mistakes import worst_mistakes
from melanoma_pl.report.provenance import (
    dataset_name,
    detector_sample,
    evaluation_facts,
    evaluation_warnings,
    experiments,
    run_title,
    seen_images,
    training_images,
)
from melanoma_pl.report.request import EvaluationRequest
from melanoma_pl.report.shortcuts import find_shortcuts, measure_robustness
from melanoma_pl.report.subgroups import find_groupings, subgroup_table


@dataclass(frozen=True)
class SplitPredictions:
    """An ensemble's predictions for the images of a split.

    Attributes:
        images: The N images.
        is_seen: bool `(N,)`, images that a network trained or chose on, or whose lesion is in its train folder.
        member_logits: float `(M, N)`, logits of each member.
        logits: float `(N,)`, combined logits.
        probabilities: float64 `(N,)`, calibrated probabilities of malignant.
        is_ood: bool `(N,)`, images that are out of distribution; None if no detector applies.
    """

    images: LabelledImages
    is_seen: NDArray[np.bool_]
    member_logits: Logits
    logits: Logits
    probabilities: Floats
    is_ood: NDArray[np.bool_] | None


def analyse(ensemble: Ensemble, request: EvaluationRequest) -> tuple[SplitPredictions, Content]:
    """Predict the images of the requested split, and return the predictions and the content of the report.

    Raises:
        UserError: If a column of the metadata is missing, if members have different images or have trained on them, or
            if a network returns non-finite logits.
    """
    first, split, is_full = ensemble.members[0], request.split, request.depth == "page"
    # whatever the user has to mend is found before the images are predicted
    is_seen, warnings = seen_images(ensemble, request)
    batches, images = first.evaluated.split(split), common_images(ensemble, split)
    groupings = find_groupings(first.evaluated, batches, request.subgroups) if is_full else []
    predictions = predict_split(ensemble, split, images, is_seen)
    logits, probabilities, targets = predictions.logits, predictions.probabilities, images.targets
    own = RankedImages(logits, targets, images.groups)
    threshold, prevalence = ensemble.decision.threshold, request.prevalence
    is_chosen = ensemble.is_fitted and first.classifier.threshold_rule["rule"] != "fixed"
    on = "on validation" if ensemble.decided_by == "validation" else ensemble.decided_by
    mistakes = request.mistakes if is_full else 0
    missed, alarms = worst_mistakes(ensemble, split, probabilities, targets, mistakes, request.images_in_report)
    class_names = (first.classifier.class_names[0], first.classifier.class_names[1])
    trained_on = training_images(first, images) if is_full else None
    return predictions, Content(
        title=run_title(request.runs),
        split=split,
        images=dataset_name(first.evaluated),
        class_names=class_names,
        n=len(images),
        positives=int(targets.sum()),
        facts=evaluation_facts(ensemble, request),
        warnings=(
            *evaluation_warnings(ensemble, request),
            *warnings,
            *(Caveat("few", each) for each in scarcity_warnings(targets, class_names)),
        ),
        notes=tuple(_notes(batches.loaded.broken, predictions.is_ood, detector_sample(request.runs[0].run))),
        sets=_main_figures(predictions, split, threshold, prevalence),
        decisions=(
            decide(f"chosen {on}" if is_chosen else "fixed", probabilities, targets, threshold, prevalence),
            *([decide("0.5", probabilities, targets, 0.5, prevalence)] if threshold != 0.5 else []),
            always_benign(targets, prevalence, f"always {class_names[0]}"),
        ),
        prevalence=prevalence,
        calibration=(
            calibrate(logits, targets, 1.0, images.groups),
            calibrate(logits, targets, ensemble.decision.temperature, images.groups),
        ),
        subgroups=tuple(subgroup_table(each, logits, probabilities, targets, threshold) for each in groupings),
        shortcuts=(find_shortcuts(ensemble, split, own, trained_on) if is_full else ()),
        robustness=measure_robustness(ensemble, split, own) if request.robustness else (),
        false_negatives=missed,
        false_positives=alarms,
        members=_member_figures(ensemble, predictions.member_logits, own),
        curves=PredictedScores(tuple(probabilities.tolist()), tuple(targets.tolist())),
        disclaimer=DISCLAIMER,
        lesions=None if images.groups is None else len(set(images.groups)),
        stamp=request.runs[0].run.folder.resolve().name if len(request.runs) == 1 else "",
        experiments=experiments(ensemble, request),
        consequences=_consequences(predictions, threshold, prevalence, trained_on) if is_full else None,
        shows_published=request.published,
        has_images=request.images_in_report,
    )


def common_images(ensemble: Ensemble, split: str) -> LabelledImages:
    """Return the images to evaluate, with their lesions if any member knows them.

    Raises:
        UserError: If the members have different images.
    """
    splits = [member.evaluated.split(split) for member in ensemble.members]
    images = [batches.images for batches in splits]
    for member, batches, other in zip(ensemble.members, splits, images, strict=True):
        is_same = other.paths == images[0].paths and np.array_equal(other.targets, images[0].targets)
        if not is_same or batches.contents != splits[0].contents:
            raise UserError(
                f"{member.name} has other {split} images than {ensemble.members[0].name}",
                "take runs on the same images, or give the images: data.root=<folder>",
            )
    return replace(images[0], groups=next((each.groups for each in images if each.groups is not None), None))


def predict_split(
    ensemble: Ensemble, split: str, images: LabelledImages, is_seen: NDArray[np.bool_], title: str = ""
) -> SplitPredictions:
    """Predict the images of a split; `title` names them on the progress bar."""
    classifier, is_ood = ensemble.members[0].classifier, None
    detector = classifier.ood_detector if len(ensemble.members) == 1 and ensemble.views == "none" else None
    with ExitStack() as stack:
        features = [] if detector is None else stack.enter_context(tapped(classifier.network))
        member_logits = ensemble.member_logits(split, f"predicting {title or split} images")
    if detector is not None:
        is_ood = detector.is_ood(torch.cat(features).cpu().numpy())
    logits = ensemble.combined(member_logits)
    return SplitPredictions(images, is_seen, member_logits, logits, ensemble.decision.probabilities(logits), is_ood)


def _main_figures(
    predictions: SplitPredictions, split: str, threshold: float, prevalence: float | None
) -> tuple[SetFigures, ...]:
    """Return the figures of all images, and of the unseen ones if only some are seen."""
    masks = {split: np.ones(len(predictions.images), dtype=bool)}
    if predictions.is_seen.any() and not predictions.is_seen.all():
        masks[f"{split}, unseen lesions"] = ~predictions.is_seen
    found = []
    for title, mask in masks.items():
        images = predictions.images.take(np.flatnonzero(mask))
        ranking = rank(predictions.logits[mask], images.targets, images.groups)
        decisions = decide(title, predictions.probabilities[mask], images.targets, threshold, prevalence)
        found.append(SetFigures(title, ranking, decisions))
    return tuple(found)


def _consequences(
    predictions: SplitPredictions, threshold: float, prevalence: float | None, trained_on: LabelledImages | None
) -> Consequences:
    """Return the consequences of the decisions for the unseen images, or for all if none or all are seen."""
    mask = np.ones_like(predictions.is_seen) if predictions.is_seen.all() else ~predictions.is_seen
    images = predictions.images.take(np.flatnonzero(mask))
    arguments = predictions.probabilities[mask], images.targets, threshold
    at = USUAL_PREVALENCE if prevalence is None else prevalence
    prior = None if trained_on is None else float(trained_on.targets.mean())
    if prior in (0, 1):  # a folder of one class tells nothing of the prevalence that a network was trained at
        prior = None
    return Consequences(
        n=len(images),
        positives=int(images.targets.sum()),
        is_part=not mask.all(),
        in_people=in_people(count(*arguments), at),
        decision_curves=(
            decision_curve(*arguments, images.groups, at, prior),
            decision_curve(*arguments, images.groups),
        ),
        prior=prior,
        risk_coverage=risk_coverage(*arguments, images.groups),
    )


def _member_figures(ensemble: Ensemble, logits: Logits, together: RankedImages) -> tuple[MemberFigures, ...]:
    """Return each member's AUROC and contribution from its logits, float `(M, N)`, and the images' combined logits."""
    if len(ensemble.members) == 1:
        return ()
    found = []
    for position, member in enumerate(ensemble.members):
        rest = together.with_scores(ensemble.without(position).combined(np.delete(logits, position, axis=0)))
        alone = together.with_scores(logits[position])
        found.append(MemberFigures(member.name, alone.auroc, together.auroc_minus(rest)))
    return tuple(found)


def _notes(broken: dict[str, str], is_ood: NDArray[np.bool_] | None, sample: str) -> list[str]:
    notes = [f"{len(broken)} images of this folder cannot be read and are left out."] if broken else []
    if is_ood is not None:
        found = f"{is_ood.sum()} of {len(is_ood)} images are out of distribution"
        notes.append(f"{found} (1 in 20 validation images is, by construction).{sample and ' '}{sample}")
    return notes
