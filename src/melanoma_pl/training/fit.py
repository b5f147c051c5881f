"""The main job, from settings to a trained and evaluated run: set up, fit, then judge."""

import logging
import sys
import warnings

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from melanoma_pl.config.instantiate import make_classifier, make_data
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.audit.audit_record import audit_warning
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.errors import UserError
from melanoma_pl.inference.hardware import check_compiler, choose_accelerator, choose_precision, keep_freed_memory
from melanoma_pl.models.checkpoint import read_checkpoint
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.summary import summarize
from melanoma_pl.runs import Run, is_main_process
from melanoma_pl.runs.image_list import check_images
from melanoma_pl.runs.run_folder import LAST
from melanoma_pl.specs import TARGET, build
from melanoma_pl.training.callbacks.epoch_log import EpochLog, ProgressBar
from melanoma_pl.training.callbacks.run_checkpoints import RunCheckpoints

logger = logging.getLogger(__name__)


def train(settings: TrainSettings, run: Run, *, open_test: bool = True) -> dict[str, float]:
    """Train, or train on, in a run's folder, and evaluate the result.

    Args:
        settings: All choices.
        run: The run, whose `run.json` exists.
        open_test: Whether the test split may be evaluated; a sweep's jobs must not.

    Returns:
        The final figures by their tags: `val/…`, and `test/…` where the test split was opened.

    Raises:
        UserError: If something is wrong that the user can mend.
        RunStopped: If a signal stopped the training, after it was saved.
    """
    for name in ("lightning.pytorch", "timm"):
        logging.getLogger(name).setLevel(logging.WARNING)  # what they would say is said below
    accelerator = choose_accelerator(settings.trainer.accelerator)
    precision = choose_precision(settings.trainer.precision, accelerator)
    check_compiler(settings.trainer.compile, accelerator)
    kept = accelerator == "cpu" and settings.trainer.keep_memory and keep_freed_memory()
    data = make_data(settings)
    data.setup("fit")
    in_sweep = not open_test
    open_test = open_test and settings.test
    if open_test:
        data.load("test")  # broken images are told now, not after hours of training
    resumed = check_images(run, data, ("train", "validation", "test") if open_test else ("train", "validation"))
    classifier = make_classifier(settings, data, resumed)
    if is_main_process():
        run.update(
            resolved={"accelerator": accelerator, "precision": precision, "keep_memory": kept},
            arithmetic=_arithmetic(settings, classifier, accelerator, precision),
            fingerprint=data.load("train").fingerprint(),
        )
    _tell(settings, data, accelerator, precision, open_test)
    if settings.data.synthetic is None and (warning := _audit_warning(data, open_test)):
        logger.warning("audit       %s", warning)
    logger.info("%s", summarize(classifier.network, settings.data.image_size))
    _fit(settings, run, data, classifier, accelerator, precision, resumed)
    if not is_main_process():
        return {}  # one process is enough to evaluate
    from melanoma_pl.report.pipeline import (
        evaluate_trained_run,  # figures, pages, heat maps: no first step should wait for their libraries
    )

    return evaluate_trained_run(settings, run, data, accelerator, open_test, in_sweep)


def _arithmetic(
    settings: TrainSettings, classifier: MelanomaClassifier, accelerator: str, precision: str
) -> dict[str, str | bool]:
    """Return what decides the last bits of the weights, for the run's record."""
    in_blocks = accelerator == "cpu" and precision == "32-true" and settings.trainer.compile == "none"
    return {
        "precision": precision,
        "channels_last": settings.trainer.channels_last,
        "blockwise": in_blocks and bool(getattr(classifier.network, "blockwise", False)),
        "compile": settings.trainer.compile,
        "fused": bool(classifier.optimizer_spec.get("fused")),
    }


def _tell(settings: TrainSettings, data: MoleDataModule, accelerator: str, precision: str, open_test: bool) -> None:
    """Say in a few lines what is about to be trained on what."""
    for name in ("train", "validation"):
        split = data.split(name)
        positives = int(split.targets.sum())
        drawn = f" ({settings.images_note})" if settings.images_note else ""
        logger.info("%-10s  %d images%s, %d %s", name, len(split), drawn, positives, data.class_names[1])
    if settings.data.validate_on == "test":
        logger.warning("validation runs on the test images, as the original did: no figure of this run is a test")
    if data.group_column is None and data.table is None and (data.root / METADATA_FILE).is_file():
        logger.info("metadata    %s is not used: data.group_column=<column> keeps a lesion on one side", METADATA_FILE)
    elif data.group_column is not None and open_test:
        test = data.list_split("test")
        logger.info("%d of %d test images share a lesion with train", data.shared_with_train(test).sum(), len(test))
    logger.info("device      %s, %s", accelerator, precision)


