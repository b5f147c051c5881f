"""The main job, from settings to a trained and evaluated run: set up, fit, evaluate."""

import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EarlyStopping,
    LearningRateFinder,
    StochasticWeightAveraging,
)
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.profilers import PassThroughProfiler

from melanoma_pl.config.instantiate import (
    check_classes,
    check_network,
    check_weights,
    draw_synthetic_images,
    make_classifier,
    make_data,
)
from melanoma_pl.config.processes import is_main_process, is_srun, is_torchrun, meeting
from melanoma_pl.config.schema import DataSettings, TrainSettings
from melanoma_pl.data.audit.audit_record import audit_warning
from melanoma_pl.data.cache.early_images import end_early
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.metadata import METADATA_FILE
from melanoma_pl.errors import UserError, quiet_threads
from melanoma_pl.inference.hardware import (
    check_compiler,
    choose_accelerator,
    choose_precision,
    keep_freed_memory,
)
from melanoma_pl.messages import Progress, timed
from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.checkpoint import read_training
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.summary import summarize
from melanoma_pl.runs import Run
from melanoma_pl.runs.image_list import check_images
from melanoma_pl.runs.run_folder import BEST, LAST, RECORD
from melanoma_pl.specs import build, check_spec
from melanoma_pl.training.autotune import Way, choose_way
from melanoma_pl.training.callbacks.epoch_log import EpochLog, RunProgress
from melanoma_pl.training.callbacks.pruning import Pruning, was_saved_as_pruned
from melanoma_pl.training.callbacks.resumed_checkpoint import callback_state, kept_best, would_stop
from melanoma_pl.training.callbacks.run_checkpoints import DirectCheckpointIO, RunCheckpoints, copy_best
from melanoma_pl.training.callbacks.tensorboard import SHOW_IMAGES, describe_run, log_final_figures
from melanoma_pl.training.cross_validation import read_cross_validation
from melanoma_pl.training.out_of_fold import check_listed, decide, find_predictions
from melanoma_pl.training.starting_weights import starting_weights
from melanoma_pl.training.teachers import load_teachers, record_teachers

logger = logging.getLogger(__name__)

UNSUITABLE: dict[type[pl.Callback], tuple[str, str]] = {  # callbacks of Lightning → the problem and the way out
    StochasticWeightAveraging: (
        "sets its averaged weights after the last validation and the last checkpoint",
        "take lightning.pytorch.callbacks.EMAWeightAveraging or WeightAveraging, which are validated and saved",
    ),
    LearningRateFinder: ("chooses a learning rate that the run does not record", "sweep: -m optimizer.lr=1e-4,1e-3"),
    BatchSizeFinder: ("chooses a batch size that the run does not record", "sweep: -m data.batch_size=32,64"),
    BackboneFinetuning: ("needs a model with a backbone of its own", "take model=timm model.head_epochs=<epochs>"),
}


class NoProfiler(PassThroughProfiler):
    """A profiler that measures nothing, like Lightning's default, but creates no context at each of its calls."""

    _context: ClassVar[AbstractContextManager[None]] = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return self._context


LOGGER_PACKAGES = {WandbLogger: "wandb", MLFlowLogger: "mlflow"}  # each an extra of this package


def check_jobs(jobs: Sequence[TrainSettings], *, is_local: bool) -> None:
    """Refuse settings that cannot work before the first job of a sweep begins, without a run folder or pixels.

    Args:
        jobs: Their settings.
        is_local: Whether they will be trained on this machine.

    Raises:
        UserError: If a job would fail for a reason that the user can correct.
    """
    datasets: list[DataSettings] = []
    networks: list[dict[str, Any]] = []
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # each job logs what it warns about
    try:
        for settings in jobs:
            if is_local:
                accelerator = choose_accelerator(settings.trainer.accelerator)
                check_compiler(settings.trainer.compile, accelerator)
                choose_precision(settings.trainer.precision, accelerator)
            check_classes(settings)
            if settings.model not in networks:  # to build one takes up to a second
                check_network(settings)
                networks.append(settings.model)
            make_callbacks(settings)
            if settings.model.get("weights"):
                check_weights(settings)
            if settings.data.synthetic is None and settings.data not in datasets:
                data = make_data(settings)
                data.check_listed()
                if settings.threshold.sweep is not None:
                    check_listed(settings, read_cross_validation(settings), data, open_test=False)
                datasets.append(settings.data)
    finally:
        logging.disable(before)


