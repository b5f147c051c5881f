"""The model card's figures, every one with its interval or with the reason why there is none.

A model card in Markdown: what a network is, what it is worth and for whom, and what it must not be used for.

Its sections are those of M. Mitchell et al., *Model Cards for Model Reporting*, FAT* 2019.
"""

from collections.abc import Iterable, Mapping, Sequence

from melanoma_pl.evaluation.intervals import Estimate
from melanoma_pl.report.content import Content, Shortcut, SubgroupTable, with_class_names
from melanoma_pl.report.markup import bullets, code, section, table, text
from melanoma_pl.report.statements import calibration_verdict, counted, limits, lost, named, note_of, sentence, told
from melanoma_pl.report.terminal import Line, calibration_lines, decision_lines, ranking_lines, scales


def sections(content: Content) -> list[str]:
    """Return the sections of figures; those with nothing to say are empty."""
    columns = [", ".join(names) for names in scales(content)]
    return [
        section(
            "Metrics",
            "Brackets hold 95 % intervals.",
            _table([text(figures.title) for figures in content.sets], ranking_lines(content)),
        ),
        section("Decisions", _table(_thresholds(content), decision_lines(content)), _wrong(content)),
        section(
            "Calibration",
            text(calibration_verdict(content)),
            _table(columns, calibration_lines(content)),
        ),
        _subgroups(content.subgroups, content.class_names[1]),
        _shortcuts(content.shortcuts),
        _robustness(content),
        _members(content),
    ]


def _table(columns: Sequence[str], lines: Iterable[Line]) -> str:
    rows = [[_named(line), *map(_shown, line.estimates)] for line in lines]
    return table(["", *columns], rows) if columns and rows else "Nothing could be computed."


def _named(line: Line) -> str:
    return f"{line.name} ({text(line.meaning)})" if line.meaning else line.name


def _shown(estimate: Estimate | None) -> str:
    """Return an estimate with its interval, or with the reason why it has none."""
    return "–" if estimate is None else text(told(estimate))


def _thresholds(content: Content) -> list[str]:
    return [": ".join(text(part) for part in named(own) if part) for own in content.decisions]


def _wrong(content: Content) -> str:
    counts, (negative, positive) = content.wrong, map(text, content.class_names)
    return table(
        ["images", f"called {positive}", f"called {negative}"],
        [
            [positive, counts.true_positives, counts.false_negatives],
            [negative, counts.false_positives, counts.true_negatives],
        ],
    )


def _subgroups(tables: Sequence[SubgroupTable], positive: str) -> str:
    if not tables:
        return ""
    parts = []
    for found in tables:
        estimated = " (an estimate from the images, not a fact about people)" if found.is_estimated else ""
        rows: list[list[str | int]] = [
            [
                text(row.value) or "unknown",
                row.n,
                row.positives,
                *map(_shown, (row.auroc, row.sensitivity, row.specificity)),
            ]
            for row in found.rows
        ]
        parts += [f"### {code(found.column)}{estimated}", text(note_of(found))]
        parts.append(table(["", "images", text(positive), "AUROC", "sensitivity", "specificity"], rows))
    return section("Subgroups", *parts)


def _shortcuts(shortcuts: Sequence[Shortcut]) -> str:
    if not shortcuts:
        return ""
    told = [
        " ".join(map(sentence, filter(None, (f"{text(own.name)}: AUROC {_shown(own.auroc)}", *_explained(own)))))
        for own in shortcuts
    ]
    return section("Shortcuts", "What is reached without the lesion:", bullets(told))


def _explained(shortcut: Shortcut) -> tuple[str, str]:
    return text(shortcut.meaning), text(shortcut.verdict)


def _robustness(content: Content) -> str:
    if not content.robustness:
        return ""
    rows: list[list[str | int]] = [
        [
            f"{text(step.name)} {step.strength} ({text(step.setting)})",
            _shown(step.auroc),
            _lost(step.lost),
            _shown(step.flipped),
        ]
        for step in content.robustness
    ]
    return section("Robustness", table(["perturbation", "AUROC", "lost", "decisions changed"], rows))


