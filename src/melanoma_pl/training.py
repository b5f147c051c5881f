"""The main job, from settings to a trained and evaluated run: set up, fit, judge."""

import csv
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from filelock import FileLock, Timeout
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torchmetrics import Metric

from melanoma_pl.callbacks.checkpoints import LAST, RunCheckpoints
from melanoma_pl.callbacks.epoch_log import EpochLog
from melanoma_pl.data.augmentation import Augmentation
from melanoma_pl.data.loading import LoadedPhotos
from melanoma_pl.data.module import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.hardware import choose_accelerator, choose_precision, keep_freed_memory
from melanoma_pl.inference import load_classifier
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.schedules import Schedule
from melanoma_pl.models.summary import summarize
from melanoma_pl.models.weights import load_weights, read_checkpoint
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.reporting.split_report import SplitReport, report_split
from melanoma_pl.runs import Run, now
from melanoma_pl.settings import DataSettings, TrainSettings
from melanoma_pl.specs import TARGET, build

logger = logging.getLogger(__name__)

PHOTOS = "photos.csv"
REPORT = "report"
OURS = {"accelerator", "devices", "precision", "max_epochs", "channels_last", "keep_memory"}
ON_TEST = "Validated on the test photos, as the original did: these figures chose nothing less than they measure."


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
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # what it would say is said below
    with _lock(run):
        accelerator = choose_accelerator(settings.trainer.accelerator)
        precision = choose_precision(settings.trainer.precision, accelerator)
        kept = accelerator == "cpu" and settings.trainer.keep_memory and keep_freed_memory()
        data = make_data(settings)
        data.setup("fit")
        open_test = open_test and settings.test
        if open_test:
            data.load("test")  # broken photos are told now, not after hours of training
        resumed = _check_photos(run, data)
        run.update(
            resolved={"accelerator": accelerator, "precision": precision, "keep_memory": kept},
            fingerprint=data.load("train").fingerprint(),
        )
        _tell(settings, data, accelerator, precision)
        classifier = make_classifier(settings, data)
        logger.info("%s", summarize(classifier.network, settings.data.image_size))
        _fit(settings, run, data, classifier, accelerator, precision, resumed)
        return _judge(settings, run, data, accelerator, open_test)


# Set up


def make_data(settings: TrainSettings) -> MoleDataModule:
    """Return the data module; synthetic photos are drawn first."""
    chosen = settings.data
    passed = set(DataSettings.model_fields) - {"root", "synthetic", "image_size", "normalisation"}
    return MoleDataModule(
        photo_root(chosen),
        preprocessing=make_preprocessing(chosen),
        augmentation=build(settings.augmentation, Augmentation),  # type: ignore[type-abstract]
        seed=settings.seed,
        **{name: getattr(chosen, name) for name in passed},
    )


def photo_root(chosen: DataSettings) -> Path:
    """Return the photo folder."""
    if chosen.synthetic is None:
        return Path(str(chosen.root))
    from melanoma_pl.data.synthetic import write_photos  # SciPy's drawing tools, needed for drawn photos only

    drawn = chosen.synthetic
    folder = Path(drawn.folder) / f"{drawn.train}-{drawn.test}-seed{drawn.seed}-{chosen.image_size}px"
    return write_photos(folder, drawn.train, drawn.test, drawn.seed, chosen.image_size, chosen.class_names)


def make_preprocessing(chosen: DataSettings) -> Preprocessing:
    """Return the one preprocessing."""
    if chosen.normalisation == "imagenet":
        return Preprocessing.imagenet(chosen.image_size)
    return Preprocessing(chosen.image_size)


