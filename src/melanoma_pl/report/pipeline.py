"""The report pipeline: from runs to a written report, for `melanoma-evaluate` and for the end of every training."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from melanoma_pl.config.instantiate import make_data
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.files import copy, write_atomically
from melanoma_pl.inference.ensemble import Ensemble, Member, assemble
from melanoma_pl.inference.extras import save_extras
from melanoma_pl.inference.hardware import Accelerator
from melanoma_pl.inference.prediction import fit_ood_detector, load_classifier
from melanoma_pl.report.analysis import analyse
from melanoma_pl.report.page import MODEL_CARD, REPORT_PAGE, model_card, write_figures, write_page
from melanoma_pl.report.provenance import held_out_images, training_data_facts
from melanoma_pl.report.report_files import write_metrics, write_predictions
from melanoma_pl.report.request import EvaluatedRun, EvaluationRequest
from melanoma_pl.report.terminal import format_report
from melanoma_pl.runs import REPORT, Run, now
from melanoma_pl.runs.image_list import compare_images

logger = logging.getLogger(__name__)

Lock = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Report:
    """A written report.

    Attributes:
        figures: The figures of all images by their tags, such as `test/auroc`.
        text: The report for the terminal.
        folder: The report's folder.
    """

    figures: dict[str, float]
    text: str
    folder: Path


def evaluate(request: EvaluationRequest, accelerator: Accelerator) -> Report:
    """Evaluate runs as requested, and write the report.

    Raises:
        UserError: If a checkpoint cannot be read, or the images are not those that the request needs.
    """
    members = [_open_member(each, request, accelerator) for each in request.runs]
    ensemble = assemble(members, request.views, request.combine)
    has_extras = _fit_extras(ensemble, request)
    report = write_report(ensemble, request)
    if has_extras:
        _save_extras(ensemble, request, request.runs[0].run.lock)
    return report


def evaluate_trained_run(
    settings: TrainSettings, run: Run, data: MoleDataModule, accelerator: Accelerator, open_test: bool, in_sweep: bool
) -> dict[str, float]:
    """Evaluate a run's checkpoint once training has ended, on validation, and on test if that split may be opened.

    Args:
        settings: The run's settings.
        run: The run, locked by this process.
        data: Its images.
        accelerator: `cpu` or `gpu`.
        open_test: Whether the test split is evaluated.
        in_sweep: Whether the run is a sweep's job: then pages and out-of-distribution detector are omitted.

    Returns:
        The figures by their tags.
    """
    checkpoint = run.checkpoint(settings.checkpoint.evaluate)
    evaluated = EvaluatedRun(run, checkpoint, settings, settings)
    classifier = load_classifier(checkpoint, accelerator)
    ensemble = assemble([Member(evaluated.name, classifier, data, data, evaluated.has_validation)])
    request = EvaluationRequest(
        (evaluated,),
        "validation",
        run.folder / REPORT / "validation",
        f"at the end of: {run.read()['command']}",
        depth="numbers" if in_sweep else settings.report,
    )
    if not in_sweep and _fit_extras(ensemble, request):
        _save_extras(ensemble, request, nullcontext)
    reports = [write_report(ensemble, request)]
    if open_test:
        reports.append(write_report(ensemble, replace(request, split="test", folder=run.folder / REPORT / "test")))
    figures = {tag: value for report in reports for tag, value in report.figures.items()}
    run.update(figures=figures, evaluated=checkpoint.name, finished=True, ended=now())
    for report in reports:
        logger.info("\n%s", report.text)
    logger.info("\nrun  %s", run.folder)
    return figures


def write_report(ensemble: Ensemble, request: EvaluationRequest) -> Report:
    """Analyse a split, and write numbers, page, figures and model card.

    Raises:
        UserError: As of `analyse`.
    """
    predictions, content = analyse(ensemble, request)
    folder, threshold = request.folder, ensemble.decision.threshold
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(predictions, threshold, content.class_names, folder)
    report = Report(write_metrics(ensemble, request, predictions, content), format_report(content), folder)
    if request.depth == "numbers":
        return report
    write_page(content, write_figures(content, folder / "figures"), folder)
    is_shown = request.is_main_report and (
        request.split == "test" or not (folder.parent / "test" / REPORT_PAGE).is_file()
    )
    if is_shown:  # a run's page and card are those of the test split, or of validation until that is opened
        copy(folder / REPORT_PAGE, folder.parent / REPORT_PAGE)
    if is_shown or not request.is_main_report:
        card_folder = request.runs[0].run.folder if is_shown else folder
        with write_atomically(card_folder / MODEL_CARD) as file:
            file.write(model_card(content, training_data_facts(ensemble, request)))
    return report


def _open_member(evaluated: EvaluatedRun, request: EvaluationRequest, accelerator: Accelerator) -> Member:
    """Load a run's network and list its images.

    Raises:
        UserError: If the checkpoint cannot be read, or the run's images have changed since it began.
    """
    data = make_data(evaluated.evaluated, every_class=request.own_images)  # other images may be of one class
    own = data if evaluated.own == evaluated.evaluated else make_data(evaluated.own)
    if request.own_images:
        compare_images(evaluated.run, data, [request.split])
    classifier = load_classifier(evaluated.checkpoint, accelerator)
    return Member(evaluated.name, classifier, own, data, evaluated.has_validation, held_out_images(evaluated.run))


def _fit_extras(ensemble: Ensemble, request: EvaluationRequest) -> bool:
    """Fit what a single network can learn from its run's images and does not have yet; return whether it did."""
    first, classifier = ensemble.members[0], ensemble.members[0].classifier
    if len(ensemble.members) > 1 or not first.fits:
        return False
    if ensemble.views == "dihedral" and classifier.augmented_decision is None and ensemble.is_fitted:
        classifier.augmented_decision = ensemble.decision
        return True
    if ensemble.views == "none" and request.own_images and classifier.ood_detector is None:
        return fit_ood_detector(classifier, first.own.split("train"), first.own.split("validation"))
    return False


def _save_extras(ensemble: Ensemble, request: EvaluationRequest, lock: Lock) -> None:
    """Save the extras for later predictions; a run that is being trained or is read-only goes without."""
    checkpoint = request.runs[0].checkpoint
    try:
        with lock():
            save_extras(ensemble.members[0].classifier, checkpoint)
    except (UserError, OSError, RuntimeError) as error:  # PyTorch raises RuntimeError on a full disk
        logger.warning("what was fitted for %s is not saved (%s)", checkpoint, str(error).splitlines()[0])
