"""A model card in Markdown: a network's purpose, its training data, its performance with intervals, and its limits.

The sections follow M. Mitchell et al., *Model Cards for Model Reporting*, FAT* 2019.
"""

from collections.abc import Iterable, Mapping, Sequence

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.report.content import Content
from melanoma_pl.report.markup import bullets, code, section, table, text
from melanoma_pl.report.measures import (
    Measure,
    calibration_measures,
    decision_measures,
    lost,
    ranking_measures,
    scales,
    told,
)
from melanoma_pl.report.statements import calibration_verdict, counted, limits, named, note_of, sentence

MODEL_CARD = "MODEL_CARD.md"
NOT_STATED = "Not stated."
REPRODUCE = ("command", "trained with", "evaluated with", "commit", "versions", "seed")
"""Labels of the facts that are needed to reproduce the figures."""
IN_CODE = ("command", "trained with", "evaluated with", "commit", "checkpoint", "run")


def model_card(content: Content, data_facts: Mapping[str, str]) -> str:
    """Return the model card.

    Args:
        content: Content of the evaluation's report.
        data_facts: Facts about the training images by label (`images`, `split`, `audit`, counts), as plain text.
    """
    negative, positive = map(text, content.class_names)
    details = {label: fact for label, fact in content.facts.items() if label not in REPRODUCE}
    columns = ", ".join(code(subgroups.column) for subgroups in content.subgroups)
    parts = [
        f"# Model card: {text(content.title)}",
        f"**{text(content.disclaimer)}**",
        *(f"**{text(warning)}**" for warning in content.warnings),
        section(
            "Model details",
            f"The model distinguishes {positive} from {negative} moles on images of single moles. It estimates the "
            f"probability that an image is {positive} and compares it with a threshold. Calibration and threshold were "
            "fitted on validation images unless stated otherwise below.",
            _facts(details),
            bullets(f"member: {code(member.name)}" for member in content.members),
        ),
        section(
            "Intended use",
            "Research on the classification of mole images, and teaching, by people who can assess its figures.",
            "Not intended:",
            bullets(
                (
                    "diagnosis, triage or medical advice: it is not a medical device and has not been reviewed as one",
                    f"reassurance: an image called {negative} may show a {positive} mole",
                    "images from other sources than the training images: other cameras, clinics or skin types, or "
                    "smartphone images without a dermatoscope if the training images are dermoscopic, and vice versa",
                    "images of anything but a single mole, for which the model returns a probability all the same",
                )
            ),
        ),
        section("Training data", _facts(data_facts)),
        section(
            "Evaluation data",
            f"The {text(content.split)} split of {text(content.images)}: {text(counted(content))}.",
            f"Performance by {columns} is reported below."
            if columns
            else "The characteristics of the patients are unknown.",
        ),
        section(
            "Metrics",
            "Brackets contain 95 % confidence intervals.",
            _table([text(figures.title) for figures in content.sets], ranking_measures(content)),
        ),
        _decisions(content),
        section(
            "Calibration",
            text(calibration_verdict(content)),
            _table([", ".join(names) for names in scales(content)], calibration_measures(content)),
        ),
        _subgroups(content),
        _shortcuts(content),
        _robustness(content),
        _members(content),
        section(
            "Ethical considerations",
            "A missed melanoma can cost a life; a false alarm causes anxiety and a scar. The threshold weighs one "
            "against the other, and no figure in this card determines the right balance. The images show the skin of "
            "people. Whether they consented to this use, and which groups are missing, must be stated by the source of "
            "the images.",
        ),
        section("Caveats and recommendations", bullets(map(text, (*limits(content), *content.notes)))),
        section(
            "How to reproduce", _facts({label: content.facts[label] for label in REPRODUCE if label in content.facts})
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(facts: Mapping[str, str]) -> str:
    shown = (f"{text(label)}: {code(fact) if label in IN_CODE else text(fact)}" for label, fact in facts.items())
    return bullets(shown) or NOT_STATED


def _table(columns: Sequence[str], measures: Iterable[Measure]) -> str:
    rows = [[_named(measure), *map(_shown, measure.estimates)] for measure in measures]
    return table(["", *columns], rows)


def _named(measure: Measure) -> str:
    return f"{measure.name} ({text(measure.meaning)})" if measure.meaning else measure.name


def _shown(estimate: Estimate | None) -> str:
    """Return an estimate with its interval, or with the reason why that is missing."""
    return "–" if estimate is None else text(told(estimate))


def _decisions(content: Content) -> str:
    counts, (negative, positive) = content.confusion, map(text, content.class_names)
    thresholds = [": ".join(text(part) for part in named(own) if part) for own in content.decisions]
    return section(
        "Decisions",
        _table(thresholds, decision_measures(content)),
        table(
            ["true label", f"called {positive}", f"called {negative}"],
            [
                [positive, counts.true_positives, counts.false_negatives],
                [negative, counts.false_positives, counts.true_negatives],
            ],
        ),
    )


def _subgroups(content: Content) -> str:
    if not content.subgroups:
        return ""
    header = ["", "images", text(content.class_names[1]), "AUROC", "sensitivity", "specificity"]
    parts = []
    for subgroups in content.subgroups:
        estimated = " (estimated from the images, not recorded)" if subgroups.is_estimated else ""
        rows: list[list[str | int]] = [
            [
                text(row.value) or "unknown",
                row.n,
                row.positives,
                *map(_shown, (row.auroc, row.sensitivity, row.specificity)),
            ]
            for row in subgroups.rows
        ]
        parts += [f"### {code(subgroups.column)}{estimated}", text(note_of(subgroups)), table(header, rows)]
    return section("Subgroups", *parts)


def _shortcuts(content: Content) -> str:
    if not content.shortcuts:
        return ""
    items = []
    for own in content.shortcuts:
        said = (f"{text(own.name)}: AUROC {_shown(own.auroc)}", text(own.meaning), text(own.verdict))
        items.append(" ".join(sentence(part) for part in said if part))
    return section("Shortcuts", "AUROC without the lesion:", bullets(items))


def _robustness(content: Content) -> str:
    if not content.robustness:
        return ""
    rows = []
    for step in content.robustness:
        word, change = lost(step.lost)
        name = f"{text(step.name)} {step.strength} ({text(step.setting)})"
        loss = f"{_shown(change)} {word}" if word == "gain" else _shown(change)
        rows.append([name, _shown(step.auroc), loss, _shown(step.flipped)])
    return section("Robustness", table(["perturbation", "AUROC", "AUROC loss", "decisions changed"], rows))


def _members(content: Content) -> str:
    if not content.members:
        return ""
    rows = [[text(own.name), _shown(own.auroc), _shown(own.contribution)] for own in content.members]
    return section("Members", table(["network", "AUROC alone", "contribution"], rows))
