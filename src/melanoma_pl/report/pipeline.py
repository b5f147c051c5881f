"""From a request to a written report: for `melanoma-evaluate`, and at the end of every training.

The end of the main job: what the trained network is worth, in the run's folder.

Apart from `training`, which imports it only once the network is trained: what draws and writes takes half a second.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from melanoma_pl.config.schema import EvaluateSettings, TrainSettings
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.inference.ensemble import NOTHING, Ensemble, Member
from melanoma_pl.inference.hardware import Accelerator, choose_accelerator, keep_freed_memory
from melanoma_pl.inference.prediction import fit_ood_detector, load_classifier
from melanoma_pl.models.checkpoint import amend_checkpoint
from melanoma_pl.models.classifier import as_tensors
from melanoma_pl.report import open_runs
from melanoma_pl.report.analysis import review
from melanoma_pl.report.context import card_facts, make_context
from melanoma_pl.report.model_card import MODEL_CARD, model_card
from melanoma_pl.report.open_runs import name_of
from melanoma_pl.report.report_files import show_first, write_numbers, write_pages
from melanoma_pl.report.request import Depth, EvaluationRequest, Question
from melanoma_pl.report.terminal import format_report
from melanoma_pl.runs import REPORT, Run, now
from melanoma_pl.specs import TARGET, build

logger = logging.getLogger(__name__)

ENSEMBLES = Path("outputs/ensembles")


@dataclass(frozen=True)
class Report:
    """A written report.

    Attributes:
        figures: By their tags, such as `test/auroc`.
        text: For the terminal.
        folder: Where it lies.
    """

    figures: dict[str, float]
    text: str
    folder: Path


def evaluate(requests: Sequence[EvaluationRequest], settings: EvaluateSettings, command: str) -> Report:
    """Judge images as `melanoma-evaluate` was asked to.

    Raises:
        UserError: If something is wrong that the user can mend.
    """
    keep_freed_memory()
    own_images = all(request.is_own_data for request in requests)
    accelerator = choose_accelerator(settings.device, "device=cpu")
    members = open_runs.open_members(requests, accelerator, settings.split, own_images=own_images)
    panel = open_runs.make_ensemble(members, settings.tta, settings.combine)
    additions = _additions(panel, own_images)
    question = Question(settings.split, settings.prevalence, settings.subgroups, settings.robustness, settings.mistakes)
    folder, is_runs_own = report_folder(requests, members, settings, own_images)
    written = report(panel, requests, question, folder, command, own_images=own_images, is_runs_own=is_runs_own)
    if additions:
        _keep(requests[0], additions)
    return written


def _additions(panel: Ensemble, own_images: bool) -> dict[str, Any]:
    """Return what a network alone can learn from its own validation images and its checkpoint does not hold yet."""
    first = panel.members[0]
    if len(panel.members) > 1 or not first.fits:
        return {}
    if panel.views == "dihedral" and first.classifier.augmented_decision is None and panel.decided_on != NOTHING:
        return {"augmented_decision": asdict(panel.decision)}
    if panel.views == "none" and own_images and first.classifier.ood_detector is None:
        known = fit_ood_detector(first.classifier, first.own.split("train"), first.own.split("validation"))
        return {"ood_detector": as_tensors(known)} if known else {}
    return {}


def _keep(request: EvaluationRequest, additions: dict[str, Any]) -> None:
    """Add to a run's checkpoint, for prediction to use, unless it is being trained or cannot be written."""
    try:
        with request.run.lock():
            amend_checkpoint(request.checkpoint, **additions)
    except (UserError, OSError) as error:
        logger.warning("%s: its checkpoint does not keep the %s", error, " and ".join(additions).replace("_", " "))


def report_folder(
    requests: Sequence[EvaluationRequest], members: Sequence[Member], settings: EvaluateSettings, own_images: bool
) -> tuple[Path, bool]:
    """Return where a report goes, and whether it is what the run itself is worth.

    A run's own report stays what it is when another set or another checkpoint is judged, or in another way.
    """
    first = requests[0]
    is_other = first.checkpoint.stem != first.own.checkpoint.evaluate
    parts = [settings.split, *([settings.tta] if settings.tta != "none" else [])]
    name = "_".join([*parts, *([first.checkpoint.stem] if is_other else [])])
    is_runs_own = own_images and len(requests) == 1 and settings.output is None and name == settings.split
    if settings.output is not None:
        return Path(settings.output), False
    if len(requests) > 1:
        return ENSEMBLES / f"{datetime.now(UTC).astimezone():%Y-%m-%d_%H-%M-%S-%f}" / name, False
    folder = first.run.folder / REPORT
    return (
        folder if own_images else folder / open_runs.set_folder(folder, members[0].evaluated, name)
    ) / name, is_runs_own


def report(
    panel: Ensemble,
    requests: Sequence[EvaluationRequest],
    question: Question,
    folder: Path,
    command: str,
    *,
    own_images: bool = True,
    is_runs_own: bool = True,
) -> Report:
    """Review a split and write its report.

    Args:
        panel: Who judges.
        requests: Where they come from, in the same order.
        question: What is asked.
        folder: Where the report goes.
        command: What was typed.
        own_images: Whether these are images of the runs.
        is_runs_own: Whether this is what the run itself is worth: then it also gets the run's page and model card.
    """
    context = make_context(panel, requests, question.split, command, own_images=own_images)
    reviewed = review(panel, question, context)
    figures = write_numbers(reviewed, panel.decision, folder)
    written = Report(figures, format_report(reviewed.content), folder)
    if question.depth == "numbers":
        return written
    write_pages(reviewed, folder)
    if is_runs_own:
        show_first(folder.parent, question.split)
    if not is_runs_own or question.split == "test" or not (folder.parent / "test" / "report.html").is_file():
        place = requests[0].run.folder if is_runs_own else folder
        with write_atomically(place / MODEL_CARD) as file:
            file.write(model_card(reviewed.content, card_facts(panel.members, requests)))
    return written


logger = logging.getLogger(__name__)


def evaluate_trained_run(
    settings: TrainSettings, run: Run, data: MoleDataModule, accelerator: Accelerator, open_test: bool, in_sweep: bool
) -> dict[str, float]:
    """Evaluate the run's checkpoint on validation, and once on test."""
    evaluated = run.checkpoint(settings.checkpoint.evaluate)
    classifier = load_classifier(evaluated, accelerator)
    fits = settings.data.validate_on == "validation"
    if fits and not in_sweep:  # of a sweep's jobs melanoma-evaluate teaches the one that is looked at
        known = fit_ood_detector(classifier, data.split("train"), data.split("validation"))
        if known:
            amend_checkpoint(evaluated, ood_detector=as_tensors(known))
    panel = Ensemble.of_one(Member(name_of(run), classifier, data, data, fits))
    request = EvaluationRequest(run, evaluated, settings, settings)
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
        "images": settings.images_note or "real",
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
