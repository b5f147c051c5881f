"""The model card's figures, every one with its interval or with the reason why there is none."""

from collections.abc import Iterable, Sequence

from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.reporting.evaluation.content import Content, Shortcut, SubgroupTable
from melanoma_pl.reporting.evaluation.statements import calibration_verdict, named, note_of
from melanoma_pl.reporting.evaluation.tables import Line, calibration_lines, decision_lines, ranking_lines, scales
from melanoma_pl.reporting.evaluation.words import lost, sentence, told
from melanoma_pl.reporting.markdown import bullets, code, section, table, text


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
        ["photos", f"called {positive}", f"called {negative}"],
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
        estimated = " (an estimate from the photos, not a fact about people)" if found.is_estimated else ""
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
        parts.append(table(["", "photos", text(positive), "AUROC", "sensitivity", "specificity"], rows))
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
