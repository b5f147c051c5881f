"""The main job, from settings to a trained and evaluated run: set up, fit, evaluate."""

import logging
import sys
import warnings

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger

from melanoma_pl.config.instantiate import draw_synthetic_images, make_classifier, make_data
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.audit.audit_record import audit_warning
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.errors import UserError
from melanoma_pl.inference.hardware import check_compiler, choose_accelerator, choose_precision, keep_freed_memory
from melanoma_pl.models.checkpoint import read_training
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.summary import summarize
from melanoma_pl.runs import Run, is_main_process
from melanoma_pl.runs.image_list import check_images
from melanoma_pl.runs.run_folder import LAST
from melanoma_pl.specs import TARGET, build
from melanoma_pl.training.callbacks.epoch_log import EpochLog, ProgressBar
from melanoma_pl.training.callbacks.run_checkpoints import DirectCheckpointIO, RunCheckpoints
from melanoma_pl.training.callbacks.tensorboard import log_hyper_parameters
from melanoma_pl.training.starting_weights import starting_weights

logger = logging.getLogger(__name__)


def train(settings: TrainSettings, run: Run, *, open_test: bool = True) -> dict[str, float]:
    """Train in a run's folder, or go on with its training, and evaluate the result.

    Args:
        settings: All choices.
        run: The run; its `run.json` exists.
        open_test: Whether the test split may be evaluated; the jobs of a sweep must not.

    Returns:
        The final figures by tag: `val/…`, and `test/…` if the test split was opened.

    Raises:
        UserError: If something is wrong that the user can correct.
        RunStopped: If a signal stopped the training, after it was saved.
    """
    for name in ("lightning.pytorch", "timm"):
        logging.getLogger(name).setLevel(logging.WARNING)  # the lines below say the same in fewer words
    accelerator = choose_accelerator(settings.trainer.accelerator)
    precision = choose_precision(settings.trainer.precision, accelerator)
    check_compiler(settings.trainer.compile, accelerator)
    weights = starting_weights(settings, run)
    keeps_memory = accelerator == "cpu" and settings.trainer.keep_memory and keep_freed_memory()
    draw_synthetic_images(settings)
    data = make_data(settings)
    data.setup("fit")
    in_sweep = not open_test
    open_test = open_test and settings.test
    if open_test:
        data.load("test")  # broken images are reported now, not after hours of training
    splits = ("train", "validation", "test") if open_test else ("train", "validation")
    is_resumed = check_images(run, data, splits, weights.images if weights else ())
    if weights:
        weights.record(run)
    if is_resumed:
        _restore_threads(run, accelerator)
    classifier = make_classifier(settings, data, is_resumed)
    if is_main_process():
        run.update(
            resolved={"accelerator": accelerator, "precision": precision, "keep_memory": keeps_memory},
            threads=torch.get_num_threads(),
            arithmetic=_arithmetic(settings, classifier, accelerator, precision),
            fingerprint=data.load("train").fingerprint(),
        )
    _describe(settings, data, open_test)
    logger.info("device      %s, %s", accelerator, precision)
    if settings.data.synthetic is None and (warning := _audit_warning(data, open_test)):
        logger.warning("audit       %s", warning)
    logger.info("%s", summarize(classifier.network, settings.data.image_size))
    first_epoch, has_ended = _resume_point(run, settings) if is_resumed else (1, False)
    if has_ended:
        logger.info("training has already ended: evaluating")
    else:
        trainer = make_trainer(settings, run, accelerator, precision, first_epoch)
            has_validation_split=data.has_validation_split,
        with warnings.catch_warnings():
            # decoded pixels in memory leave nothing for workers to do
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            trainer.fit(classifier, data, ckpt_path=run.checkpoints / LAST if is_resumed else None, weights_only=True)
    if not is_main_process():
        return {}  # one process is enough to evaluate
    # the first step must not wait for the libraries that draw figures, pages and heat maps
    from melanoma_pl.report.pipeline import evaluate_trained_run

    figures = evaluate_trained_run(settings, run, data, accelerator, open_test, in_sweep)
    log_hyper_parameters(settings, run.folder, figures)
    return figures


def _restore_threads(run: Run, accelerator: str) -> None:
    """Take the number of CPU threads with which the run began, since another number rounds differently."""
    threads = run.read().get("threads")
    if accelerator == "cpu" and threads and threads != torch.get_num_threads():
        logger.info("threads     %d, as when the run began, instead of %d", threads, torch.get_num_threads())
        torch.set_num_threads(threads)


def _arithmetic(
    settings: TrainSettings, classifier: MelanomaClassifier, accelerator: str, precision: str
) -> dict[str, str | bool]:
    """Return the choices that decide the last bits of the weights, for the run's record."""
    is_plain = accelerator == "cpu" and precision == "32-true" and settings.trainer.compile == "none"
    return {
        "precision": precision,
        "channels_last": settings.trainer.channels_last,
        "blockwise": is_plain and bool(getattr(classifier.network, "blockwise", False)),
        "compile": settings.trainer.compile,
        "fused": bool(classifier.optimizer_spec.get("fused")),
    }


