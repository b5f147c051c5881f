"""The out-of-fold predictions of a cross-validation, which decide for a training on all images (`threshold.from`)."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from melanoma_pl.config.composition import flatten
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.errors import UserError
from melanoma_pl.messages import amount, readable, shown_path
from melanoma_pl.runs import RECORD, REPORT, Run
from melanoma_pl.runs.image_list import OF_WEIGHTS, listed_images
from melanoma_pl.runs.predictions import PREDICTIONS, OutOfFold, read_out_of_fold
from melanoma_pl.specs import validated
from melanoma_pl.training.sweeps import FINISHED, read_jobs

logger = logging.getLogger(__name__)

ANEW = "sweep anew: melanoma-train -m … data.fold=0,1,…"
MUST_MATCH = ("data.class_names", "data.normalisation", "data.image_size", "data.colour_constancy", "model", "loss")
SHOULD_MATCH = (
    "augmentation", "optimizer", "scheduler", "parameter_groups", "data.batch_size", "data.balance",
    "data.sampler", "data.benign_per_malignant", "trainer.max_epochs", "checkpoint.evaluate",
)  # fmt: skip


def read_cross_validation(settings: TrainSettings, *, warns: bool = False) -> list[OutOfFold]:
    """Return the out-of-fold predictions of the cross-validation `threshold.from`, sorted by path.

    Of a sweep over folds and settings, the jobs with the setting of this run are taken.

    Args:
        settings: The settings of the run that the cross-validation decides for.
        warns: Whether a difference that matters less, such as the learning rate, is logged.

    Raises:
        UserError: If the folder does not hold a finished cross-validation of the same recipe, or it predicts an image
            twice.
    """
    folder = settings.threshold.sweep
    assert folder is not None
    named = f"threshold.from={folder}"
    jobs = read_jobs(folder)
    configs = {job.folder: Run(job.folder).read()["config"] for job in jobs}
    if not jobs or any(config["data"].get("fold") is None for config in configs.values()):
        kind = "does not exist" if not folder.exists() else "is a run" if (folder / RECORD).is_file() else "is no sweep"
        told = "holds jobs without data.fold" if jobs else kind
        raise UserError(f"{named} {told}", f"name the folder of a cross-validation, or {ANEW}")
    for job in jobs:
        if job.status != FINISHED:
            way_out = f"finish it: melanoma-train resume={shown_path(job.folder)}, or {ANEW}"
            raise UserError(f"{named}: job {job.folder.name} did not finish ({readable(job.status)})", way_out)
    trained = {job.folder: validated(TrainSettings, configs[job.folder]) for job in jobs}
    chosen, unlike = _closest(trained, settings, MUST_MATCH)
    if unlike:
        raise UserError(
            f"{named} was trained with {unlike}", "name a cross-validation of this run's recipe, or take its settings"
        )
    chosen, unlike = _closest(chosen, settings, SHOULD_MATCH)
    if unlike and warns:
        logger.warning("decision    of a cross-validation with %s: it may fit this network less well", unlike)
    predictions = [prediction for job in chosen for prediction in _held_out_predictions(Run(job), named)]
    if twice := [path for path, count in Counter(each.path for each in predictions).items() if count > 1]:
        raise UserError(
            f"{named} predicts {amount(len(twice), 'image')} more than once ({twice[0]})",
            f"name a sweep with one job for each fold, without further seeds or settings, or {ANEW}",
        )
    return sorted(predictions)


def _closest(
    jobs: Mapping[Path, TrainSettings], settings: TrainSettings, keys: Sequence[str]
) -> tuple[dict[Path, TrainSettings], str]:
    """Return the jobs whose settings differ from those of a run in the fewest keys, and these keys in words."""

    def chosen(each: TrainSettings) -> dict[str, Any]:
        starts = tuple(f"{key}." for key in keys)
        values = flatten(each.model_dump(mode="json", by_alias=True))
        return {key: value for key, value in values if f"{key}.".startswith(starts) and not isinstance(value, dict)}

    own, differences = chosen(settings), {}
    for job, trained in jobs.items():
        other = chosen(trained)
        differences[job] = [
            f"{key}={other.get(key)} instead of {own.get(key)}"
            for key in sorted(own.keys() | other.keys())
            if own.get(key) != other.get(key)
        ]
    fewest = min(differences.values(), key=len)
    return {job: trained for job, trained in jobs.items() if differences[job] == fewest}, ", ".join(fewest)


def _held_out_predictions(job: Run, named: str) -> list[OutOfFold]:
    """Return a job's predictions of its fold.

    Raises:
        UserError: If there are none, or the weights that it began with have learnt from the images.
    """
    table = job.folder / REPORT / "validation" / PREDICTIONS
    if not table.is_file():
        way_out = f"make them: melanoma-evaluate run={shown_path(job.folder)} split=validation"
        raise UserError(f"{named}: job {job.folder.name} has no predictions of its fold", way_out)
    listed = listed_images(job)
    hashes = {image.path: image.sha256 for image in listed.get("validation", ())}
    found = read_out_of_fold(table, hashes, str(job.folder))
    learnt = ({image.sha256 for image in listed.get(split, ())} for split in ("train", OF_WEIGHTS["train"]))
    copied, known = (sum(each.sha256 in hashes for each in found) for hashes in learnt)
    if known:
        raise UserError(
            f"{named}: the weights that job {job.folder.name} began with have learnt from {known} of the "
            f"{len(found)} images of its fold",
            f"begin with weights that do not know them, and {ANEW}",
        )
    if copied:
        text = "decision    job %s has trained on copies of %d of the %d images of its fold: it may be too confident"
        logger.warning(text, job.folder.name, copied, len(found))
    return found
