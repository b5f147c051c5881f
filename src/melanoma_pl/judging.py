"""The end of the main job: what the trained network is worth, in the run's folder.

Apart from `training`, which imports it only once the network is trained: what draws and writes takes half a second.
"""

import logging

from lightning.pytorch.loggers import TensorBoardLogger

from melanoma_pl.data.module import MoleDataModule
from melanoma_pl.hardware import Accelerator
from melanoma_pl.inference import learn_familiarity, load_classifier
from melanoma_pl.models.classifier import as_tensors
from melanoma_pl.models.weights import amend_checkpoint
from melanoma_pl.review.evaluating import Report, report
from melanoma_pl.review.opening import name_of
from melanoma_pl.review.panel import Member, Panel
from melanoma_pl.review.question import Depth, Question
from melanoma_pl.review.requests import Request
from melanoma_pl.runs import REPORT, Run, now
from melanoma_pl.settings import TrainSettings
from melanoma_pl.specs import TARGET, build

logger = logging.getLogger(__name__)


def judge(
    settings: TrainSettings, run: Run, data: MoleDataModule, accelerator: Accelerator, open_test: bool, in_sweep: bool
) -> dict[str, float]:
    """Evaluate the run's checkpoint on validation, and once on test."""
    evaluated = run.checkpoint(settings.checkpoint.evaluate)
    classifier = load_classifier(evaluated, accelerator)
    fits = settings.data.validate_on == "validation"
    if fits and not in_sweep:  # of a sweep's jobs melanoma-evaluate teaches the one that is looked at
        known = learn_familiarity(classifier, data.split("train"), data.split("validation"))
        if known:
            amend_checkpoint(evaluated, familiarity=as_tensors(known))
    panel = Panel.of_one(Member(name_of(run), classifier, data, data, fits))
    request = Request(run, evaluated, settings, settings)
    depth: Depth = "numbers" if in_sweep else settings.report
    command = f"at the end of: {run.read()['command']}"
    reports = [
        report(panel, [request], Question(name, depth=depth), run.folder / REPORT / name, command)
        for name in ("validation", "test")[: 1 + open_test]
    ]
    figures = {tag: value for each in reports for tag, value in each.figures.items()}
    _note_hyper_parameters(settings, run, reports[0])
    run.update(figures=figures, evaluated=evaluated.name, finished=True, ended=now())
    for each in reports:
        logger.info("\n%s", each.text)
    logger.info("\nrun  %s", run.folder)
    return figures


def _note_hyper_parameters(settings: TrainSettings, run: Run, validation: Report) -> None:
    """Let TensorBoard's HPARAMS compare runs by their final validation figures."""
    spec = settings.logger.get("tensorboard")
    if spec is None:
        return
    chosen = {
        "experiment": settings.name,
        "photos": settings.photos_note or "real",
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
    metrics = {
        f"val_final/{name}": validation.figures[f"val/{name}"] for name in names if f"val/{name}" in validation.figures
    }
    (run.folder / TensorBoardLogger.NAME_HPARAMS_FILE).unlink(missing_ok=True)  # Lightning left an empty one
    board = build(spec, TensorBoardLogger)
    board.log_hyperparams(chosen, metrics, step=settings.trainer.max_epochs)
    board.finalize("success")