def train(
    settings: TrainSettings,
    run: Run,
    *,
    open_test: bool = True,
    is_hopeless: Callable[[Mapping[int, float]], bool] | None = None,
) -> dict[str, float]:
    """Train in a run's folder, or go on with its training, and evaluate the result.

    Args:
        settings: All choices.
        run: The run; its `run.json` exists.
        open_test: Whether the test split may be evaluated; the jobs of a sweep must not.
        is_hopeless: Takes the value of `optimized_metric` by epoch and tells whether to prune the training.

    Returns:
        The final figures by tag: `val/…`, and `test/…` if the test split was opened; none if the training was pruned.

    Raises:
        UserError: If something is wrong that the user can correct.
        RunStopped: If a signal stopped the training, after it was saved.
    """
    for name in ("lightning.pytorch", "lightning.fabric", "timm"):
        logging.getLogger(name).setLevel(logging.WARNING)  # the lines below say the same in fewer words
    # a machine that can submit jobs may also train by itself
    warnings.filterwarnings("ignore", ".*srun. command is available.*")
    accelerator = choose_accelerator(settings.trainer.accelerator)
    check_compiler(settings.trainer.compile, accelerator)
    check_classes(settings)
    keeps_memory = accelerator == "cpu" and settings.trainer.keep_memory and keep_freed_memory()
    begun = run.read() if (run.folder / RECORD).is_file() else {}  # other processes begin without one
    way = choose_way(settings, accelerator, begun.get("arithmetic", {}))
    precision = way.precision
    callbacks, loggers = make_callbacks(settings), make_loggers(settings)
    pruning = Pruning(settings.optimized_metric, is_hopeless) if is_hopeless else None
    trainer = make_trainer(settings, run, accelerator, precision, [*callbacks, *filter(None, [pruning])], loggers)
    weights, teachers = starting_weights(settings, run), load_teachers(settings, run, accelerator)
    draw_synthetic_images(settings)
    data = make_data(settings, processes=settings.trainer.devices)
    in_sweep = not open_test
    open_test = open_test and settings.test
    with timed("reading"):
        if open_test:
            data.list_split("test")  # reports what is missing before any image is decoded
        predictions = find_predictions(settings, run, data, open_test)
        data.setup("fit")
        if open_test:
            data.load("test")  # broken images are reported now, not after hours of training
        end_early()
    splits = ("train", "validation", "test") if open_test else ("train", "validation")
    _check_batches(settings, data.epoch_length)
    loaded = {name: data.load(name).fingerprint() for name in (("train", "test") if open_test else ("train",))}
    meeting.compare("images", loaded, "data.root must hold the same files for each of them")
    is_resumed = check_images(run, data, splits, weights.images if weights else ())
    if weights:
        weights.record(run)
    record_teachers(teachers, run)
    decision = decide(settings, run, data, predictions)
    if not is_resumed and (other := next(run.folder.glob("hpc_ckpt_*.ckpt"), None)):
        raise UserError(f"{other} is of Lightning's requeueing, and Lightning would go on with it", "remove it")
    if is_resumed:
        _restore_threads(run, accelerator)
    learns_from = [each.classifier for each in teachers]
    classifier = make_classifier(settings, data, is_resumed, precision, learns_from, decision)
    if isinstance(classifier.network, ThreeConvNet):
        classifier.network.convolutions = way.convolutions
    if is_main_process():
        run.update(
            resolved={"accelerator": accelerator, "precision": precision, "keep_memory": keeps_memory},
            threads=torch.get_num_threads(),
            arithmetic=_arithmetic(settings, classifier, way),
            fingerprint=data.load("train").fingerprint(),
            has_validation_split=data.has_validation_split,
        )
    _describe(settings, data, open_test)
    logger.info("device      %s, %s", accelerator, precision)
    if settings.data.synthetic is None and (warning := _audit_warning(data, open_test)):
        logger.warning("audit       %s", warning)
    logger.info("%s", summarize(classifier.network, settings.data.image_size))
    first_epoch, has_ended = _resume_point(run, settings, callbacks) if is_resumed else (1, False)
    meeting.compare("checkpoints", {"epoch": first_epoch}, "the run's folder must be the same for each of them")
    meeting.close()
    was_pruned = pruning is not None and is_resumed and was_saved_as_pruned(read_training(run.checkpoints / LAST))
    if was_pruned:
        logger.info("training has already been pruned")
    elif has_ended:
        logger.info("training has already ended: evaluating")
    else:
        trainer.loggers = make_loggers(settings, first_epoch)
        describe_run(trainer.loggers, settings, precision)
        # once its folder is gone, the run tells it, not TensorBoard's writer as well
        with warnings.catch_warnings(), quiet_threads(lambda _: not run.folder.is_dir()):
            # decoded pixels in memory leave nothing for workers to do
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            # Lightning asks PyTorch in an old way, about which its users can do nothing
            warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*", FutureWarning)
            # the figures are already those of all processes
            warnings.filterwarnings("ignore", ".*recommended to use .self.log.*sync_dist=True.*")
            last = run.checkpoints / LAST if is_resumed else None
            try:
                trainer.fit(classifier, data, ckpt_path=last, weights_only=True)
            except MisconfigurationException as error:  # of a callback, when it first meets the trainer
                raise _as_user_error(error) from error
    if was_pruned or (pruning is not None and pruning.is_pruned):
        run.update(pruned=f"pruned after epoch {run.epochs()}")
        return {}
    if not is_main_process():
        return {}  # one process is enough to evaluate
    # the first step must not wait for the libraries that draw figures, pages and heat maps
    with timed("imports"):
        from melanoma_pl.report.pipeline import evaluate_trained_run

    figures = evaluate_trained_run(settings, run, data, accelerator, open_test, in_sweep)
    log_final_figures(trainer.loggers, settings, precision, figures, has_ended)
    return figures