def make_classifier(settings: TrainSettings, data: MoleDataModule) -> MelanomaClassifier:
    """Return the classifier with its initial weights, which depend on the seed alone."""
    torch.manual_seed(settings.seed)
    spec = {key: value for key, value in settings.model.items() if key != "weights"}
    network = build(spec, torch.nn.Module)
    if settings.model.get("weights"):
        load_weights(network, Path(settings.model["weights"]))
    targets = data.split("train").targets
    balanced = float((targets == 0).sum() / (targets == 1).sum())
    weight = settings.loss.pos_weight
    classifier = MelanomaClassifier(
        network,
        preprocessing=data.preprocessing,
        class_names=settings.data.class_names,
        optimizer=settings.optimizer.model_dump(by_alias=True),
        schedule=build(settings.scheduler, Schedule),  # type: ignore[type-abstract]
        pos_weight=balanced if weight == "balanced" else float(weight),
        threshold=settings.threshold.model_dump(),
        fit_decision=settings.data.validate_on == "validation",
        seed=settings.seed,
        extra_metrics={name: build(each, Metric) for name, each in settings.metrics.items()},  # type: ignore[type-abstract]
        photos_note=settings.photos_note,
    )
    classifier.network_spec = spec
    if settings.trainer.channels_last:
        classifier.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier


