"""The files of heat maps: a name for each image, and a figure with the decision and a colour legend. Light."""

import os
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image as PillowImage
    from PIL.ImageFont import FreeTypeFont

    from melanoma_pl.inference.prediction import Classifier, Prediction

SMALLEST, LARGEST = 480, 1024  # pixels: bounds of the longer side of an image in its figure
INK, ALARM, PAPER = "#1a1a1a", "#a11d1d", "white"
LINES = 34  # height of the plain text in a figure's width
SMALLEST_LETTERS = 7  # pixels: names that need smaller ones are cut off


def heat_map_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return each image's heat map file, `<name of the image>.png`; different images have different files.

    The images' folders are kept below `folder`. Images of one folder whose names differ in their ending alone keep it:
    `a_jpg.png` and `a_png.png`. Upper and lower case do not distinguish files, since some disks do not.

    Args:
        paths: The images; one that is named twice has one file.
        folder: The folder of the heat maps.
    """
    parents = [path.resolve().parent for path in paths]
    try:
        common = os.path.commonpath(parents)
    except ValueError:  # no images, or images on two drives of Windows
        common = ""
    images = dict.fromkeys(parent / path.name for path, parent in zip(paths, parents, strict=True))
    stems = {image: folder / image.parent.relative_to(common or image.anchor) / image.stem for image in images}
    same = Counter(str(stem).casefold() for stem in stems.values())
    files: dict[Path, Path] = {}
    taken: set[str] = set()
    for image, stem in stems.items():
        ending = f"_{image.suffix[1:]}" if same[str(stem).casefold()] > 1 and image.suffix else ""
        numbers = ("" if number == 1 else f"_{number}" for number in count(1))
        names = (stem.with_name(f"{stem.name}{ending}{number}.png") for number in numbers)
        files[image] = next(name for name in names if str(name).casefold() not in taken)
        taken.add(str(files[image]).casefold())
    return [files[parent / path.name] for path, parent in zip(paths, parents, strict=True)]


def write_heat_map(
    classifier: "Classifier", prediction: "Prediction", target: Path, names: tuple[str, str]
) -> Path | None:
    """Write a figure of an image file: its heat map laid over it, and below it the decision and a colour legend.

    Args:
        classifier: In evaluation mode.
        prediction: Its prediction of the image.
        target: Path of the PNG file; its folder is created if necessary.
        names: Names of the two decisions, benign first.

    Returns:
        The written file; None if the image is broken or was not predicted from a file.

    Raises:
        ValueError: If the network has no convolution.
    """
    import numpy as np
    from PIL import Image

    from melanoma_pl.image_files import draft, open_image, to_rgb
    from melanoma_pl.inference.heat_maps import heat_maps, overlay

    if prediction.pixels is None or prediction.path is None:
        return None
    heat = heat_maps(classifier, prediction.pixels[None], [prediction.is_malignant])[0]
    with open_image(prediction.path) as file:
        draft(file, LARGEST // 2)
        image = to_rgb(file)
    image.thumbnail((LARGEST, LARGEST), reducing_gap=2.0)
    if (enlarged := SMALLEST / max(image.size)) > 1:  # otherwise the text would be wider than the image
        sides = (max(round(enlarged * side), 1) for side in image.size)
        image = image.resize((next(sides), next(sides)), Image.Resampling.BICUBIC)
    # the network saw the image squeezed into a square: stretch the map to the image's shape
    stretched = np.asarray(Image.fromarray(heat).resize(image.size, Image.Resampling.BILINEAR)).clip(0, 1)
    pixels = np.asarray(image)
    laid = Image.fromarray(overlay(pixels, stretched))
    scale = np.broadcast_to(pixels.mean(axis=(0, 1)).astype(np.uint8), (1, 256, 3))  # the colours as they are seen here
    legend = overlay(scale, np.linspace(0, 1, 256, dtype=np.float32)[None]) if heat.any() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    _captioned(laid, prediction, names, legend).save(target)
    return target


def _captioned(
    image: "PillowImage", prediction: "Prediction", names: tuple[str, str], legend: "NDArray[np.uint8] | None"
) -> "PillowImage":
    """Return an image above its decision, its probability with the threshold, and the legend.

    Args:
        image: The image under its heat map.
        prediction: The prediction.
        names: Names of the two decisions, benign first.
        legend: Colours from no support to the strongest, uint8 `(1, 256, 3)`; None if the map is empty.
    """
    from PIL import Image, ImageDraw

    width = max(image.width, SMALLEST)
    margin, size = width // 40, width / LINES
    lines = [
        (names[prediction.is_malignant], 1.5 * size, True, INK),
        (_numbers(prediction, names[1]), size, False, INK),
    ]
    if prediction.is_ood:
        lines.append(("out of distribution: do not rely on this number", size, False, ALARM))
    if legend is None:
        lines.append(("no region supports this decision", size, False, INK))
    heights = [round(1.45 * height) for _, height, _, _ in lines]
    bar = 0 if legend is None else round(1.45 * size)
    figure = Image.new("RGB", (width, image.height + 2 * margin + sum(heights) + bar), PAPER)
    figure.paste(image, ((width - image.width) // 2, 0))
    draw, top = ImageDraw.Draw(figure), image.height + margin
    for (text, height, bold, colour), step in zip(lines, heights, strict=True):
        font = _font(text, height, bold, width - 2 * margin)
        draw.text((margin, top + step / 2), text, fill=colour, font=font, anchor="lm")
        top += step
    if legend is not None:
        words, end = "support for this decision: none", "strongest"
        font = _font(f"{words}{end}", size, False, round(0.72 * width))
        left, right = margin + font.getlength(f"{words} "), width - margin - font.getlength(f" {end}")
        draw.text((margin, top + bar / 2), words, fill=INK, font=font, anchor="lm")
        draw.text((width - margin, top + bar / 2), end, fill=INK, font=font, anchor="rm")
        colours = Image.fromarray(legend).resize((round(right - left), round(0.7 * bar)), Image.Resampling.BILINEAR)
        figure.paste(colours, (round(left), round(top + 0.15 * bar)))
    return figure


def _numbers(prediction: "Prediction", malignant: str) -> str:
    """Return probability and threshold, with as many digits as tell them apart."""
    probability, threshold = prediction.probability or 0.0, prediction.threshold
    digits = 3 if f"{probability:.3f}" != f"{threshold:.3f}" else 6
    return f"probability of {malignant} {probability:.{digits}f}, threshold {threshold:.{digits}f}"


def _font(text: str, size: float, bold: bool, width: float) -> "FreeTypeFont":
    """Return the font that comes with matplotlib, at a size in pixels, or at a smaller one in which the text fits."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    file = Path(get_data_path(), "fonts/ttf", f"DejaVuSans{'-Bold' * bold}.ttf")
    font = ImageFont.truetype(file, size)
    if (length := font.getlength(text)) > width:
        font = ImageFont.truetype(file, max(size * width / length, SMALLEST_LETTERS))
    return font