def _audit_warning(data: MoleDataModule, open_test: bool) -> str:
    """Return what the audit of these images, or the want of one, makes it necessary to say."""
    opened = open_test or data.validate_on == "test"
    train, *test = (data.load(name) for name in (("train", "test") if opened else ("train",)))
    contents = [(loaded.images.paths, loaded.sha256) for loaded in (train, *test)]
    return audit_warning(data.table or data.root, contents[0], contents[1] if test else None)


# Fit


def _fit(
    settings: TrainSettings,
    run: Run,
    data: MoleDataModule,
    classifier: MelanomaClassifier,
    accelerator: str,
    precision: str,
    resumed: bool,
) -> None:
    first_epoch, ended = _where(run, settings) if resumed else (1, False)
    if ended:
        logger.info("training had come to its end: evaluating")
        return
    checkpoints = RunCheckpoints(
        run.checkpoints,
        settings.checkpoint.monitor,
        settings.monitor_mode,
        settings.checkpoint.every_n_steps,
        settings.checkpoint.every_n_minutes,
    )
    try:
        trainer = make_trainer(settings, run, checkpoints, accelerator, precision, first_epoch)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"the trainer does not take these settings ({' '.join(str(error).split())})") from error
    with warnings.catch_warnings():
        # with the pixels in memory there is nothing for workers to do
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer.fit(classifier, data, ckpt_path=run.checkpoints / LAST if resumed else None, weights_only=True)


def make_trainer(
    settings: TrainSettings,
    run: Run,
    checkpoints: RunCheckpoints,
    accelerator: str,
    precision: str,
    first_epoch: int,
) -> pl.Trainer:
    """Return Lightning's trainer."""
    return pl.Trainer(
        accelerator=accelerator,
        devices=settings.trainer.devices,
        precision=precision,  # type: ignore[arg-type]
        max_epochs=settings.trainer.max_epochs,
        callbacks=[*make_callbacks(settings), EpochLog(run.folder), checkpoints],
        logger=make_loggers(settings, first_epoch),
        deterministic=settings.deterministic,
        num_sanity_val_steps=0,
        enable_progress_bar=sys.stdout.isatty(),  # a file or a log keeps the epoch's lines only
        enable_model_summary=False,
        log_every_n_steps=1,
        use_distributed_sampler=False,
        default_root_dir=run.folder,
        **(settings.trainer.model_extra or {}),
    )


def make_callbacks(settings: TrainSettings) -> list[pl.Callback]:
    """Return the callbacks that the configuration names, and a progress bar."""
    chosen = [build(spec, pl.Callback) for spec in settings.callbacks.values() if spec is not None]
    return [*chosen, ProgressBar()] if sys.stdout.isatty() else chosen


def make_loggers(settings: TrainSettings, first_epoch: int) -> list[Logger]:
    """Return the loggers that the configuration names; TensorBoard forgets what a killed run wrote of later epochs."""
    loggers: list[Logger] = []
    for spec in settings.logger.values():
        if spec is not None and spec.get(TARGET, "").endswith("TensorBoardLogger"):
            loggers.append(build({**spec, "purge_step": first_epoch}, TensorBoardLogger))
        elif spec is not None:
            loggers.append(build(spec, Logger))  # type: ignore[type-abstract]
    return loggers


def _where(run: Run, settings: TrainSettings) -> tuple[int, bool]:
    """Return the epoch that a resumed run goes on with (from 1), and whether its training had come to its end."""
    checkpoint = read_checkpoint(run.checkpoints / LAST)
    state = next(value for name, value in checkpoint["callbacks"].items() if name.startswith("RunCheckpoints"))
    progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    epoch = int(progress["processed"]) + 1
    if settings.trainer.max_epochs < epoch - 1:
        raise UserError(
            f"trainer.max_epochs={settings.trainer.max_epochs}, and the run has had {epoch - 1} epochs already",
            f"take {epoch} or more",
        )
    longer = settings.trainer.max_epochs > int(state["max_epochs"])
    if not state["ended"] or longer:
        logger.info("going on in epoch %d, after step %d", epoch, checkpoint["global_step"])
    if longer:
        logger.info(
            "%d epochs instead of %d: the schedule is planned anew from step %d on",
            settings.trainer.max_epochs,
            state["max_epochs"],
            checkpoint["global_step"],
        )
    return epoch, bool(state["ended"]) and not longer
