"""The report pipeline: from runs to a written report, for `melanoma-evaluate` and for the end of every training."""

import json
import logging
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from melanoma_pl.config.instantiate import draw_synthetic_images, make_data
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.cache.early_images import end_early
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import intervals_of, summarise
from melanoma_pl.files import TableWriter, copy, write_atomically
from melanoma_pl.inference.ensemble import Ensemble, Member, assemble
from melanoma_pl.inference.extras import save_extras
from melanoma_pl.inference.hardware import Accelerator
from melanoma_pl.inference.prediction import fit_ood_detector, load_classifier
from melanoma_pl.messages import IN_FILE, shown_path, spent, timed
from melanoma_pl.report.analysis import SplitPredictions, analyse
from melanoma_pl.report.checklist import CHECKLIST, write_checklist
from melanoma_pl.report.content import Content, ImageSet
from melanoma_pl.report.image_sets import find_source, image_sets, predict_external
from melanoma_pl.report.page import MODEL_CARD, REPORT_PAGE, FigureWriter, model_card, write_page
from melanoma_pl.report.provenance import held_out_images, out_of_fold_logits, training_data_facts
from melanoma_pl.report.request import EvaluatedRun, EvaluationRequest, Split
from melanoma_pl.report.terminal import format_closing, format_report
from melanoma_pl.runs import REPORT, Run, now
from melanoma_pl.runs.image_list import compare_images
from melanoma_pl.runs.run_folder import METRICS
from melanoma_pl.specs import targets_of

logger = logging.getLogger(__name__)

TAGS = {"validation": "val", "test": "test"}
# not in metrics.json: images of mistakes, which only the page shows, predictions, and times: equal evaluations give
# equal files
OMITTED = ("image", "heat_map", "control", "curves", "evaluated", "evaluated with", "training time")
EXTERNAL = "external"  # folder of the external sets' predictions
COLUMNS = ("path", "probability", "decision", "label", "logit", "group", "shares_lesion_with_train")


@dataclass(frozen=True)
class Report:
    """A written report.

    Attributes:
        figures: The figures of all images by their tags, such as `test/auroc`.
        text: The report for the terminal.
        folder: The report's folder.
        content: All that the report says.
        example: A malignant image of the split, or any image if there is none.
    """

    figures: dict[str, float]
    text: str
    folder: Path
    content: Content
    example: Path


def evaluate(request: EvaluationRequest, accelerator: Accelerator) -> Report:
    """Evaluate runs as requested, and write the report.

    Raises:
        UserError: If a checkpoint cannot be read, or the images are not those that the request needs.
    """
    members = [open_member(each, request, accelerator) for each in request.runs]
    ensemble = assemble(members, request.views, request.combine)
    _add_extras(ensemble, request)
    (report,) = write_reports(ensemble, [request])
    end_early()
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
    same_images = open_test and data.options.validate_on == "test"
    splits: list[Split] = [] if data.options.trains_on_all or same_images else ["validation"]
    splits += ["test"] if open_test else []
    evaluated = EvaluatedRun(run, checkpoint, settings, settings)
    if not splits:
        run.update(figures={}, evaluated=checkpoint.name, finished=True, ended=now())
        logger.info("not evaluated: no image is held out, and the test split stays closed")
        return {}
    logger.info("evaluating  %s on the %s images", checkpoint.name, " and ".join(splits))
    own = [name.rpartition(".")[0] for name in targets_of(settings.model)]  # the training has imported it already
    classifier = load_classifier(checkpoint, accelerator, own)
    ensemble = assemble([Member(evaluated.name, classifier, data, data)])
    request = EvaluationRequest(
        (evaluated,),
        splits[0],
        run.folder / REPORT / splits[0],
        f"at the end of: {run.read()['command']}",
        depth="numbers" if in_sweep else settings.report,
        images_in_report=settings.images_in_report,
    )
    _add_extras(ensemble, request, is_locked=True, with_detector=not in_sweep)
    reports = write_reports(
        ensemble, [replace(request, split=split, folder=run.folder / REPORT / split) for split in splits]
    )
    figures = {tag: value for report in reports for tag, value in report.figures.items()}
    if same_images:
        figures = {tag.replace("test/", "val/", 1): value for tag, value in figures.items()} | figures
    seconds = {part: round(value, 3) for part, value in spent.items()}
    run.update(figures=figures, seconds=seconds, evaluated=checkpoint.name, finished=True, ended=now())
    for report in reports:
        logger.info("\n%s", report.text, extra=IN_FILE)
    closing = format_closing(reports[-1].content, _next_commands(reports[-1], run, settings))
    logger.info("\n%s", "\n".join(closing))
    return figures


