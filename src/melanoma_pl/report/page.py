"""The page of an evaluation, one self-contained HTML file with its figures, and the model card."""

import base64
import io
import multiprocessing
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from melanoma_pl.errors import STOPPING
from melanoma_pl.files import copy, replacement, write_atomically
from melanoma_pl.machine_limits import usable_cores
from melanoma_pl.messages import amount
from melanoma_pl.report import wording
from melanoma_pl.report.content import CHANCE, SIMILARITY_BANDS, Content
from melanoma_pl.report.figures.consequences import in_people, net_benefit, risk_coverage
from melanoma_pl.report.figures.curves import PUBLISHED, precision_recall, probabilities, reliability, roc
from melanoma_pl.report.figures.epochs import learning_curves, stacked_learning_curves
from melanoma_pl.report.figures.forest import image_sets, robustness, shortcuts, subgroups
from melanoma_pl.report.markup import EmbeddedImage, render_markdown, write_html
from melanoma_pl.report.verdict import further_warnings, verdict

REPORT_PAGE, MODEL_CARD = "report.html", "MODEL_CARD.md"
SIZE = re.compile(r'viewBox="0 0 (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)"')
POINT = 96 / 72  # in CSS pixels

MOST_PROCESSES = 4  # that draw: the slowest figures take a fifth of the time of all
LONGEST = 120.0  # seconds to wait for them: drawing takes a few
PNG_DOTS_PER_INCH = 150
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # included in matplotlib, so the same everywhere
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "melanoma_pl",  # without it, the names within an SVG are random
    "text.parse_math": False,  # names of classes and columns may contain dollar signs
}
OF_TRAINING = {"learning_curves", "learning_curves_stacked"}  # the same in the reports of all splits
FIGURES: dict[str, Callable[[Content], Figure | None]] = {
    "learning_curves": learning_curves,
    "learning_curves_stacked": stacked_learning_curves,
    "roc": roc,
    "precision_recall": precision_recall,
    "probabilities": probabilities,
    "in_people": in_people,
    "net_benefit": net_benefit,
    "risk_coverage": risk_coverage,
    "image_sets": image_sets,
    "reliability": reliability,
    "subgroups": subgroups,
    "shortcuts": shortcuts,
    "robustness": robustness,
}


class FigureWriter:
    """Writes `<name>.png` and `<name>.svg` of every figure that has something to show, each whole or not at all.

    On Linux, copies of this process draw them while it goes on: matplotlib cannot draw in several threads.

    Args:
        content: Content of the report.
        folder: Folder of the files, created if necessary.
        earlier: What draws the figures of another split; those of the same training are taken from there.
    """

    def __init__(self, content: Content, folder: Path, earlier: "FigureWriter | None" = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.content, self.folder, self.drawn = content, folder, dict[str, str]()
        self._earlier = earlier if earlier and earlier.content.experiments == content.experiments else None
        self._names = [name for name in FIGURES if not (self._earlier and name in OF_TRAINING)]
        self._write = partial(_write_figure, content, folder)
        self._written: Iterator[str | None] = map(self._write, self._names)
        if sys.platform != "linux" or multiprocessing.current_process().daemon or usable_cores() == 1:
            return
        copies = ProcessPoolExecutor(
            min(usable_cores(), MOST_PROCESSES), multiprocessing.get_context("fork"), initializer=_let_signals_end
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of locks that other threads may hold; what draws takes none of theirs
            warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
            self._written = copies.map(self._write, self._names, timeout=LONGEST)
        copies.shutdown(wait=False)

    def finish(self) -> dict[str, str]:
        """Wait for the figures, those of the earlier split first.

        Returns:
            SVG text of each written figure by its name; figures such as the ROC curve of one class are missing.
        """
        try:
            written = list(self._written)
        except (OSError, BrokenProcessPool):  # the copies were killed, or have no memory or no time
            written = list(map(self._write, self._names))
        drawn = dict(zip(self._names, written, strict=True))
        if (earlier := self._earlier) is not None:
            for name in earlier.drawn.keys() & OF_TRAINING:
                drawn[name] = earlier.drawn[name]
                for ending in (".svg", ".png"):
                    copy(earlier.folder / f"{name}{ending}", self.folder / f"{name}{ending}")
        self.drawn = {name: svg for name in FIGURES if (svg := drawn.get(name)) is not None}
        return self.drawn


def _let_signals_end() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def _write_figure(content: Content, folder: Path, name: str) -> str | None:
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box replaces missing letters
        figure = FIGURES[name](content)
        return None if figure is None else _write(figure, folder / name)


def write_figures(content: Content, folder: Path) -> dict[str, str]:
    """Write all figures; arguments and return value as of `FigureWriter`."""
    return FigureWriter(content, folder).finish()


def _write(figure: Figure, path: Path) -> str:
    svg, png = io.StringIO(), io.BytesIO()
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    figure.set_layout_engine(None)  # otherwise each file would be laid out again
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=PNG_DOTS_PER_INCH, metadata={"Software": None})
    with write_atomically(path.with_suffix(".svg")) as file:
        file.write(svg.getvalue())
    with replacement(path.with_suffix(".png")) as part:
        part.write_bytes(png.getvalue())
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
    context = {
        **_context(content),
        "drawings": {name: drawing(svg) for name, svg in figures.items()},
        "set_columns": [(own.title, amount(own.decisions.counts.n, "image")) for own in content.sets],
        "published": PUBLISHED if content.shows_published else (),
        "above_chance": _above_chance,
        "bands": SIMILARITY_BANDS,
    }
    return write_html(folder / REPORT_PAGE, "evaluation.html.j2", context)


def drawing(svg: str) -> EmbeddedImage:
    """Return a figure as a data URI, so that names within it cannot clash with those of others."""
    size = SIZE.search(svg)
    if size is None:
        raise ValueError("the figure's SVG has no viewBox")
    width, height = (round(float(side) * POINT) for side in size.groups())
    return EmbeddedImage(f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}", width, height)


def model_card(content: Content, data_facts: Mapping[str, str], curves: str = "") -> str:
    """Return the model card in Markdown: purpose, training data, performance with intervals, and limits.

    Args:
        content: Content of the report.
        data_facts: Facts about the training images by label (`images`, `split`, `audit`), as plain text.
        curves: Path of the figure of the learning curves relative to the card; empty if there is none.
    """
    return render_markdown("model_card.md.j2", **_context(content), data_facts=data_facts, curves=curves)


def _context(content: Content) -> dict[str, Any]:
    """Return the variables that the templates of page and model card share."""
    facts = [own.facts for own in content.experiments]
    labels = list(dict.fromkeys(label for own in facts for label in own))
    common = {label: facts[0][label] for label in labels if len({own.get(label) for own in facts}) == 1}
    return {
        "content": content,
        "wording": wording,
        "verdict": verdict(content),
        "further_warnings": further_warnings(content),
        "decision_columns": list(map(wording.named, content.decisions)),
        "common_facts": common,
        "differing_facts": [label for label in labels if label not in common],
    }


def _above_chance(auroc: float) -> float:
    """Return how far an AUROC lies between chance level and 1, in percent."""
    return min(max((auroc - CHANCE) / (1 - CHANCE), 0.0), 1.0) * 100
