"""The export of runs: networks and decision from the runs, all files of the target from the networks."""

import io
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from melanoma_pl import __version__
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.loader import ImageBatches
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export import standalone
from melanoma_pl.export.exported_network import CONFIG, WEIGHTS, ExportedMember, ExportedNetwork, pixel_kind
from melanoma_pl.export.hub_card import Figures, hub_card
from melanoma_pl.export.int8 import INT8, compare_int8, quantise
from melanoma_pl.export.onnx_file import check_onnx, export_program, write_metadata, write_onnx
from melanoma_pl.files import new_folder
from melanoma_pl.inference.ensemble import NOTHING, OWN, Ensemble, Member, assemble, common_held_out
from melanoma_pl.inference.hardware import keep_freed_memory
from melanoma_pl.inference.prediction import Views, load_classifier
from melanoma_pl.messages import DISCLAIMER, size_in_bytes
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.report.page import MODEL_CARD
from melanoma_pl.report.pipeline import open_member
from melanoma_pl.report.provenance import run_title
from melanoma_pl.report.request import EvaluatedRun, EvaluationRequest
from melanoma_pl.runs import REPORT
from melanoma_pl.runs.image_list import compare_images
from melanoma_pl.runs.run_folder import UNREADABLE, report_name

ONNX, PROGRAM, SCRIPT, CARD = "model.onnx", "model.pt2", "predict.py", "README.md"
UNSTATED = "not stated; that of the training images decides what may be done with weights trained on them"
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class ExportRequest:
    """Runs to export, checked as far as that needs no PyTorch.

    Attributes:
        runs: One run, or several as an ensemble.
        target: The folder to write.
        views: `dihedral` averages the logits of each image's eight flips and quarter turns.
        int8_tolerance: Largest loss of AUROC that 8-bit integers may cost; None without them.
        report: Folder of the evaluation whose figures the card takes; None for the run's own on test.
        license: Licence of the weights, or None.
        trust: Modules that may be imported for a network's class.
    """

    runs: tuple[EvaluatedRun, ...]
    target: Path
    views: Views = "none"
    int8_tolerance: float | None = None
    report: Path | None = None
    license: str | None = None
    trust: Sequence[str] = ()


@dataclass(frozen=True)
class Opened:
    """The networks of a request's runs, with their decision.

    Attributes:
        classifiers: One for each run.
        decision: Temperature and threshold of the mean logit.
        decided_on: The images that the decision was fitted on, in words.
        members: The networks with their images, where those are needed; else none.
    """

    classifiers: tuple[MelanomaClassifier, ...]
    decision: Decision
    decided_on: str
    members: tuple[Member, ...] = ()


def export_runs(request: ExportRequest) -> list[str]:
    """Write the folder of an export, completely or not at all.

    Returns:
        Lines that tell what was written.

    Raises:
        UserError: If a checkpoint or images that are needed cannot be read, or a network cannot be exported.
    """
    keep_freed_memory()
    figures = None if request.report is None else read_figures(request.report)
    opened = open_runs(request)
    held_out = None if request.int8_tolerance is None else validation_images(opened, request)
    network = make_network(opened, request.views)
    figures = matching_figures(figures, request, opened.decision)
    metadata = describe(network, opened, request)
    with new_folder(request.target) as folder:
        program = export_program(network)
        write_onnx(program, network, folder / ONNX)
        write_metadata(folder / ONNX, metadata)
        check_onnx(folder / ONNX, network)
        content = io.BytesIO()  # on a full disk, PyTorch's writer raises an error that does not say so
        torch.export.save(program, content)
        (folder / PROGRAM).write_bytes(content.getvalue())
        write_weights(network, metadata, folder)
        shutil.copyfile(Path(standalone.__file__), folder / SCRIPT)
        told = [] if held_out is None else [add_int8(folder, opened, held_out, metadata, request)]
        card = hub_card(network, metadata, figures, told[0] if (folder / INT8).is_file() else "")
        (folder / CARD).write_text(card, encoding="utf-8")
        sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    lines = [f"{request.target / name}  {size_in_bytes(size)}" for name, size in sizes.items()]
    if figures is None:
        told.append("the card has no test figures: name the report of an evaluation of these runs with --report")
    return [*lines, *told, *metadata["notice"].splitlines()]


