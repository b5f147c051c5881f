"""What is known of photos and networks beside pixels and weights: where they come from, what must be said of them."""

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

VIEWS = {"none": "one view of each photo", "dihedral": "mean logit of eight flips and quarter turns of each photo"}
ON_TEST = "Validated on the test photos, as the original did: no figure here is that of unseen photos."
CHOSEN_ON = "These photos chose epoch, temperature and threshold: unseen ones will look a little worse."
UNFITTED = (
    "No photos were validated on by all of these networks and trained on by none: they decide at 0.5, uncalibrated."
)


def make_context(
    panel: Ensemble, requests: Sequence[EvaluationRequest], split: str, command: str, *, own_photos: bool
) -> Context:
    """Return what is known.

    Args:
        panel: Who judges.
        requests: Where they come from, in the same order.
        split: `validation` or `test`.
        command: What was typed.
        own_photos: Whether these are photos of the runs.
    """
    first = panel.members[0]
    known = open_runs.known_photos(requests, panel.members, split, own_photos=own_photos)
    return Context(
        title=" + ".join(member.name for member in panel.members),
        photos=open_runs.photo_set_name(first.judged),
        facts={**_facts(panel, requests), "evaluated": _now(), "evaluated with": command},
        runs=tuple(str(request.run.folder.resolve()) for request in requests),
        warnings=(*_warnings(panel, requests, split, own_photos), *known.warnings),
        notes=known.notes,
        is_known=known.mask,
        may_learn=_has_training_photos(first.own),
    )


def _warnings(panel: Ensemble, requests: Sequence[EvaluationRequest], split: str, own_photos: bool) -> list[str]:
    """Return what must be said beside every figure, of several networks with their names."""
    said: dict[str, list[str]] = {}
    for request, member in zip(requests, panel.members, strict=True):
        for warning in result_warnings(request.own, split, own_photos=own_photos):
            said.setdefault(warning, []).append(member.name)
    several = len(panel.members) > 1
    if not own_photos and (panel.members[0].judged.root / DRAWN_FILE).is_file():
        said[SYNTHETIC] = ["these photos"]
    found = [f"{', '.join(names)}: {warning}" if several else warning for warning, names in said.items()]
    return [*found, UNFITTED] if several and panel.decided_on == NOTHING else found


def result_warnings(own: TrainSettings, split: str, *, own_photos: bool = True) -> tuple[str, ...]:
    """Return what must be said beside every figure of a run."""
    if not own_photos:
        return (f"The network was trained on {own.photos_note} photos.",) if own.photos_note else ()
    drawn = (SYNTHETIC,) if own.photos_note else ()
    if own.data.validate_on == "test":
        return (*drawn, ON_TEST)
    return (*drawn, CHOSEN_ON) if split == "validation" else drawn


def _has_training_photos(own: MoleDataModule) -> bool:
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
        return f"the highest that finds {100 * rule['sensitivity']:g} % of the malignant validation photos"
    if rule["rule"] == "youden":
        return "largest sensitivity + specificity on the validation photos"
    return f"fixed at {rule['value']:g}"


def card_facts(members: Sequence[Member], requests: Sequence[EvaluationRequest]) -> dict[str, str]:
    """Return what a model card says of the training photos, by title."""
    facts = {}
    for member, request in zip(members, requests, strict=True):
        name = f" ({member.name})" if len(members) > 1 else ""
        drawn = f" ({request.own.photos_note})" if request.own.photos_note else ""
        facts[f"photos{name}"] = open_runs.photo_set_name(member.own) + drawn
        facts[f"split{name}"] = _split_in_words(request.own)
        facts[f"audit{name}"] = audit_sentence(member.own, request)
    return facts


def _split_in_words(own: TrainSettings) -> str:
    data = own.data
    if data.validate_on == "test":
        return "no validation split: it validated on the test photos"
    cut = f"fold {data.fold}" if data.fold is not None else f"{100 * data.validation_fraction:g} % of train/"
    return f"validation {cut}" + (f", lesions of column {data.group_column} kept together" if data.group_column else "")


def audit_sentence(data: MoleDataModule, request: EvaluationRequest) -> str:
    """Return what the audit of a run's photos found, in one line."""
    if request.own.photos_note:
        return f"none: the photos are {request.own.photos_note}"
    noted = open_runs.noted_contents(request.run)
    train = [*noted.get("train", []), *noted.get("validation", [])]
    if not train:
        return "unknown: the run has no list of its photos"
    warning = audit_warning(data.table or data.root, _listed(train) or ([], []), _listed(noted.get("test", [])))
    return warning or "an audit of these photos found no training photo that shows what a test photo shows"


def _listed(photos: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]] | None:
    return ([path for path, _ in photos], [content for _, content in photos]) if photos else None
