"""Files of the figures; the same content gives the same bytes."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from melanoma_pl.files import write_atomically
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures.curves import precision_recall, probabilities, reliability, roc
from melanoma_pl.report.figures.forest import robustness, shortcuts, subgroups

FIGURES: dict[str, Callable[[Content], Figure | None]] = {
    "roc": roc,
    "precision_recall": precision_recall,
    "probabilities": probabilities,
    "reliability": reliability,
    "subgroups": subgroups,
    "shortcuts": shortcuts,
    "robustness": robustness,
}
"""The function that draws each figure, by the name of its files."""

PNG_DOTS_PER_INCH = 150
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # included in matplotlib, so the same everywhere
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "melanoma_pl",  # without it, the names within an SVG are random
    "text.parse_math": False,  # names of classes and columns may contain dollar signs
}


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
        for name, draw in FIGURES.items():
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
