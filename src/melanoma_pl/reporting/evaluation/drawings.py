"""The evaluation's figures inside its page: data URIs, with words for those who do not see them."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass

from melanoma_pl.reporting.words import readable

SIZE = re.compile(r'viewBox="0 0 (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)"')
POINT = 96 / 72  # in CSS pixels

CAPTIONS = {
    "roc": (
        "ROC curve with the operating points of the chosen threshold and of 0.5",
        "Each threshold is a point of the curve: further up, more {positive} photos are found; further left, fewer "
        "{negative} ones are called {positive}. Crosses are 95 % intervals.",
    ),
    "precision_recall": (
        "Precision-recall curve with the share of {positive} photos as a line",
        "How many of the photos that are called {positive} are {positive}, as more and more {positive} ones are found.",
    ),
    "probabilities": (
        "Histograms of the probabilities of both classes with the threshold",
        "Right of the dashed threshold a photo is called {positive}. The less both overlap, the better.",
    ),
    "reliability": (
        "Reliability diagram before and after temperature scaling with 95 % intervals",
        "On the dotted line probabilities mean what they say; below it they are too high. Bars are 95 % intervals.",
    ),
    "subgroups": (
        "AUROC, sensitivity and specificity of each subgroup with 95 % intervals; the tables say the same",
        "Dashed: all photos. Dotted: a guess. A dash: too small, or not computable; the tables say why.",
    ),
    "shortcuts": (
        "AUROC of each shortcut beside that of whole photos; the list says the same",
        "Dashed: whole photos. Dotted: a guess. An orange-red diamond is what the result may come from, a blue dot is "
        "not. Bars are 95 % intervals.",
    ),
    "robustness": (
        "AUROC by perturbation and strength with 95 % intervals; the table says the same",
        "Dashed: photos as they are. Bars are 95 % intervals.",
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
