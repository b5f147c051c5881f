"""What a network is worth, as one page that needs nothing but itself: to be looked at, sent and kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from melanoma_pl.evaluation.metrics import Counts
from melanoma_pl.reporting.evaluation import statements, words
from melanoma_pl.reporting.evaluation.content import Content, Robustness
from melanoma_pl.reporting.evaluation.drawings import drawings
from melanoma_pl.reporting.evaluation.limits import has_maps, limits
from melanoma_pl.reporting.evaluation.naming import with_class_names
from melanoma_pl.reporting.evaluation.published import PUBLISHED
from melanoma_pl.reporting.evaluation.tables import calibration_lines, decision_lines, ranking_lines, scales
from melanoma_pl.reporting.html import write_html
from melanoma_pl.reporting.words import amount, readable

FILE_NAME = "report.html"
TEMPLATE = "evaluation.html.j2"


def write_page(content: Content, figures: Mapping[str, str], folder: Path) -> Path:
    """Write `report.html`, whole or not at all.

    Args:
        content: What was found.
        figures: SVG text by name, as `write_figures` returns them; those that are missing are left out.
        folder: Where the page goes; it is made if it is not there.

    Returns:
        The page's path.
    """
    return write_html(folder / FILE_NAME, TEMPLATE, _context(content, figures))


def _context(content: Content, figures: Mapping[str, str]) -> dict[str, Any]:
    content = with_class_names(content)
    negative, positive = map(readable, content.class_names)
    mistakes = {
        f"{_capital(positive)}, called {negative}": (
            "false-negatives",
            content.false_negatives,
            content.wrong.false_negatives,
        ),
        f"{_capital(negative)}, called {positive}": (
            "false-positives",
            content.false_positives,
            content.wrong.false_positives,
        ),
    }
    return {
        "content": content,
        "words": words,
        "statements": statements,
        "amount": amount,
        "main": content.sets[0] if content.sets else None,
        "chosen": content.decisions[0].name if content.decisions else "",
        "drawings": drawings(figures, content.class_names),
        "published": PUBLISHED,
        "columns": _columns(content),
        "ranking": ranking_lines(content),
        "decisions": decision_lines(content),
        "calibration": calibration_lines(content),
        "matrices": [
            (statements.named(own)[0], _matrix(own.counts)) for own in content.decisions if own.threshold is not None
        ],
        "problems": sum(shortcut.is_problem for shortcut in content.shortcuts),
        "perturbations": _by_name(content.robustness),
        "mistakes": {title: own for title, own in mistakes.items() if own[1]},
        "has_maps": has_maps(content),
        "limits": limits(content),
    }


def _columns(content: Content) -> dict[str, list[tuple[str, str]]]:
    """Return the name of each table's columns, and what stands below it."""
    return {
        "sets": [(own.title, amount(own.decisions.counts.n, "photo")) for own in content.sets],
        "thresholds": [statements.named(own) for own in content.decisions],
        "temperatures": list(scales(content)),
    }


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _matrix(counts: Counts) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return photos of the positive class, then of the other: called positive, called negative."""
    return (counts.true_positives, counts.false_negatives), (counts.false_positives, counts.true_negatives)


def _by_name(steps: tuple[Robustness, ...]) -> dict[str, list[Robustness]]:
    found: dict[str, list[Robustness]] = {}
    for step in steps:
        found.setdefault(step.name, []).append(step)
    return found