def _check_batches(settings: TrainSettings, count: int) -> None:
    """Refuse more processes than there are batches for them in an epoch of `count` images.

    Raises:
        UserError: Naming both numbers.
    """
    processes = settings.trainer.processes
    size = settings.data.batch_size
    batches = count // size if settings.data.drop_last else math.ceil(count / size)
    if processes > max(batches, 1):
        images = "training images" if settings.data.sampler == "natural" else "images of an epoch, balanced"
        raise UserError(
            f"{processes} processes would share {batches} batches: data.batch_size={size}, {count} {images}",
            "take fewer processes or a smaller data.batch_size",
        )


def _restore_threads(run: Run, accelerator: str) -> None:
    """Take the number of CPU threads with which the run began, since another number rounds differently."""
    threads = run.read().get("threads")
    if accelerator == "cpu" and threads and threads != torch.get_num_threads():
        logger.info("threads     %d, as when the run began, instead of %d", threads, torch.get_num_threads())
        torch.set_num_threads(threads)


def _arithmetic(settings: TrainSettings, classifier: MelanomaClassifier, way: Way) -> dict[str, str | bool]:
    """Return the choices that decide the last bits of the weights, for the run's record."""
    return {
        **way._asdict(),
        "channels_last": settings.trainer.channels_last,
        "compile": settings.trainer.compile,
        "fused": bool(classifier.optimizer_spec.get("fused")),
    }


def _describe(settings: TrainSettings, data: MoleDataModule, open_test: bool) -> None:
    """Log the number of images and of malignant ones in each split, and what limits the result."""
    for name in ("train",) if data.options.trains_on_all else ("train", "validation"):
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


def make_callbacks(settings: TrainSettings) -> list[pl.Callback]:
    """Return the callbacks of the configuration.

    Raises:
        UserError: If one cannot be built, or does not go with the way in which a run is trained and recorded.
    """
    chosen = [build(spec, pl.Callback) for spec in settings.callbacks.values() if spec is not None]
    if not settings.images_in_report:
        chosen = [each for each in chosen if not isinstance(each, SHOW_IMAGES)]
    for each in chosen:
        for kind, (problem, way_out) in UNSUITABLE.items():
            if isinstance(each, kind):
                raise UserError(f"the callback {kind.__name__} {problem}", way_out)
    return chosen


def make_loggers(settings: TrainSettings, first_epoch: int = 1) -> list[Logger]:
    """Return the loggers of the configuration, of which none has written anything yet.

    Args:
        settings: All choices.
        first_epoch: Epoch, from 1, from which on TensorBoard drops what a killed run wrote.

    Raises:
        UserError: If one cannot be built, or its package is not installed.
    """
    loggers = []
    for name, spec in settings.logger.items():
        if spec is None:
            continue
        kind = check_spec(spec, Logger, f"logger.{name}")  # type: ignore[type-abstract]
        purge = {"purge_step": first_epoch} if issubclass(kind, TensorBoardLogger) else {}
        try:
            loggers.append(build(purge | spec, Logger))  # type: ignore[type-abstract]
        except UserError as error:
            package = LOGGER_PACKAGES.get(kind)
            if package is None or not isinstance(error.__cause__, ImportError):
                raise
            hint = f"pip install 'melanoma-pl[{package}]'"
            raise UserError(f"logger.{name} needs {package}, which is not installed", hint) from error
    return loggers