def _next_commands(report: Report, run: Run, settings: TrainSettings) -> dict[str, str]:
    """Return what to look at and to type after a training: label → path or command."""
    page = run.folder / REPORT / REPORT_PAGE
    has_curves = settings.logger.get("tensorboard") is not None
    return {
        "report": shown_path(page if page.is_file() else report.folder / "metrics.json"),
        "predict": f"melanoma-predict --run {shown_path(run.folder)} {shown_path(report.example)}",
        "curves": f"tensorboard --logdir {shown_path(run.folder)}" if has_curves else shown_path(run.folder / METRICS),
    }


def write_reports(ensemble: Ensemble, requests: Sequence[EvaluationRequest]) -> list[Report]:
    """Analyse splits, and write numbers, page, figures and model card of each.

    The figures of one split are drawn while the next one is predicted.

    Raises:
        UserError: As of `analyse`.
    """
    reports: list[Report] = []
    drawing: list[FigureWriter] = []
    for request in requests:
        reports.append(_write_numbers(ensemble, request))
        if request.depth == "page":
            earlier = drawing[-1] if drawing else None
            drawing.append(FigureWriter(reports[-1].content, request.folder / "figures", earlier))
    for request, figures in zip(requests, drawing, strict=False):  # all of one depth
        _write_page(ensemble, request, figures)
    return reports


def _write_numbers(ensemble: Ensemble, request: EvaluationRequest) -> Report:
    # whatever the user has to mend here is found before the run's own images are predicted
    source, external = find_source(ensemble.members[0].evaluated, request), predict_external(ensemble, request)
    predictions, content = analyse(ensemble, request)
    sets = image_sets(request, ensemble.decision.threshold, predictions, source, external)
    content, folder = replace(content, image_sets=sets), request.folder
    folder.mkdir(parents=True, exist_ok=True)
    _write_predictions(ensemble, folder, predictions)
    for each in external:
        _write_predictions(ensemble, folder / EXTERNAL / each.name, each.predictions)
    _write_image_sets(sets, folder / "image_sets.csv")
    metrics, images = _write_metrics(ensemble, request, predictions, content), predictions.images
    example = images.root / images.paths[int(np.argmax(images.targets))]
    return Report(metrics, format_report(content), folder, content, example)


def _write_page(ensemble: Ensemble, request: EvaluationRequest, drawing: FigureWriter) -> None:
    """Write the page, the checklist and the model card, once the figures are drawn."""
    content, folder = drawing.content, request.folder
    with timed("figures"):
        figures = drawing.finish()
    with timed("page"):
        write_page(content, figures, folder)
        write_checklist(content, ensemble, request)
    is_shown = request.is_main_report and (
        request.split == "test" or not (folder.parent / "test" / REPORT_PAGE).is_file()
    )
    if is_shown:  # a run's page and card are those of the test split, or of validation until that is opened
        copy(folder / REPORT_PAGE, folder.parent / REPORT_PAGE)
        copy(folder / CHECKLIST, folder.parent / CHECKLIST)
    if is_shown or not request.is_main_report:
        card_folder = request.runs[0].run.folder if is_shown else folder
        curves = (folder.relative_to(card_folder) / "figures/learning_curves.svg").as_posix()
        with write_atomically(card_folder / MODEL_CARD) as file:
            curves *= "learning_curves" in figures
            file.write(model_card(content, training_data_facts(ensemble, request), curves))


def open_member(evaluated: EvaluatedRun, request: EvaluationRequest, accelerator: Accelerator) -> Member:
    """Load a run's network and list its images.

    Raises:
        UserError: If the checkpoint cannot be read, or the run's images have changed since it began.
    """
    draw_synthetic_images(evaluated.own)
    data = make_data(evaluated.evaluated, every_class=request.own_images)  # other images may be of one class
    own = data if evaluated.own == evaluated.evaluated else make_data(evaluated.own)
    if request.own_images:
        compare_images(evaluated.run, data, [request.split])
    classifier = load_classifier(evaluated.checkpoint, accelerator, request.trust)
    found = out_of_fold_logits(evaluated.run, classifier.class_names[1]) if classifier.decided_on else None
    return Member(evaluated.name, classifier, own, data, held_out_images(evaluated.run), found)


def _add_extras(
    ensemble: Ensemble, request: EvaluationRequest, *, is_locked: bool = False, with_detector: bool = True
) -> None:
    """Fit what a single network can learn from its run's images and does not have yet, and save it for predictions.

    A run that another process is training, or that is read-only, goes without the file.
    """
    first, classifier, evaluated = ensemble.members[0], ensemble.members[0].classifier, request.runs[0]
    if len(ensemble.members) > 1 or not first.fits:
        return
    lacks_decision = ensemble.views == "dihedral" and ensemble.is_fitted and classifier.augmented_decision is None
    lacks_own = ensemble.views == "none" and ensemble.is_fitted and not classifier.is_decided
    lacks_detector = with_detector and ensemble.views == "none" and request.own_images
    lacks_detector = lacks_detector and classifier.ood_detector is None
    if lacks_decision:
        classifier.augmented_decision = ensemble.decision
    elif lacks_own or lacks_detector:
        if lacks_own:
            classifier.decide(ensemble.decision)
        is_detecting = lacks_detector and _has_its_images(evaluated, first) and fit_ood_detector(classifier, first.own)
        if not (lacks_own or is_detecting):
            return
    else:
        return
    try:
        with nullcontext() if is_locked else evaluated.run.lock():
            save_extras(classifier, evaluated.checkpoint)
    except (UserError, OSError, RuntimeError) as error:  # PyTorch raises RuntimeError on a full disk
        logger.warning("what was fitted for %s is not saved (%s)", evaluated.checkpoint, str(error).splitlines()[0])