def open_runs(request: ExportRequest) -> Opened:
    """Load the networks and find their decision.

    The images of the runs are needed for the decision of an ensemble, for 8-bit integers, and for views that no
    evaluation has fitted a decision for; otherwise the checkpoint is enough.
    """
    if len(request.runs) == 1 and request.int8_tolerance is None:
        classifier = load_classifier(request.runs[0].checkpoint, "cpu", request.trust)
        own = Decision(classifier.temperature, classifier.threshold)
        decision = own if request.views == "none" else classifier.augmented_decision
        if decision is not None:
            is_fitted = classifier.is_decided or request.views != "none"
            return Opened((classifier,), decision, OWN if is_fitted else NOTHING)
    evaluation = EvaluationRequest(
        request.runs, "validation", request.target, "melanoma-export", views=request.views, trust=request.trust
    )
    members = [open_member(each, evaluation, "cpu") for each in request.runs]
    ensemble: Ensemble = assemble(members, request.views)
    classifiers = tuple(member.classifier for member in members)
    return Opened(classifiers, ensemble.decision, ensemble.decided_on, tuple(members))


def make_network(opened: Opened, views: Views) -> ExportedNetwork:
    """Return the module to export."""
    first = opened.classifiers[0]
    detector = first.ood_detector if len(opened.classifiers) == 1 else None
    members = [ExportedMember.of(classifier) for classifier in opened.classifiers]
    return ExportedNetwork(members, opened.decision, first.class_names, views, detector)


def describe(network: ExportedNetwork, opened: Opened, request: ExportRequest) -> dict[str, Any]:
    """Return the metadata of an export, which ONNX file, configuration and card share."""
    notes = dict.fromkeys(classifier.images_note for classifier in opened.classifiers if classifier.images_note)
    cautions = [f"Trained on {note} images: its numbers say nothing about patients." for note in notes]
    if opened.decided_on == NOTHING:
        cautions.append("Temperature and threshold were not fitted: they are 1 and 0.5.")
    if network.ood_threshold is None:
        cautions.append("This export cannot tell whether an image is out of distribution.")
    records = [each.run.read() for each in request.runs]
    return {
        "title": run_title(request.runs),
        "disclaimer": DISCLAIMER,
        "notice": "\n".join([DISCLAIMER, *cautions]),
        **{key: value for key, value in network.config().items() if key not in ("format", "members")},
        "image_size": max(kind["image_size"] for kind in network.inputs),
        "decision_fitted_on": opened.decided_on,
        "training_images": ", ".join(dict.fromkeys(images_of(each.own) for each in request.runs)),
        "license": request.license or UNSTATED,
        "runs": [each.name for each in request.runs],
        "networks": [type(member.network).__name__ for member in opened.classifiers],
        "parameters": sum(parameter.numel() for parameter in network.networks.parameters()),
        "commits": [record["git_commit"] or "unknown" for record in records],
        "versions": {"melanoma-pl": __version__, **{name: import_module(name).__version__ for name in PACKAGES}},
    }


def images_of(settings: TrainSettings) -> str:
    """Return the name of the folder or table of a run's training images, and the remark on them."""
    data = settings.data
    source = data.table or data.root
    return " ".join(filter(None, (Path(str(source)).name if source else "", settings.images_note))) or "unknown"


def write_weights(network: ExportedNetwork, metadata: dict[str, Any], folder: Path) -> None:
    """Write `model.safetensors` and `config.json`, which `load_exported` reads."""
    from safetensors.torch import save

    state = {name: value.contiguous().clone() for name, value in network.state_dict().items()}
    facts = {"format": "pt", **{key: metadata[key] for key in ("license", "notice")}}
    (folder / WEIGHTS).write_bytes(save(state, facts))
    text = json.dumps({**metadata, **network.config()}, indent=2, ensure_ascii=False)
    (folder / CONFIG).write_text(f"{text}\n", encoding="utf-8")


