"""The evaluation's figures as files: the same content gives the same bytes."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from melanoma_pl.files import write_atomically
from melanoma_pl.report.content import Content
from melanoma_pl.report.figures.curves import precision_recall, roc
from melanoma_pl.report.figures.forest import robustness, shortcuts, subgroups
from melanoma_pl.report.figures.probabilities import probabilities, reliability

DRAWN: dict[str, Callable[[Content], Figure | None]] = {
    "roc": roc,
    "precision_recall": precision_recall,
    "probabilities": probabilities,
    "reliability": reliability,
    "subgroups": subgroups,
    "shortcuts": shortcuts,
    "robustness": robustness,
}
"""Each figure's name, which is its file's, too."""

DOTS_PER_INCH = 150
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "melanoma_pl",  # names within an SVG are drawn by chance without it
    "text.parse_math": False,  # a class or a column may hold dollars
}


def write_figures(content: Content, folder: Path) -> dict[str, str]:
    """Write `<name>.png` and `<name>.svg` of every figure that has something to show, each whole or not at all.

    Args:
        content: What is drawn.
        folder: Where they go; it is made if it is not there.

    Returns:
        Each written figure's SVG text by its name; without those that would show nothing, such as ROC of one class.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box stands for what the font lacks
        for name, draw in DRAWN.items():
            if figure := draw(content):
                written[name] = _write(figure, folder / name)
    return written


def _write(figure: Figure, path: Path) -> str:
    svg, png = io.StringIO(), io.BytesIO()
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
    figure.set_layout_engine(None)  # with one, each file would be laid out and drawn twice
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(png, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    with write_atomically(path.with_suffix(".svg")) as file:
        file.write(svg.getvalue())
    part = path.with_name(f".{path.name}.png.part")
    part.write_bytes(png.getvalue())
    part.replace(path.with_suffix(".png"))
    return svg.getvalue()
