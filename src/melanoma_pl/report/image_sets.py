"""Image sets beside each other: a run's own test images, parts of them, and the external sets that the user names.

Temperature and threshold are those of the run. Images of an external set that a network, or the weights that it began
with, trained or chose on are left out of its figures.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.config.instantiate import make_data
from melanoma_pl.data.columns import column_of, role_of
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.data.metadata import read_table
from melanoma_pl.data.splits import fulfilling
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.evaluation import Estimate, RankedImages, clustered_proportion
from melanoma_pl.evaluation.checks import NO_NEGATIVES, NO_POSITIVES
from melanoma_pl.inference.ensemble import Ensemble
from melanoma_pl.messages import amount
from melanoma_pl.report.analysis import SplitPredictions, common_images, predict_split
from melanoma_pl.report.content import ImageSet
from melanoma_pl.report.provenance import images_seen
from melanoma_pl.report.request import EvaluationRequest, ExternalSet

TEST, UNSEEN = "test", "unseen lesions"

Source = tuple[str, NDArray[np.bool_]]
"""A condition such as `in_ham10000=1`, and which images fulfil it, bool `(N,)`."""


@dataclass(frozen=True)
class ExternalPredictions:
    """The predictions for an external set, and the number of its files that cannot be read."""

    name: str
    predictions: SplitPredictions
    broken: int


def predict_external(ensemble: Ensemble, request: EvaluationRequest) -> list[ExternalPredictions]:
    """Predict each external set with the ensemble's decision.

    Raises:
        UserError: If an image cannot be read, or a network has trained on all images of a set.
    """
    return [_predict_set(ensemble, request, each) for each in request.external]


def _predict_set(ensemble: Ensemble, request: EvaluationRequest, chosen: ExternalSet) -> ExternalPredictions:
    data = [make_data(settings, every_class=False, whole=True) for settings in chosen.evaluated]
    members = tuple(replace(member, evaluated=own) for member, own in zip(ensemble.members, data, strict=True))
    of_set = replace(ensemble, members=members)
    images, batches = common_images(of_set, TEST), data[0].split(TEST)
    is_seen = images_seen(request.runs, members, batches.contents, TEST)
    if is_seen.all():
        raise UserError(
            f"external={chosen.root}: a network trained or chose on all {amount(len(images), 'image')} of it",
            "give images of another source",
        )
    predictions = predict_split(of_set, TEST, images, is_seen, chosen.name)
    return ExternalPredictions(chosen.name, predictions, len(batches.loaded.broken))


def find_source(data: MoleDataModule, request: EvaluationRequest) -> Source | None:
    """Return the test images of one source, or None if image sets are not asked for or no source is named.

    Args:
        data: The run's own images.
        request: Its `source` is a condition of the metadata. Without one, this is the most frequent source with images
            of both classes, where the metadata have a column that names sources.

    Raises:
        UserError: If the condition needs a table or a column that does not exist, or no image fulfils it.
    """
    images, condition, image_column = data.split(request.split).images, request.source, data.options.image_column
    if condition is not None:
        fulfils, values = fulfilling(images, condition, data.need_metadata("source", condition), image_column, "source")
        if not fulfils.any():
            problem = f"source={condition} leaves no {request.split} image"
            raise UserError(problem, f"the values of this column are {first_of(values)}")
        return condition, fulfils
    table = data.find_metadata()
    if table is None or not request.external:
        return None
    with suppress(UserError):  # nobody asked for a source, so a table of something else must not stop the evaluation
        rows = read_table(table, image_column, listed=set(images.paths))
        names = [name for name in next(iter(rows.values()), {}) if role_of(name) == "source"]
        for column in (column_of(name, [rows.get(path, {}).get(name, "") for path in images.paths]) for name in names):
            found = {value: np.isin(np.arange(len(images)), at) for value, at in column.images_of().items()}
            both = [value for value, mask in found.items() if len(set(images.targets[mask].tolist())) == 2]
            if both and len(found) > 1:
                value = max(both, key=lambda each: found[each].sum())
                return f"{column.name}={value}", found[value]
    return None


def image_sets(
    request: EvaluationRequest,
    threshold: float,
    own: SplitPredictions,
    source: Source | None,
    external: Sequence[ExternalPredictions],
) -> tuple[ImageSet, ...]:
    """Return the figures of the test images, of their unseen lesions and of one source, and of each external set.

    Args:
        request: The request.
        threshold: Probability from which on an image is called malignant.
        own: Predictions for the run's own images.
        source: As of `find_source`.
        external: As of `predict_external`.

    Returns:
        One entry a set; none if neither external sets nor a source were asked for.
    """
    if not (external or source):
        return ()
    unseen = ~own.is_seen
    is_part = 0 < unseen.sum() < len(unseen)
    sets = [_figures(request.split, own, np.ones_like(unseen), threshold)]
    if is_part:
        sets.append(_figures(UNSEEN, own, unseen, threshold))
    if source and (unseen & source[1]).any():
        of_source = _figures(source[0], own, unseen & source[1], threshold)
        sets.append(replace(of_source, note=UNSEEN if is_part else ""))
    for each in external:
        found, is_seen = each.predictions, each.predictions.is_seen
        notes = [f"{amount(each.broken, 'image')} cannot be read"] * bool(each.broken)
        if is_seen.any():
            names = first_of([found.images.paths[index] for index in np.flatnonzero(is_seen)])
            notes.append(f"{amount(int(is_seen.sum()), 'image')} that a network has seen left out ({names})")
        figures = _figures(each.name, found, ~is_seen, threshold)
        sets.append(replace(figures, is_external=True, note="; ".join(notes)))
    return tuple(sets)


def _figures(name: str, predictions: SplitPredictions, mask: NDArray[np.bool_], threshold: float) -> ImageSet:
    images = predictions.images.take(np.flatnonzero(mask))
    called, malignant = predictions.probabilities[mask] >= threshold, images.targets == 1
    is_ood = predictions.is_ood
    return ImageSet(
        name,
        n=len(images),
        positives=int(malignant.sum()),
        lesions=None if images.groups is None else len(set(images.groups)),
        auroc=RankedImages(predictions.logits[mask], images.targets, images.groups).auroc,
        sensitivity=_proportion(called, malignant, images, NO_POSITIVES),
        specificity=_proportion(~called, ~malignant, images, NO_NEGATIVES),
        out_of_distribution=None if is_ood is None else clustered_proportion(is_ood[mask], images.groups),
    )


def _proportion(flags: NDArray[np.bool_], among: NDArray[np.bool_], images: LabelledImages, reason: str) -> Estimate:
    if not among.any():
        return Estimate(None, None, reason)
    return clustered_proportion(flags[among], images.take(np.flatnonzero(among)).groups)
