"""What is known of images and networks beside pixels and weights: where they come from, what must be said of them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.audit.audit_record import audit_warning
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.layout import DRAWN_FILE
from melanoma_pl.errors import UserError
from melanoma_pl.inference.ensemble import NOTHING, Ensemble, Member
from melanoma_pl.messages import SYNTHETIC
from melanoma_pl.report import open_runs
from melanoma_pl.report.request import Context, EvaluationRequest

VIEWS = {"none": "one view of each image", "dihedral": "mean logit of eight flips and quarter turns of each image"}
ON_TEST = "Validated on the test images, as the original did: no figure here is that of unseen images."
CHOSEN_ON = "These images chose epoch, temperature and threshold: unseen ones will look a little worse."
UNFITTED = (
    "No images were validated on by all of these networks and trained on by none: they decide at 0.5, uncalibrated."
)


def make_context(
    panel: Ensemble, requests: Sequence[EvaluationRequest], split: str, command: str, *, own_images: bool
) -> Context:
    """Return what is known.

    Args:
        panel: Who judges.
        requests: Where they come from, in the same order.
        split: `validation` or `test`.
        command: What was typed.
        own_images: Whether these are images of the runs.
    """
    first = panel.members[0]
    known = open_runs.seen_images(requests, panel.members, split, own_images=own_images)
    return Context(
        title=" + ".join(member.name for member in panel.members),
        images=open_runs.dataset_name(first.evaluated),
        facts={**_facts(panel, requests), "evaluated": _now(), "evaluated with": command},
        runs=tuple(str(request.run.folder.resolve()) for request in requests),
        warnings=(*_warnings(panel, requests, split, own_images), *known.warnings),
        notes=known.notes,
        is_seen=known.mask,
        may_learn=_has_training_images(first.own),
    )


def _warnings(panel: Ensemble, requests: Sequence[EvaluationRequest], split: str, own_images: bool) -> list[str]:
    """Return what must be said beside every figure, of several networks with their names."""
    said: dict[str, list[str]] = {}
    for request, member in zip(requests, panel.members, strict=True):
        for warning in result_warnings(request.own, split, own_images=own_images):
            said.setdefault(warning, []).append(member.name)
    several = len(panel.members) > 1
    if not own_images and (panel.members[0].evaluated.root / DRAWN_FILE).is_file():
        said[SYNTHETIC] = ["these images"]
    found = [f"{', '.join(names)}: {warning}" if several else warning for warning, names in said.items()]
    return [*found, UNFITTED] if several and panel.decided_on == NOTHING else found


def result_warnings(own: TrainSettings, split: str, *, own_images: bool = True) -> tuple[str, ...]:
    """Return what must be said beside every figure of a run."""
    if not own_images:
        return (f"The network was trained on {own.images_note} images.",) if own.images_note else ()
    drawn = (SYNTHETIC,) if own.images_note else ()
    if own.data.validate_on == "test":
        return (*drawn, ON_TEST)
    return (*drawn, CHOSEN_ON) if split == "validation" else drawn


def _has_training_images(own: MoleDataModule) -> bool:
    try:
        return own.list_split("train").files[0].is_file()
    except UserError:  # the folder or table is gone
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _facts(panel: Ensemble, requests: Sequence[EvaluationRequest]) -> dict[str, str]:
    decision, several = panel.decision, len(panel.members) > 1
    rule = rule_in_words(panel.members[0].classifier.threshold_rule)
    asked = "nothing was fitted" if panel.decided_on == NOTHING else rule
    return {
        "run": ", ".join(member.name for member in panel.members),
        "checkpoint": ", ".join(sorted({request.checkpoint.name for request in requests})),
        **_trainings(panel.members, requests),
        "temperature": f"{decision.temperature:.4g}",
        "threshold": f"{decision.threshold:.4g} ({asked})",
        "fitted on": panel.decided_on,
        "views": VIEWS[panel.views],
        **({"combined": f"mean {panel.combine}"} if several else {}),
    }


def _trainings(members: Sequence[Member], requests: Sequence[EvaluationRequest]) -> dict[str, str]:
    """Return how each network was trained, of several with their names."""
    facts = {}
    for member, request in zip(members, requests, strict=True):
        record: Mapping[str, Any] = request.run.read()
        name = f" ({member.name})" if len(members) > 1 else ""
        facts[f"trained with{name}"] = str(record["command"])
        facts[f"trained{name}"] = str(record["started"])
        facts[f"commit{name}"] = record["git_commit"] or "unknown"
        facts["versions"] = ", ".join(f"{package} {number}" for package, number in record["versions"].items())
    return facts


def rule_in_words(rule: Mapping[str, Any]) -> str:
    """Say how a threshold was chosen."""
    if rule["rule"] == "sensitivity":
        return f"the highest that finds {100 * rule['sensitivity']:g} % of the malignant validation images"
    if rule["rule"] == "youden":
        return "largest sensitivity + specificity on the validation images"
    return f"fixed at {rule['value']:g}"


def card_facts(members: Sequence[Member], requests: Sequence[EvaluationRequest]) -> dict[str, str]:
    """Return what a model card says of the training images, by title."""
    facts = {}
    for member, request in zip(members, requests, strict=True):
        name = f" ({member.name})" if len(members) > 1 else ""
        drawn = f" ({request.own.images_note})" if request.own.images_note else ""
        facts[f"images{name}"] = open_runs.dataset_name(member.own) + drawn
        facts[f"split{name}"] = _split_in_words(request.own)
        facts[f"audit{name}"] = audit_sentence(member.own, request)
    return facts


def _split_in_words(own: TrainSettings) -> str:
    data = own.data
    if data.validate_on == "test":
        return "no validation split: it validated on the test images"
    cut = f"fold {data.fold}" if data.fold is not None else f"{100 * data.validation_fraction:g} % of train/"
    return f"validation {cut}" + (f", lesions of column {data.group_column} kept together" if data.group_column else "")


def audit_sentence(data: MoleDataModule, request: EvaluationRequest) -> str:
    """Return what the audit of a run's images found, in one line."""
    if request.own.images_note:
        return f"none: the images are {request.own.images_note}"
    noted = open_runs.noted_contents(request.run)
    train = [*noted.get("train", []), *noted.get("validation", [])]
    if not train:
        return "unknown: the run has no list of its images"
    warning = audit_warning(data.table or data.root, _listed(train) or ([], []), _listed(noted.get("test", [])))
    return warning or "an audit of these images found no training image that shows what a test image shows"


def _listed(images: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]] | None:
    return ([path for path, _ in images], [content for _, content in images]) if images else None
