"""Reporting checklists, filled with what the runs of an evaluation know: TRIPOD+AI and CLEAR Derm.

Each item is *filled* with a fact, *needs a person*, or is *not applicable*. The template paraphrases the items.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from melanoma_pl.data.options import DRAWN_FILE
from melanoma_pl.files import write_atomically
from melanoma_pl.inference.ensemble import Ensemble
from melanoma_pl.messages import SPLITS
from melanoma_pl.report import wording
from melanoma_pl.report.content import Content
from melanoma_pl.report.markup import render_markdown
from melanoma_pl.report.provenance import training_data_facts
from melanoma_pl.report.request import EvaluatedRun, EvaluationRequest
from melanoma_pl.report.verdict import verdict
from melanoma_pl.runs.image_list import listed_images

CHECKLIST = "checklist.md"
STATUSES = ("filled", "needs a person", "not applicable")
SKIN = ("skin", "fitzpatrick")  # columns of the skin's colour begin so
DRAWN = {  # whether the training images, and the evaluated ones, are synthetic → the sentence about them
    (False, False): "",
    (False, True): "The evaluated images are synthetic, drawn by a program.",
    (True, False): "The training images are synthetic, drawn by a program.",
    (True, True): "Synthetic images, drawn by a program.",
}


def write_checklist(content: Content, ensemble: Ensemble, request: EvaluationRequest) -> Path:
    """Write `checklist.md` into the folder of a report, and return its path."""
    path = request.folder / CHECKLIST
    with write_atomically(path) as file:
        file.write(checklist(content, known_facts(ensemble, request)))
    return path


def checklist(content: Content, known: Mapping[str, str]) -> str:
    """Return both checklists in Markdown.

    Args:
        content: Content of the report.
        known: Further facts, as of `known_facts`; a missing one is unknown.
    """

    def fact(label: str) -> str:
        """Return a fact of the evaluation or of the images; the facts of several runs bear their names."""
        suffix = f"{label} ("
        facts = {**content.facts, **known}
        return joined(
            {
                key.removeprefix(suffix).removesuffix(")"): text
                for key, text in facts.items()
                if key == label or key.startswith(suffix)
            }
        )

    def trained(label: str) -> str:
        """Return a fact of the training of each network."""
        return joined({own.name: own.facts[label] for own in content.experiments if label in own.facts})

    is_evaluated_drawn = any(warning.kind == "synthetic" for warning in content.warnings)
    is_evaluated_drawn |= "drawn" in known and "other images" not in known
    context: dict[str, Any] = {
        "content": content,
        "wording": wording,
        "verdict": verdict(content),
        "fact": fact,
        "trained": trained,
        "drawn": DRAWN["drawn" in known, is_evaluated_drawn],
        "is_drawn": "drawn" in known and is_evaluated_drawn,
        "skin_tables": [own for own in content.subgroups if own.column.lower().startswith(SKIN)],
        "recorded": [own.column for own in content.subgroups if not own.is_estimated],
        "ood_note": next((note for note in content.notes if "out of distribution" in note), ""),
    }
    context |= dict(zip(("filled", "person", "inapplicable"), STATUSES, strict=True))
    return render_markdown("checklist.md.j2", **context)


def joined(facts: Mapping[str, str]) -> str:
    """Return the text that all runs share, or each run's with its name; empty if there is none."""
    if len(set(facts.values())) == 1:
        return next(iter(facts.values()))
    return "; ".join(f"{name}: {text}" for name, text in facts.items())


def known_facts(ensemble: Ensemble, request: EvaluationRequest) -> dict[str, str]:
    """Return what the runs' settings and lists of images tell beyond the content of the report: label → text."""
    facts = training_data_facts(ensemble, request)
    for each in request.runs:
        suffix = f" ({each.name})" if len(request.runs) > 1 else ""
        facts |= {f"{label}{suffix}": text for label, text in _facts_of(each).items() if text}
    notes = [each.own.images_note for each in request.runs]
    notes += [member.classifier.images_note for member in ensemble.members]
    if any(notes) or any((member.own.root / DRAWN_FILE).is_file() for member in ensemble.members):
        facts["drawn"] = "the training images"
    if not request.own_images:
        facts["other images"] = "the evaluated images are not those of the run's dataset"
    return facts


def _facts_of(evaluated: EvaluatedRun) -> dict[str, str]:
    own, positive = evaluated.own, evaluated.own.data.class_names[1]
    listed = listed_images(evaluated.run)
    sizes = [
        f"{split} {len(listed[split]):,} ({sum(image.label == positive for image in listed[split]):,} {positive})"
        for split in SPLITS
        if split in listed
    ]
    side, weight = own.data.image_size, own.loss.pos_weight
    colour = "" if own.data.colour_constancy == "none" else f", colour constancy {own.data.colour_constancy}"
    return {
        "sizes": ", ".join(sizes),
        "preprocessing": f"{side} × {side} RGB pixels from 0 to 1, normalisation {own.data.normalisation}{colour}",
        "loss weight": "" if weight == 1 else str(weight),
        "sampler": "" if own.data.sampler == "natural" else f"{own.data.benign_per_malignant:g}",
        "unreadable": "" if own.data.on_broken == "stop" else "left out",
        "excluded": str(own.data.exclude or ""),
        "weights": str(own.model.get("weights") or ""),
    }
