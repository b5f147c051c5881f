"""From a request to a written report: for `melanoma-evaluate`, and at the end of every training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.record import audit_warning
from melanoma_pl.data.module import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.hardware import choose_accelerator, keep_freed_memory
from melanoma_pl.models.weights import amend_checkpoint
from melanoma_pl.notices import SYNTHETIC
from melanoma_pl.reporting.evaluation.model_card import FILE_NAME, model_card
from melanoma_pl.reporting.evaluation.text import format_report
from melanoma_pl.review import opening
from melanoma_pl.review.panel import Member, Panel
from melanoma_pl.review.requests import Request
from melanoma_pl.review.reviewing import Context, Question, Review, review
from melanoma_pl.review.writing import show_first, write_numbers, write_pages
from melanoma_pl.runs import Run
from melanoma_pl.settings import EvaluateSettings, TrainSettings

REPORT = "report"
ENSEMBLES = Path("outputs/ensembles")
ON_TEST = "Validated on the test photos, as the original did: no figure here is that of unseen photos."


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


def evaluate(requests: Sequence[Request], settings: EvaluateSettings) -> Report:
    """Judge photos as `melanoma-evaluate` was asked to.

    Raises:
        UserError: If something is wrong that the user can mend.
    """
    keep_freed_memory()
    own_photos = settings.data.root is None
    accelerator = choose_accelerator(settings.device)
    members = opening.open_members(requests, accelerator, settings.split, own_photos=own_photos)
    panel = opening.make_panel(members, settings.tta, settings.combine)
    if (decision := opening.stored_decision(panel)) is not None and members[0].fits:
        amend_checkpoint(requests[0].checkpoint, augmented_decision=decision)
    question = Question(settings.split, settings.prevalence, settings.subgroups, settings.robustness, settings.mistakes)
    is_plain = own_photos and len(requests) == 1 and settings.tta == "none" and settings.output is None
    return report(panel, requests, question, report_folder(requests, members, settings), is_runs_own=is_plain)


def report_folder(requests: Sequence[Request], members: Sequence[Member], settings: EvaluateSettings) -> Path:
    """Return where a report goes: a run's own one stays what it is when another set is judged, or in another way."""
    name = settings.split if settings.tta == "none" else f"{settings.split}_{settings.tta}"
    if settings.output is not None:
        return Path(settings.output)
    if len(requests) > 1:
        return ENSEMBLES / f"{datetime.now(UTC).astimezone():%Y-%m-%d_%H-%M-%S-%f}" / name
    folder = requests[0].run.folder / REPORT
    if settings.data.root is not None:
        folder = folder / opening.photo_set_name(members[0].judged)
    return folder / name


def report(panel: Panel, requests: Sequence[Request], question: Question, folder: Path, *, is_runs_own: bool) -> Report:
    """Review a split and write its report.

    Args:
        panel: Who judges.
        requests: Where they come from, in the same order.
        question: What is asked.
        folder: Where the report goes.
        is_runs_own: Whether this is what the run itself is worth: then it also gets the run's page and model card.
    """
    context = make_context(panel, requests, question.split)
    reviewed = review(panel, question, context)
    figures = write_numbers(reviewed, panel.decision, folder)
    if question.depth == "numbers":
        return Report(figures, format_report(reviewed.content), folder)
    write_pages(reviewed, folder)
    if is_runs_own:
        show_first(folder.parent, question.split)
    is_final = not is_runs_own or question.split == "test" or not (folder.parent / "test").is_dir()
    if is_final:
        place = requests[0].run.folder if is_runs_own else folder
        _write_card(reviewed, panel, requests[0], place)
    return Report(figures, format_report(reviewed.content), folder)


def make_context(panel: Panel, requests: Sequence[Request], split: str) -> Context:
    """Return what is known of photos and networks beside pixels and weights."""
    first = panel.members[0]
    own_photos = first.own is first.judged
    is_known, known_note = opening.known_photos(requests, panel.members, split, own_photos=own_photos)
    return Context(
        title=" + ".join(member.name for member in panel.members),
        photos=opening.photo_set_name(first.judged),
        facts=_facts(panel, requests),
        runs=tuple(str(request.run.folder) for request in requests),
        warnings=result_notes(requests[0].own, own_photos=own_photos),
        is_known=is_known,
        known_note=known_note,
        may_learn=_has_training_photos(first.own),
    )


def result_notes(own: TrainSettings, *, own_photos: bool = True) -> tuple[str, ...]:
    """Return what must be said beside every figure of a run."""
    if not own_photos:
        return (f"The network was trained on {own.photos_note} photos.",) if own.photos_note else ()
    notes = []
    if own.photos_note:
        notes.append(SYNTHETIC)
    if own.data.validate_on == "test":
        notes.append(ON_TEST)
    return tuple(notes)


def _has_training_photos(own: MoleDataModule) -> bool:
    try:
        return own.list_split("train").files[0].is_file()
    except UserError:  # the folder or table is gone
        return False


def _facts(panel: Panel, requests: Sequence[Request]) -> dict[str, str]:
    record: Mapping[str, Any] = requests[0].run.read()
    asked = rule_in_words(panel.members[0].classifier.threshold_rule)
    return {
        "run": ", ".join(str(request.run.folder) for request in requests),
        "checkpoint": ", ".join(sorted({request.checkpoint.name for request in requests})),
        "trained with": record["command"],
        "trained": record["started"],
        "commit": record["git_commit"] or "unknown",
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "temperature": f"{panel.decision.temperature:.4g}",
        "threshold": f"{panel.decision.threshold:.4g} ({asked})",
        "fitted on": panel.decided_on,
        "views": "mean logit of eight flips and quarter turns" if panel.views == "dihedral" else "one",
        **({"combined": f"mean {panel.combine}"} if len(panel.members) > 1 else {}),
    }


def rule_in_words(rule: Mapping[str, Any]) -> str:
    """Say how a threshold was chosen."""
    if rule["rule"] == "sensitivity":
        return f"the highest that finds {rule['sensitivity']:.0%} of the malignant photos"
    return "largest sensitivity + specificity" if rule["rule"] == "youden" else f"fixed at {rule['value']:g}"


def _write_card(reviewed: Review, panel: Panel, request: Request, folder: Path) -> None:
    text = model_card(reviewed.content, card_facts(panel.members[0], request))
    folder.mkdir(parents=True, exist_ok=True)
    with write_atomically(folder / FILE_NAME) as file:
        file.write(text)


def card_facts(member: Member, request: Request) -> dict[str, str]:
    """Return what a model card says of the training, by title."""
    data, settings = member.own, request.own
    cut = f"fold {settings.data.fold}" if settings.data.fold is not None else f"{settings.data.validation_fraction:g}"
    together = f", lesions of column {data.group_column} kept together" if data.group_column else ""
    return {
        "photos": opening.photo_set_name(data) + (f" ({settings.photos_note})" if settings.photos_note else ""),
        "split": f"validation {cut}{together}",
        "audit": audit_sentence(data, request.run),
    }


def audit_sentence(data: MoleDataModule, run: Run) -> str:
    """Return what the audit of a run's photos found, in one line."""
    noted = opening.noted_contents(run)
    train = [*noted.get("train", []), *noted.get("validation", [])]
    if not train:
        return "unknown: the run did not list its photos"
    warning = audit_warning(data.table or data.root, _listed(train) or ([], []), _listed(noted.get("test", [])))
    return warning or "an audit of these photos found no training photo that shows what a test photo shows"


def _listed(photos: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]] | None:
    return ([path for path, _ in photos], [content for _, content in photos]) if photos else None
