"""The decision of a training on all images: from out-of-fold predictions, or 0.5 where there are none."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from melanoma_pl.config.processes import is_main_process
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.evaluation.decision import Decision, fit_decision
from melanoma_pl.files import sha256_of
from melanoma_pl.image_files import read_all
from melanoma_pl.inference.ensemble import NOTHING
from melanoma_pl.runs import Run
from melanoma_pl.runs.image_list import check_out_of_fold
from melanoma_pl.runs.predictions import OUT_OF_FOLD, OutOfFold, read_out_of_fold, write_out_of_fold
from melanoma_pl.runs.run_folder import LAST
from melanoma_pl.training.cross_validation import read_cross_validation

logger = logging.getLogger(__name__)


def find_predictions(settings: TrainSettings, run: Run, data: MoleDataModule, open_test: bool) -> list[OutOfFold]:
    """Return the out-of-fold predictions that decide for a training on all images; a resumed run keeps its own.

    Raises:
        UserError: If they are not those of the training images.
    """
    if settings.threshold.sweep is None:
        return []
    if (run.checkpoints / LAST).is_file() and (run.folder / OUT_OF_FOLD).is_file():
        return read_out_of_fold(run.folder / OUT_OF_FOLD)
    predictions = read_cross_validation(settings, warns=True)
    check_listed(settings, predictions, data, open_test)
    return predictions


def check_listed(
    settings: TrainSettings, predictions: Sequence[OutOfFold], data: MoleDataModule, open_test: bool
) -> None:
    """Refuse out-of-fold predictions of other images than the training images, before any of them is decoded."""
    images = data.list_trained_on()
    test = data.list_split("test") if open_test else None
    hashes = iter(read_all(_hash_of, [*images.files, *(test.files if test else ())], "comparing images"))
    labels = [data.options.class_names[target] for target in images.targets]
    # the iterator goes on with the test images
    trained_on = {path: (sha256, label) for path, label, sha256 in zip(images.paths, labels, hashes, strict=False)}
    tested = dict(zip(test.paths, hashes, strict=True)) if test else {}
    named, is_skipping = f"threshold.from={settings.threshold.sweep}", data.options.on_broken == "skip"
    check_out_of_fold(predictions, trained_on, tested, named, may_lack=is_skipping)


def _hash_of(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError:  # decoding will tell
        return ""


def decide(
    settings: TrainSettings, run: Run, data: MoleDataModule, predictions: Sequence[OutOfFold]
) -> tuple[Decision, str] | None:
    """Fit the decision of a training on all images on its out-of-fold predictions, and record it.

    Returns:
        The decision, and what it was fitted on, in words; None if there are no predictions.

    Raises:
        UserError: If a training image that can be read has no prediction.
    """
    if not data.options.trains_on_all:
        return None
    decision, told, sweep = Decision(), NOTHING, settings.threshold.sweep
    if sweep is not None:
        split, names = data.split("train"), data.options.class_names
        labels = [names[target] for target in split.targets.tolist()]
        trained_on = dict(zip(split.images.paths, zip(split.contents, labels, strict=True), strict=True))
        check_out_of_fold(predictions, trained_on, {}, f"threshold.from={sweep}")
        targets = [names.index(each.label) for each in predictions]
        rule = settings.threshold.model_dump(exclude={"sweep"})
        decision = fit_decision([each.logit for each in predictions], targets, rule)
        networks = {each.network for each in predictions}
        told = f"{len(predictions)} out-of-fold predictions of {len(networks)} other networks ({sweep.resolve().name})"
        logger.info("decision    temperature %.3g, threshold %.3g: %s", decision.temperature, decision.threshold, told)
    else:
        way_out = "threshold.from=<cross-validation> takes another"
        logger.warning("decision    at 0.5, uncalibrated, since no image is held out: %s", way_out)
    if is_main_process():
        if predictions:
            write_out_of_fold(run, predictions)
        run.update(decision={"fitted_on": told, "images": len(predictions), **asdict(decision)})
    return (decision, told) if predictions else None