def validation_images(opened: Opened, request: ExportRequest) -> list[ImageBatches]:
    """Return the images that 8-bit integers are compared on, for each member.

    Raises:
        UserError: If there are none that no member has trained on, or the training images have changed.
    """
    held_out = common_held_out(opened.members)
    splits = [] if held_out is None else [split for split in held_out.splits if split is not None]
    if len(splits) < len(opened.members):  # out-of-fold predictions are not images to predict
        raise UserError(
            "--int8 compares on validation images that no run has trained on, and there are too few", "leave it out"
        )
    for each, member in zip(request.runs, opened.members, strict=True):
        compare_images(each.run, member.own, ["train"])
    return splits


def add_int8(
    folder: Path, opened: Opened, held_out: list[ImageBatches], metadata: dict[str, Any], request: ExportRequest
) -> str:
    """Write the 8-bit network if its AUROC is near enough, and return the sentence that tells the comparison."""
    tolerance = request.int8_tolerance or 0.0
    kinds = [pixel_kind(member.classifier.preprocessing) for member in opened.members]
    chosen = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    quantise(folder / ONNX, folder / INT8, [opened.members[index].own.split("train") for index in chosen])
    comparison = compare_int8(folder / ONNX, folder / INT8, [held_out[index] for index in chosen], opened.decision)
    sentence = comparison.in_words(tolerance)
    if not comparison.is_within(tolerance):
        (folder / INT8).unlink()
        return sentence
    caution = "The 8-bit network cannot tell whether an image is out of distribution."
    notice = "\n".join(dict.fromkeys([*metadata["notice"].splitlines(), caution]))
    of_int8 = {**metadata, "outputs": ["logit", "probability"], "ood_threshold": None, "notice": notice}
    write_metadata(folder / INT8, of_int8 | {"int8": sentence})
    return sentence


def read_figures(report: Path) -> Figures:
    """Return the figures of an evaluation's folder.

    Raises:
        UserError: If it holds no `metrics.json` that can be read.
    """
    try:
        metrics = json.loads((report / "metrics.json").read_text(encoding="utf-8"))
        rows = {
            str(title): {key: row[key] for key in ("n", "positives", "intervals")}
            | {key: row[key] for key in row["intervals"]}
            for title, row in metrics["rows"].items()
        }
        decision = Decision(float(metrics["temperature"]), float(metrics["threshold"]))
        return Figures(metrics["split"], Path(metrics["images"]).name, rows, decision, _card_of(report))
    except UNREADABLE as error:
        raise UserError(
            f"{report} holds no metrics.json that can be read ({' '.join(str(error).split())[:200]})",
            "name the folder of a report that melanoma-evaluate wrote",
        ) from error


def _card_of(report: Path) -> str:
    """Return the model card of a report without its links to figures, or an empty text if it has none."""
    own = report / MODEL_CARD
    card = own if own.is_file() else report.parents[1] / MODEL_CARD if report.name in ("test", "validation") else own
    if not card.is_file():
        return ""
    lines = card.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not re.search(r"\]\([^)]*\.svg\)", line))


def matching_figures(figures: Figures | None, request: ExportRequest, decision: Decision) -> Figures | None:
    """Return the given figures, or those of a single run's own report on test; None if there are none.

    Raises:
        UserError: If the given figures are those of another decision, and so of other networks.
    """
    is_own = figures is None
    if figures is None:
        run = request.runs[0].run.folder
        report = run / REPORT / report_name("test", request.views)
        if len(request.runs) > 1 or not (report / "metrics.json").is_file():
            return None
        figures = read_figures(report)
    fits = all(
        abs(found - own) < 1e-6
        for found, own in (
            (figures.decision.temperature, decision.temperature),
            (figures.decision.threshold, decision.threshold),
        )
    )
    if not fits and not is_own:
        raise UserError(
            f"--report {request.report} has threshold {figures.decision.threshold:.6f}, and these runs have "
            f"{decision.threshold:.6f}",
            "name the report of an evaluation of exactly these runs",
        )
    return figures if fits else None