@contextmanager
def _lock(run: Run) -> Iterator[None]:
    """Keep a second process out of the run's folder; the lock falls with the process that holds it.

    Raises:
        UserError: If another process trains there now.
    """
    lock = FileLock(run.folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another process is training in {run.folder} now", "wait for it, or start a new run") from error
    try:
        yield
    finally:
        lock.release()


def _check_photos(run: Run, data: MoleDataModule) -> bool:
    """Note which photos train on what, or compare with what was noted.

    Returns:
        Whether the run goes on from a checkpoint.

    Raises:
        UserError: If the photos are no longer those that the run began with.
    """
    rows = _photo_rows(data)
    noted = run.folder / PHOTOS
    resumed = (run.checkpoints / LAST).is_file()
    if resumed and noted.is_file():
        with noted.open(newline="", encoding="utf-8") as file:
            before = {row["path"]: row for row in csv.DictReader(file)}
        after = {row["path"]: row for row in rows}
        added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
        changed = sum(before[path] != after[path] for path in before.keys() & after.keys())
        if added or gone or changed:
            raise UserError(
                f"the photos changed since the run {run.folder} began: {added} added, {gone} gone, {changed} changed "
                "in content, lesion or split",
                "put them back, or start a new run, from its weights if you like: "
                f"model.weights={run.checkpoints / LAST}",
            )
    else:
        with write_atomically(noted) as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return resumed


def _photo_rows(data: MoleDataModule) -> list[dict[str, str]]:
    rows = []
    for name in ("train", "validation"):
        split = data.split(name)
        loaded: LoadedPhotos = split.loaded
        for position in split.positions.tolist():
            photos = loaded.photos
            rows.append(
                {
                    "path": photos.paths[position],
                    "split": name,
                    "label": data.class_names[photos.targets[position]],
                    "group": photos.groups[position] if photos.groups else "",
                    "sha256": loaded.sha256[position],
                }
            )
    return rows


def _tell(settings: TrainSettings, data: MoleDataModule, accelerator: str, precision: str) -> None:
    """Say in a few lines what is about to be trained on what."""
    for name in ("train", "validation"):
        split = data.split(name)
        positives = int(split.targets.sum())
        drawn = f" ({settings.photos_note})" if settings.photos_note else ""
        logger.info("%-10s  %d photos%s, %d %s", name, len(split), drawn, positives, data.class_names[1])
    if settings.data.validate_on == "test":
        logger.warning("validation runs on the test photos, as the original did: no figure of this run is a test")
    if data.group_column is not None:
        test = data.list_split("test")
        logger.info("%d of %d test photos share a lesion with train", data.shared_with_train(test).sum(), len(test))
    logger.info("device      %s, %s", accelerator, precision)


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
    trainer = pl.Trainer(
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
        **{key: value for key, value in (settings.trainer.model_extra or {}).items() if key not in OURS},
    )
    with warnings.catch_warnings():
        # with the pixels in memory there is nothing for workers to do
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        trainer.fit(classifier, data, ckpt_path=run.checkpoints / LAST if resumed else None, weights_only=True)


def _where(run: Run, settings: TrainSettings) -> tuple[int, bool]:
    """Return the epoch that a resumed run goes on with (from 1), and whether its training had come to its end."""
    checkpoint = read_checkpoint(run.checkpoints / LAST)
    state = next(value for name, value in checkpoint["callbacks"].items() if name.startswith("RunCheckpoints"))
    progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    epoch = int(progress["processed"]) + 1
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


def make_callbacks(settings: TrainSettings) -> list[pl.Callback]:
    """Return the callbacks that the configuration names, and a progress bar."""
    chosen = [build(spec, pl.Callback) for spec in settings.callbacks.values() if spec is not None]
    # often enough for the eye; drawing the bar each step costs time
    return [*chosen, TQDMProgressBar(refresh_rate=5)] if sys.stdout.isatty() else chosen


def make_loggers(settings: TrainSettings, first_epoch: int) -> list[Logger]:
    """Return the loggers that the configuration names; TensorBoard forgets what a killed run wrote of later epochs."""
    loggers = []
    for spec in settings.logger.values():
        if spec is not None and spec.get(TARGET, "").endswith("TensorBoardLogger"):
            loggers.append(build({**spec, "purge_step": first_epoch}, TensorBoardLogger))
        elif spec is not None:
            loggers.append(build(spec, Logger))  # type: ignore[type-abstract]
    return loggers


# Judge


def _judge(
    settings: TrainSettings, run: Run, data: MoleDataModule, accelerator: str, open_test: bool
) -> dict[str, float]:
    """Evaluate the run's checkpoint on validation, and once on test."""
    evaluated = run.checkpoint(settings.checkpoint.evaluate)
    classifier = load_classifier(evaluated, accelerator)
    notes = result_notes(settings)
    names = ["validation", "test"] if open_test else ["validation"]
    reports = [report_split(classifier, data, name, run.folder / REPORT, notes) for name in names]
    figures = {tag: value for report in reports for tag, value in report.figures.items()}
    _note_hyper_parameters(settings, run, reports[0])
    run.update(figures=figures, evaluated=evaluated.name, finished=True, ended=now())
    for report in reports:
        logger.info("\n%s", report.text())
    logger.info("\nrun  %s", run.folder)
    return figures


def result_notes(settings: TrainSettings) -> tuple[str, ...]:
    """Return what must be said beside every figure of a run."""
    notes = []
    if settings.photos_note:
        notes.append("Synthetic photos, drawn by a program: these figures say nothing about patients.")
    if settings.data.validate_on == "test":
        notes.append(ON_TEST)
    return tuple(notes)


def _note_hyper_parameters(settings: TrainSettings, run: Run, validation: SplitReport) -> None:
    """Let TensorBoard's HPARAMS compare runs by their final validation figures."""
    spec = settings.logger.get("tensorboard")
    if spec is None:
        return
    chosen = {
        "experiment": settings.name,
        "seed": settings.seed,
        "augmentation": settings.augmentation[TARGET].rpartition(".")[2],
        "scheduler": settings.scheduler[TARGET].rpartition(".")[2],
        "optimizer": settings.model_dump()["optimizer"][TARGET].rpartition(".")[2],
        "lr": settings.optimizer.lr,
        "batch_size": settings.data.batch_size,
        "max_epochs": settings.trainer.max_epochs,
        "dropout": settings.model.get("dropout", ""),
        "pos_weight": settings.loss.pos_weight,
    }
    names = ("auroc", "average_precision", "accuracy", "sensitivity", "specificity", "log_loss")
    metrics = {f"final/{name}": validation.figures[f"val/{name}"] for name in names if f"val/{name}" in validation.figures}
    (run.folder / TensorBoardLogger.NAME_HPARAMS_FILE).unlink(missing_ok=True)  # Lightning left an empty one
    board = build(spec, TensorBoardLogger)
    board.log_hyperparams(chosen, metrics, step=settings.trainer.max_epochs)
    board.finalize("success")