def make_trainer(
    settings: TrainSettings,
    run: Run,
    accelerator: str,
    precision: str,
    callbacks: Sequence[pl.Callback],
    loggers: Sequence[Logger],
) -> pl.Trainer:
    """Return Lightning's trainer with the run's checkpoints, epoch log, callbacks and loggers.

    Further keys of the group `trainer` are arguments of Lightning's trainer, and replace those chosen here.

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
    chosen: dict[str, Any] = {
        "num_sanity_val_steps": 0,
        "enable_progress_bar": True,
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "profiler": NoProfiler(),
        **(settings.trainer.model_extra or {}),
    }
    if settings.data.trains_on_all:
        chosen["limit_val_batches"] = 0  # Lightning would warn of a loader without batches
    has_bar = any(isinstance(each, AnyProgressBar) for each in callbacks)
    chosen["enable_progress_bar"] |= has_bar
    own_bar = RunProgress(is_terminal=Progress.has_bars and sys.stdout.isatty())
    progress = [own_bar] if chosen["enable_progress_bar"] and not has_bar else []
    try:
        return pl.Trainer(
            accelerator=accelerator,
            devices=settings.trainer.devices,
            precision=precision,  # type: ignore[arg-type]
            max_epochs=settings.trainer.max_epochs,
            # Lightning moves checkpoint callbacks to the end: the first of them answers ckpt_path="best"
            callbacks=[checkpoints, *callbacks, EpochLog(run.folder), *progress],
            logger=list(loggers),
            plugins=[DirectCheckpointIO(), *_cluster(settings.trainer.devices)],
            deterministic=settings.deterministic,
            use_distributed_sampler=False,
            default_root_dir=run.folder,
            **chosen,
        )
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise _as_user_error(error) from error


def _as_user_error(error: Exception) -> UserError:
    return UserError(f"the trainer does not accept these settings ({' '.join(str(error).split())})")


def _cluster(devices: int) -> list[ClusterEnvironment]:
    """Return SLURM's environment if srun started this process, or Lightning's own in any other process of SLURM.

    Lightning would take each process that sees `SLURM_NTASKS` for a task of srun, in a shell too. Its way of saving and
    requeueing at SIGUSR1 is switched off: it writes a checkpoint of its own, and a requeued command would begin anew.
    """
    if is_torchrun() or "SLURM_NTASKS" not in os.environ:
        return []
    if not is_srun() or devices == 1:
        return [LightningEnvironment()]
    for name, value in (("SLURM_NTASKS_PER_NODE", devices), ("SLURM_NODEID", 0)):
        os.environ.setdefault(name, str(value))  # srun sets them only if it is asked to
    return [SLURMEnvironment(auto_requeue=False)]


def _choose_best_anew(run: Run, checkpoint: dict[str, Any], monitor: str, mode: str) -> None:
    """Let `best.ckpt` hold the better of the two checkpoints by another metric than before, and say which it is."""
    best = kept_best(run.checkpoints, checkpoint, monitor, mode)
    if best is None:
        logger.info(
            "checkpoint  neither best.ckpt nor last.ckpt has a recorded %s: the next epoch is the best", monitor
        )
        return
    if best.name == LAST and is_main_process():
        copy_best(run.checkpoints / LAST, run.checkpoints / BEST)
    logger.info(
        "checkpoint  by %s the best weights so far are those of epoch %d: %.4f", monitor, best.epoch, best.score
    )


def _resume_point(run: Run, settings: TrainSettings, callbacks: Sequence[pl.Callback]) -> tuple[int, bool]:
    """Return the epoch, from 1, that a resumed run goes on with, and whether its training has ended.

    Raises:
        UserError: If the run already has more epochs than `trainer.max_epochs`.
    """
    checkpoint = read_training(run.checkpoints / LAST)
    state = callback_state(checkpoint, RunCheckpoints.__qualname__)
    epoch = int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]) + 1
    step, epochs = checkpoint["global_step"], settings.trainer.max_epochs
    if epochs < epoch - 1:
        raise UserError(
            f"trainer.max_epochs={epochs}, but the run already has {epoch - 1} epochs", f"take {epoch} or more"
        )
    is_longer = epochs > int(state["max_epochs"])
    has_ended = bool(state["ended"]) and not is_longer
    if has_ended and epoch <= epochs:  # early stopping ended it: does it still?
        is_once = (settings.trainer.model_extra or {}).get("val_check_interval", 1.0) == 1.0
        stopping = [callback for callback in callbacks if isinstance(callback, EarlyStopping)]
        has_ended = any(would_stop(each, checkpoint, is_once) for each in stopping)
    monitor, mode = settings.checkpoint.monitor, settings.monitor_mode
    if (state.get("monitor", monitor), state.get("mode", mode)) != (monitor, mode):
        _choose_best_anew(run, checkpoint, monitor, mode)
    if not has_ended:
        logger.info("going on in epoch %d, after step %d", epoch, step)
    if is_longer:
        logger.info(
            "%d epochs instead of %d: the schedule is planned anew from step %d on", epochs, state["max_epochs"], step
        )
    return epoch, has_ended