def _has_its_images(evaluated: EvaluatedRun, member: Member) -> bool:
    """Tell whether the images that a run was trained and validated on are still the same."""
    try:
        compare_images(evaluated.run, member.own, ["train", "validation"])
    except UserError as error:
        logger.warning("no out-of-distribution detector is fitted: %s", error)
        return False
    return True


def _write_metrics(
    ensemble: Ensemble, request: EvaluationRequest, predictions: SplitPredictions, content: Content
) -> dict[str, float]:
    """Write `metrics.json`.

    Returns:
        The figures of all images by their tags (`val/auroc`); those that cannot be computed are omitted.
    """
    decision, tag = ensemble.decision, TAGS[request.split]
    rows: dict[str, dict[str, Any]] = {}
    for figures in content.sets:
        mask = ~predictions.is_seen if rows else np.ones(len(predictions.images), dtype=bool)
        arguments = predictions.probabilities[mask], predictions.images.targets[mask], decision.threshold
        rows[figures.title] = {**summarise(*arguments), "intervals": intervals_of(*arguments)}
    if len(ensemble.members) == 1:
        classifier, arrays = ensemble.members[0].classifier, (predictions.logits, predictions.images.targets)
        with torch.inference_mode():  # as the live curve's: weighted, before calibration
            loss = classifier.loss(*(torch.from_numpy(array).to(classifier.device) for array in arrays))
        rows[request.split]["loss"] = float(loss)
    metrics = {f"{tag}/{name}": value for name, value in rows[request.split].items() if isinstance(value, int | float)}
    text = {
        "split": request.split,
        "runs": [str(each.run.folder.resolve()) for each in request.runs],
        "images": str(predictions.images.root.resolve()),
        "temperature": decision.temperature,
        "threshold": decision.threshold,
        "notes": [*map(str, content.warnings), *content.notes, content.disclaimer],
        "metrics": metrics,
        "rows": rows,
        "report": _plain(asdict(content)),
    }
    with write_atomically(request.folder / "metrics.json") as file:
        json.dump(text, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return metrics


def _plain(value: Any) -> Any:
    """Return a value without the omitted keys, and with NaN and infinity, which JSON lacks, as null."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in OMITTED}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_image_sets(sets: Sequence[ImageSet], table: Path) -> None:
    """Write one row a set, or remove the table of an earlier evaluation; figures that cannot be computed are empty."""
    if not sets:
        table.unlink(missing_ok=True)
        return
    with write_atomically(table) as file:
        figures = ("auroc", "sensitivity", "specificity", "out_of_distribution")
        ends = [f"{name}{end}" for name in figures for end in ("", "_low", "_high")]
        writer = TableWriter(file, ["set", "images", "malignant", "lesions", *ends, "note"])
        writer.writeheader()
        for own in sets:
            cells: list[object] = [own.name, own.n, own.positives, own.lesions]
            for estimate in (getattr(own, name) for name in figures):
                cells += [estimate and estimate.value, *((estimate and estimate.interval) or (None, None))]
            writer.writerow(dict(zip(writer.fieldnames, [*cells, own.note], strict=True)))


def _write_predictions(ensemble: Ensemble, folder: Path, predictions: SplitPredictions) -> None:
    """Write `predictions.csv`, one row an image."""
    folder.mkdir(parents=True, exist_ok=True)
    images, is_ood, class_names = predictions.images, predictions.is_ood, ensemble.members[0].classifier.class_names
    with write_atomically(folder / "predictions.csv") as file:
        writer = TableWriter(file, [*COLUMNS, "out_of_distribution"])
        writer.writeheader()
        for index, (path, probability) in enumerate(zip(images.paths, predictions.probabilities.tolist(), strict=True)):
            decision = class_names[probability >= ensemble.decision.threshold]
            label = class_names[images.targets[index]]
            group = images.groups[index] if images.groups else ""
            flags = int(predictions.is_seen[index]), "" if is_ood is None else int(is_ood[index])
            cells = path, probability, decision, label, float(predictions.logits[index]), group, *flags
            writer.writerow(dict(zip(writer.fieldnames, cells, strict=True)))