def _lost(estimate: Estimate) -> str:
    word, shown = lost(estimate)
    return f"{_shown(shown)} more" if word == "more" else _shown(shown)


def _members(content: Content) -> str:
    if not content.members:
        return ""
    rows = [[text(own.name), _shown(own.auroc), _shown(own.contribution)] for own in content.members]
    return section("Members", table(["network", "AUROC alone", "contribution"], rows))


MODEL_CARD = "MODEL_CARD.md"
NOT_STATED = "Not stated."
REPRODUCE = ("command", "trained with", "evaluated with", "commit", "versions", "seed")
"""The facts that somebody needs to get the same figures."""
IN_CODE = ("command", "trained with", "evaluated with", "commit", "checkpoint", "run")


def model_card(content: Content, data_facts: Mapping[str, str]) -> str:
    """Return the card.

    Args:
        content: What the evaluation found.
        data_facts: What is to be said of the training images, by its label: `images`, `split`, `audit`, counts and
            the like, as plain text.
    """
    content = with_class_names(content)
    parts = [
        f"# Model card: {text(content.title)}",
        f"**{text(content.disclaimer)}**",
        *(f"**{text(warning)}**" for warning in content.warnings),
        _details(content),
        _use(content),
        section("Training data", _facts(data_facts)),
        _evaluation_data(content),
        *sections(content),
        _ethics(),
        section("Caveats and recommendations", bullets(map(text, (*limits(content), *content.notes)))),
        _reproduction(content),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(content: Content) -> str:
    negative, positive = map(text, content.class_names)
    known = {label: fact for label, fact in content.facts.items() if label not in REPRODUCE}
    members = [f"member: {code(member.name)}" for member in content.members]
    return section(
        "Model details",
        f"Tells {positive} from {negative} on images of single moles: it gives a probability of {positive} and "
        "decides by a threshold; both were fitted on validation images unless the facts below say otherwise.",
        _facts(known),
        bullets(members),
    )


def _use(content: Content) -> str:
    return section(
        "Intended use",
        "Research on and teaching of methods that tell images of moles apart, by people who can judge its figures.",
        "Not intended:",
        bullets(
            (
                "diagnosis, triage or advice on anyone's skin; it is no medical device and was not reviewed as one",
                "reassurance: an image that is called "
                f"{text(content.class_names[0])} may well be {text(content.class_names[1])}",
                "images unlike those it was trained on: other cameras, clinics or skin types; images by a phone "
                "without a dermatoscope where it was trained on dermatoscopy, and the other way round",
                "images of anything but one mole: it will give a probability all the same",
            )
        ),
    )


def _evaluation_data(content: Content) -> str:
    missing = "" if content.subgroups else "Of which people these images are is not known here."
    columns = ", ".join(code(table.column) for table in content.subgroups)
    return section(
        "Evaluation data",
        f"The {text(content.split)} images of {text(content.images)}: {text(counted(content))}.",
        f"Figures by {columns} are below." if columns else missing,
    )


def _ethics() -> str:
    return section(
        "Ethical considerations",
        "A missed melanoma can cost a life, a false alarm costs fear and a scar: the threshold weighs one against the "
        "other, and no figure here says how to. Images of skin are of people: whether they agreed to this use, and who "
        "is missing among them, is for the images' source to say.",
    )


def _reproduction(content: Content) -> str:
    return section(
        "How to reproduce", _facts({label: content.facts[label] for label in REPRODUCE if label in content.facts})
    )


def _facts(facts: Mapping[str, str]) -> str:
    shown = (f"{text(label)}: {code(fact) if label in IN_CODE else text(fact)}" for label, fact in facts.items())
    return bullets(shown) or NOT_STATED
