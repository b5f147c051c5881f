"""The evaluation's figures inside its page: data URIs, with words for those who do not see them.

What a network is worth, as one page that needs nothing but itself: to be looked at, sent and kept.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.evaluation.metrics import Counts
from melanoma_pl.messages import amount, readable
from melanoma_pl.report import statements
from melanoma_pl.report.content import Content, Robustness, with_class_names
from melanoma_pl.report.figures.curves import PUBLISHED
from melanoma_pl.report.markup import write_html
from melanoma_pl.report.statements import has_maps, limits
from melanoma_pl.report.terminal import calibration_lines, decision_lines, ranking_lines, scales

SIZE = re.compile(r'viewBox="0 0 (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)"')
POINT = 96 / 72  # in CSS pixels

CAPTIONS = {
    "roc": (
        "ROC curve with the operating points of the chosen threshold and of 0.5",
        "Each threshold is a point of the curve: further up, more {positive} images are found; further left, fewer "
        "{negative} ones are called {positive}. Crosses are 95 % intervals.",
    ),
    "precision_recall": (
        "Precision-recall curve with the share of {positive} images as a line",
        "How many of the images that are called {positive} are {positive}, as more and more {positive} ones are found.",
    ),
    "probabilities": (
        "Histograms of the probabilities of both classes with the threshold",
        "Right of the dashed threshold an image is called {positive}. The less both overlap, the better.",
    ),
    "reliability": (
        "Reliability diagram before and after temperature scaling with 95 % intervals",
        "On the dotted line probabilities mean what they say; below it they are too high. Bars are 95 % intervals.",
    ),
    "subgroups": (
        "AUROC, sensitivity and specificity of each subgroup with 95 % intervals; the tables say the same",
        "Dashed: all images. Dotted: a guess. A dash: too small, or not computable; the tables say why.",
    ),
    "shortcuts": (
        "AUROC of each shortcut beside that of whole images; the list says the same",
        "Dashed: whole images. Dotted: a guess. An orange-red diamond is what the result may come from, a blue dot is "
        "not. Bars are 95 % intervals.",
    ),
    "robustness": (
        "AUROC by perturbation and strength with 95 % intervals; the table says the same",
        "Dashed: images as they are. Bars are 95 % intervals.",
    ),
}
"""Of each figure, what stands for it where it is not seen, and what stands below it; with gaps for class names."""


@dataclass(frozen=True)
class Drawing:
    """A figure that travels inside a page; sizes in CSS pixels."""

    uri: str
    width: int
    height: int
    alternative: str
    caption: str


def drawings(figures: Mapping[str, str], class_names: tuple[str, str]) -> dict[str, Drawing]:
    """Return the figures as images: side by side their inner names cannot clash.

    Args:
        figures: SVG by its name.
        class_names: Negative class, positive class.
    """
    negative, positive = map(readable, class_names)
    named = {name: [told.format(negative=negative, positive=positive) for told in CAPTIONS[name]] for name in figures}
    return {name: _drawing(svg, *named[name]) for name, svg in figures.items()}


def _drawing(svg: str, alternative: str, caption: str) -> Drawing:
    size = SIZE.search(svg)
    if size is None:
        raise ValueError("the figure's SVG has no viewBox")
    width, height = (round(float(side) * POINT) for side in size.groups())
    uri = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    return Drawing(uri, width, height, alternative, caption)


REPORT_PAGE = "report.html"
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
    return write_html(folder / REPORT_PAGE, TEMPLATE, _context(content, figures))


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
        "words": statements,
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
        "sets": [(own.title, amount(own.decisions.counts.n, "image")) for own in content.sets],
        "thresholds": [statements.named(own) for own in content.decisions],
        "temperatures": list(scales(content)),
    }


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _matrix(counts: Counts) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return images of the positive class, then of the other: called positive, called negative."""
    return (counts.true_positives, counts.false_negatives), (counts.false_positives, counts.true_negatives)


def _by_name(steps: tuple[Robustness, ...]) -> dict[str, list[Robustness]]:
    found: dict[str, list[Robustness]] = {}
    for step in steps:
        found.setdefault(step.name, []).append(step)
    return found