def _describe(settings: TrainSettings, data: MoleDataModule, open_test: bool) -> None:
    """Log the number of images and of malignant ones in each split, and what limits the result."""
    for name in ("train", "validation"):
        split = data.split(name)
        note = f" ({settings.images_note})" if settings.images_note else ""
        positives = int(split.targets.sum())
        logger.info("%-10s  %d images%s, %d %s", name, len(split), note, positives, data.options.class_names[1])
    if settings.data.validate_on == "test":
        logger.warning("validation runs on the test images, as in the original: no figure of this run is a test result")
    if data.options.group_column is None and data.options.table is None and (data.root / METADATA_FILE).is_file():
        logger.info(
            "metadata    %s is not used: data.group_column=<column> keeps all images of a lesion in one split",
            METADATA_FILE,
        )
    elif data.options.group_column is not None and open_test:
        test = data.list_split("test")
        logger.info("%d of %d test images share a lesion with train", data.shared_with_train(test).sum(), len(test))


def _audit_warning(data: MoleDataModule, open_test: bool) -> str:
    """Return the warning about leakage found by the audit of these images, or about a missing audit."""
    is_opened = open_test or data.options.validate_on == "test"
    train, *test = (data.load(name) for name in (("train", "test") if is_opened else ("train",)))
    contents = [(loaded.images.paths, loaded.sha256) for loaded in (train, *test)]
    return audit_warning(data.source, contents[0], contents[1] if test else None)


def make_trainer(
    settings: TrainSettings, run: Run, accelerator: str, precision: str, first_epoch: int = 1
) -> pl.Trainer:
    """Return Lightning's trainer with the run's checkpoints, epoch log, callbacks and loggers.

    Raises:
        UserError: If Lightning does not accept the settings.
    """
    checkpoints = RunCheckpoints(
        run.checkpoints,
        settings.checkpoint.monitor,
        settings.monitor_mode,
        settings.checkpoint.every_n_steps,
        settings.checkpoint.every_n_minutes,
        settings.checkpoint.evaluate == "best",
    )
    chosen = [build(spec, pl.Callback) for spec in settings.callbacks.values() if spec is not None]
    on_screen = sys.stdout.isatty()  # a file keeps only the lines of the epochs
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=settings.trainer.devices,
            precision=precision,  # type: ignore[arg-type]
            max_epochs=settings.trainer.max_epochs,
            # Lightning moves checkpoint callbacks to the end: the first of them answers ckpt_path="best"
            callbacks=[checkpoints, *chosen, EpochLog(run.folder), *([ProgressBar()] if on_screen else [])],
            logger=_make_loggers(settings, first_epoch),
            plugins=DirectCheckpointIO(),
            deterministic=settings.deterministic,
            num_sanity_val_steps=0,
            enable_progress_bar=on_screen,
            enable_model_summary=False,
            log_every_n_steps=1,
            use_distributed_sampler=False,
            default_root_dir=run.folder,
            **(settings.trainer.model_extra or {}),
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"the trainer does not accept these settings ({' '.join(str(error).split())})") from error


def _make_loggers(settings: TrainSettings, first_epoch: int) -> list[Logger]:
    """Return the loggers of the configuration; TensorBoard drops what a killed run wrote from `first_epoch` on."""
    specs = [spec for spec in settings.logger.values() if spec is not None]
    is_board = [str(spec.get(TARGET, "")).endswith("TensorBoardLogger") for spec in specs]
    return [
        build({**spec, "purge_step": first_epoch} if board else spec, Logger)  # type: ignore[type-abstract]
        for spec, board in zip(specs, is_board, strict=True)
    ]


def _resume_point(run: Run, settings: TrainSettings) -> tuple[int, bool]:
    """Return the epoch, from 1, that a resumed run goes on with, and whether its training has ended.

    Raises:
        UserError: If the run already has more epochs than `trainer.max_epochs`.
    """
    checkpoint = read_training(run.checkpoints / LAST)
    state = next(value for name, value in checkpoint["callbacks"].items() if name.startswith("RunCheckpoints"))
    epoch = int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]) + 1
    step, epochs = checkpoint["global_step"], settings.trainer.max_epochs
    if epochs < epoch - 1:
        raise UserError(
            f"trainer.max_epochs={epochs}, but the run already has {epoch - 1} epochs", f"take {epoch} or more"
        )
    is_longer = epochs > int(state["max_epochs"])
    has_ended = bool(state["ended"]) and not is_longer
    if not has_ended:
        logger.info("going on in epoch %d, after step %d", epoch, step)
    if is_longer:
        logger.info(
            "%d epochs instead of %d: the schedule is planned anew from step %d on", epochs, state["max_epochs"], step
        )
    return epoch, has_ended
