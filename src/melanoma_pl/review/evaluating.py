"""From a request to a written report: for `melanoma-evaluate`, and at the end of every training."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.hardware import choose_accelerator, keep_freed_memory
from melanoma_pl.inference import learn_familiarity
from melanoma_pl.models.classifier import as_tensors
from melanoma_pl.models.weights import amend_checkpoint
from melanoma_pl.reporting.evaluation.model_card import FILE_NAME, model_card
from melanoma_pl.reporting.evaluation.text import format_report
from melanoma_pl.review import opening
from melanoma_pl.review.context import card_facts, make_context
from melanoma_pl.review.panel import NOTHING, Member, Panel
from melanoma_pl.review.question import Question
from melanoma_pl.review.requests import Request
from melanoma_pl.review.reviewing import review
from melanoma_pl.review.writing import show_first, write_numbers, write_pages
from melanoma_pl.runs import REPORT
from melanoma_pl.settings import EvaluateSettings

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


def evaluate(requests: Sequence[Request], settings: EvaluateSettings, command: str) -> Report:
    """Judge photos as `melanoma-evaluate` was asked to.

    Raises:
        UserError: If something is wrong that the user can mend.
    """
    keep_freed_memory()
    own_photos = all(request.judges_own for request in requests)
    accelerator = choose_accelerator(settings.device, "device=cpu")
    members = opening.open_members(requests, accelerator, settings.split, own_photos=own_photos)
    panel = opening.make_panel(members, settings.tta, settings.combine)
    additions = _additions(panel, own_photos)
    question = Question(settings.split, settings.prevalence, settings.subgroups, settings.robustness, settings.mistakes)
    folder, is_runs_own = report_folder(requests, members, settings, own_photos)
    written = report(panel, requests, question, folder, command, own_photos=own_photos, is_runs_own=is_runs_own)
    if additions:
        _keep(requests[0], additions)
    return written


def _additions(panel: Panel, own_photos: bool) -> dict[str, Any]:
    """Return what a network alone can learn from its own validation photos and its checkpoint does not hold yet."""
    first = panel.members[0]
    if len(panel.members) > 1 or not first.fits:
        return {}
    if panel.views == "dihedral" and first.classifier.augmented_decision is None and panel.decided_on != NOTHING:
        return {"augmented_decision": asdict(panel.decision)}
    if panel.views == "none" and own_photos and first.classifier.familiarity is None:
        known = learn_familiarity(first.classifier, first.own.split("train"), first.own.split("validation"))
        return {"familiarity": as_tensors(known)} if known else {}
    return {}


def _keep(request: Request, additions: dict[str, Any]) -> None:
    """Add to a run's checkpoint, for prediction to use, unless it is being trained or cannot be written."""
    try:
        with request.run.lock():
            amend_checkpoint(request.checkpoint, **additions)
    except (UserError, OSError) as error:
        logger.warning("%s: its checkpoint does not keep the %s", error, " and ".join(additions).replace("_", " "))


def report_folder(
    requests: Sequence[Request], members: Sequence[Member], settings: EvaluateSettings, own_photos: bool
) -> tuple[Path, bool]:
    """Return where a report goes, and whether it is what the run itself is worth.

    A run's own report stays what it is when another set or another checkpoint is judged, or in another way.
    """
    first = requests[0]
    is_other = first.checkpoint.stem != first.own.checkpoint.evaluate
    parts = [settings.split, *([settings.tta] if settings.tta != "none" else [])]
    name = "_".join([*parts, *([first.checkpoint.stem] if is_other else [])])
    is_runs_own = own_photos and len(requests) == 1 and settings.output is None and name == settings.split
    if settings.output is not None:
        return Path(settings.output), False
    if len(requests) > 1:
        return ENSEMBLES / f"{datetime.now(UTC).astimezone():%Y-%m-%d_%H-%M-%S-%f}" / name, False
    folder = first.run.folder / REPORT
    return (folder if own_photos else folder / opening.set_folder(folder, members[0].judged, name)) / name, is_runs_own


def report(
    panel: Panel,
    requests: Sequence[Request],
    question: Question,
    folder: Path,
    command: str,
    *,
    own_photos: bool = True,
    is_runs_own: bool = True,
) -> Report:
    """Review a split and write its report.

    Args:
        panel: Who judges.
        requests: Where they come from, in the same order.
        question: What is asked.
        folder: Where the report goes.
        command: What was typed.
        own_photos: Whether these are photos of the runs.
        is_runs_own: Whether this is what the run itself is worth: then it also gets the run's page and model card.
    """
    context = make_context(panel, requests, question.split, command, own_photos=own_photos)
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
        with write_atomically(place / FILE_NAME) as file:
            file.write(model_card(reviewed.content, card_facts(panel.members, requests)))
    return written
