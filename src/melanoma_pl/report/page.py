"""The evaluation's page, one self-contained HTML file, and its figures, as files and embedded in the page."""

import base64
import io
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from melanoma_pl.files import write_atomically
from melanoma_pl.messages import amount, readable
from melanoma_pl.report import measures, statements
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures.curves import PUBLISHED, precision_recall, probabilities, reliability, roc
from melanoma_pl.report.figures.forest import robustness, shortcuts, subgroups
from melanoma_pl.report.markup import write_html

REPORT_PAGE = "report.html"
SIZE = re.compile(r'viewBox="0 0 (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)"')
POINT = 96 / 72  # in CSS pixels

PNG_DOTS_PER_INCH = 150
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # included in matplotlib, so the same everywhere
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "melanoma_pl",  # without it, the names within an SVG are random
    "text.parse_math": False,  # names of classes and columns may contain dollar signs
}
FIGURES: dict[str, tuple[Callable[[Content], Figure | None], str, str]] = {
    "roc": (
        roc,
        "ROC curve with the operating points of the chosen threshold and of 0.5",
        "Each point of the curve is a threshold. Higher points find more {positive} images; points further left call "
        "fewer {negative} images {positive}. Crosses show 95 % confidence intervals.",
    ),
    "precision_recall": (
        precision_recall,
        "Precision-recall curve with the proportion of {positive} images as a line",
        "Proportion of images called {positive} that are {positive}, as a function of the proportion of {positive} "
        "images found.",
    ),
    "probabilities": (
        probabilities,
        "Histograms of the probabilities of both classes with the threshold",
        "Images to the right of the dashed threshold are called {positive}. The less the histograms overlap, the "
        "better the discrimination.",
    ),
    "reliability": (
        reliability,
        "Reliability diagram before and after temperature scaling with 95 % confidence intervals",
        "On the dotted line, probabilities equal observed frequencies; below it they are too high. Bars show 95 % "
        "confidence intervals.",
    ),
    "subgroups": (
        subgroups,
        "AUROC, sensitivity and specificity of each subgroup with 95 % confidence intervals, as in the tables",
        "Dashed: all images. Dotted: chance level. A dash marks a subgroup that is too small or not computable; the "
        "tables give the reason.",
    ),
    "shortcuts": (
        shortcuts,
        "AUROC of each shortcut and of whole images, as in the list",
        "Dashed: whole images. Dotted: chance level. Orange-red diamonds mark shortcuts that may explain the result; "
        "blue dots do not. Bars show 95 % confidence intervals.",
    ),
    "robustness": (
        robustness,
        "AUROC by perturbation and strength with 95 % confidence intervals, as in the table",
        "Dashed: original images. Bars show 95 % confidence intervals.",
    ),
}
"""The function that draws each figure, its alternative text and its caption, with placeholders for class names."""


@dataclass(frozen=True)
class Drawing:
    """A figure embedded in a page; sizes in CSS pixels."""

    uri: str
    width: int
    height: int
    alternative: str
    caption: str


def write_figures(content: Content, folder: Path) -> dict[str, str]:
    """Write `<name>.png` and `<name>.svg` of every figure that has something to show, each whole or not at all.

    Args:
        content: Content of the report.
        folder: Folder of the files, created if necessary.

    Returns:
        SVG text of each written figure by its name; figures such as the ROC curve of one class are missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box replaces missing letters
        for name, (draw, *_) in FIGURES.items():
            if figure := draw(content):
                written[name] = _write(figure, folder / name)
    return written


def _write(figure: Figure, path: Path) -> str:
    svg, png = io.StringIO(), io.BytesIO()
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    figure.set_layout_engine(None)  # otherwise each file would be laid out again
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=PNG_DOTS_PER_INCH, metadata={"Software": None})
    with write_atomically(path.with_suffix(".svg")) as file:
        file.write(svg.getvalue())
    part = path.with_name(f".{path.name}.png.part")
    part.write_bytes(png.getvalue())
    part.replace(path.with_suffix(".png"))
    return svg.getvalue()


def write_page(content: Content, figures: Mapping[str, str], folder: Path) -> Path:
    """Write `report.html`, whole or not at all.

    Args:
        content: Content of the report.
        figures: SVG of each figure by its name; missing ones are left out.
        folder: Folder of the page, created if necessary.

    Returns:
        Path of the page.
    """
    negative, positive = map(readable, content.class_names)
    false_negatives, false_positives = content.confusion.false_negatives, content.confusion.false_positives
    blocks = (
        (
            "false-negatives",
            f"False negatives: {positive}, called {negative}",
            content.false_negatives,
            false_negatives,
        ),
        (
            "false-positives",
            f"False positives: {negative}, called {positive}",
            content.false_positives,
            false_positives,
        ),
    )
    context = {
        "content": content,
        "measures": measures,
        "statements": statements,
        "amount": amount,
        "drawings": drawings(figures, content.class_names),
        "set_columns": [(own.title, amount(own.decisions.counts.n, "image")) for own in content.sets],
        "decision_columns": [statements.named(own) for own in content.decisions],
        "published": PUBLISHED,
        "problems": sum(shortcut.is_problem for shortcut in content.shortcuts),
        "perturbations": {name: list(steps) for name, steps in groupby(content.robustness, lambda step: step.name)},
        "mistakes": [block for block in blocks if block[2]],
    }
    return write_html(folder / REPORT_PAGE, "evaluation.html.j2", context)


def drawings(figures: Mapping[str, str], class_names: tuple[str, str]) -> dict[str, Drawing]:
    """Return the figures as data URIs, whose inner names cannot clash, with their captions.

    Args:
        figures: SVG of each figure by its name.
        class_names: Names of the negative and the positive class.
    """
    negative, positive = map(readable, class_names)
    found = {}
    for name, svg in figures.items():
        size = SIZE.search(svg)
        if size is None:
            raise ValueError("the figure's SVG has no viewBox")
        width, height = (round(float(side) * POINT) for side in size.groups())
        uri = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
        texts = (text.format(negative=negative, positive=positive) for text in FIGURES[name][1:])
        found[name] = Drawing(uri, width, height, *texts)
    return found
