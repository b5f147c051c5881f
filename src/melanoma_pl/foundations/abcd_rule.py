"""The ABCD rule measured on images: a simple outline of the mole, and four numbers computed from it.

The rule was made for the eye (Friedman, Rigel and Kopf, CA: A Cancer Journal for Clinicians 35, 1985). These measures
are the simplest that follow its words, and no published score.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from melanoma_pl.data.labelled_images import find_images
from melanoma_pl.data.synthetic.mole_drawing import IMAGE_MILLIMETRES, Mole, draw_image
from melanoma_pl.data.synthetic.synthetic_images import draw_mole
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import lab
from melanoma_pl.foundations.display import WIDTH, canvas, show_image
from melanoma_pl.image_files import open_image, to_rgb
from melanoma_pl.report.figures.canvas import BLUE, GREY, ORANGE

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

FOLDER_VARIABLE = "MELANOMA_IMAGES"
"""Environment variable with a folder of images of one's own, for the notebooks."""
LEVELS = {"asymmetry": (0.0, 0.45, 0.9), "border": (0.0, 0.5, 1.0), "colours": (1, 3, 6), "diameter": (3.0, 6.0, 9.0)}
PLAIN = Mole(asymmetry=0.0, border=0.0, colours=2, diameter=5.5)
DETAIL = 64  # sides of the image per smallest detail of an outline: hairs and noise are finer


class Measures(NamedTuple):
    """The four numbers of one image.

    Attributes:
        asymmetry: Fraction of the mole that its mirror image does not cover, mean over its two main axes; 0 to 1.
        border: Length of the outline divided by that of a disc of equal area; 1 for a disc.
        colours: Spread of the colours inside, the root mean square distance from their mean in CIELAB.
        diameter: Diameter of the disc of equal area in millimetres, if the image is as wide as assumed.
    """

    asymmetry: float
    border: float
    colours: float
    diameter: float


def outline_mole(image: NDArray[np.uint8]) -> Mask:
    """Return the pixels of the mole: those darker than Otsu's threshold, the largest region near the middle.

    Args:
        image: RGB, uint8 `(S, S, 3)`.

    Returns:
        bool `(S, S)`, without holes. Empty if nothing is darker than the rest.
    """
    size = len(image)
    smooth = ndimage.median_filter(lab(image)[..., 0], size=max(3, size // DETAIL * 2 + 1))  # removes thin hairs
    smooth = ndimage.gaussian_filter(smooth, size / (2 * DETAIL))
    rows, columns = np.indices(smooth.shape)
    radius = np.hypot(rows - (size - 1) / 2, columns - (size - 1) / 2) / (size / 2)
    inside = radius < 0.97  # a dermoscope's rim is dark too
    dark = (smooth < otsu_threshold(smooth[inside])) & inside
    regions, count = ndimage.label(ndimage.binary_opening(dark, iterations=max(1, size // DETAIL)))
    if count == 0:
        return np.zeros_like(dark)
    nearness = ndimage.sum_labels(np.clip(1 - radius, 0, None) ** 2, regions, np.arange(1, count + 1))
    return np.asarray(ndimage.binary_fill_holes(regions == 1 + int(nearness.argmax())))


def otsu_threshold(values: NDArray[np.floating]) -> float:
    """Return the threshold that leaves the least variance within two groups (Otsu, IEEE Trans. SMC 9, 1979)."""
    counts, edges = np.histogram(values, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.nan_to_num(between).argmax())])


def measure(image: NDArray[np.uint8], mole: Mask, millimetres: float = IMAGE_MILLIMETRES) -> Measures:
    """Measure the four traits of the rule.

    Args:
        image: RGB, uint8 `(S, S, 3)`.
        mole: Its pixels, bool `(S, S)`.
        millimetres: Width of the image. A camera seldom records it.

    Returns:
        All 0 if the mole has no pixels.
    """
    if not mole.any():
        return Measures(0.0, 0.0, 0.0, 0.0)
    area, pixel = mole.sum(), millimetres / len(image)
    # the total variation of a blurred region is the length of its outline
    blurred = ndimage.gaussian_filter(np.pad(mole, 4).astype(float), 1)
    length = np.hypot(*np.gradient(blurred)).sum()
    colours = lab(image[mole])
    spread = np.sqrt(((colours - colours.mean(axis=0)) ** 2).sum(axis=1).mean())
    return Measures(
        asymmetry=float(np.mean([1 - (mole & mirrored).sum() / area for mirrored in mirror_images(mole)])),
        border=float(length / np.sqrt(4 * np.pi * area)),
        colours=float(spread),
        diameter=float(2 * np.sqrt(area / np.pi) * pixel),
    )


def mirror_images(mole: Mask) -> list[Mask]:
    """Return a mole mirrored at its long and at its short axis through its centre, bool `(S, S)` each."""
    points = np.argwhere(mole)
    centre = points.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((points - centre).T) if len(points) > 2 else np.eye(2))
    found = []
    for axis in axes.T:
        turn = np.eye(2) - 2 * np.outer(axis, axis)
        found.append(ndimage.affine_transform(mole.astype(np.uint8), turn, centre - turn @ centre, order=0) > 0)
    return found


def measure_all(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Floats:
    """Return the four measures of each image, float64 `(N, 4)`, columns as in `Measures`."""
    return np.array([measure(image, outline_mole(image)) for image in images])


def standard_score(measures: Floats, reference: Floats) -> Floats:
    """Return the sum of the four measures in standard deviations of a reference, float64 `(N,)`; nothing is learnt.

    Args:
        measures: float64 `(N, 4)`.
        reference: float64 `(M, 4)`, the images that give mean and standard deviation.
    """
    return np.asarray(((measures - reference.mean(axis=0)) / reference.std(axis=0)).sum(axis=1))


def draw_examples(count: int, size: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw images of moles, benign and malignant in turn.

    Returns:
        uint8 `(count, size, size, 3)` and int64 `(count,)`, 1 for malignant.
    """
    targets = np.arange(count, dtype=np.int64) % 2
    moles = [draw_mole(bool(target), seed, index) for index, target in enumerate(targets)]
    return np.stack([draw_image(mole, seed, index, size) for index, mole in enumerate(moles)]), targets


def own_images(count: int, size: int) -> dict[str, NDArray[np.uint8]]:
    """Return images from the folder that the environment variable `MELANOMA_IMAGES` names, none without it.

    Args:
        count: Number of images, taken evenly from the sorted list.
        size: Side that they are resized to, pixels; the middle square of each is taken.

    Returns:
        Path within the folder → uint8 `(size, size, 3)`.

    Raises:
        UserError: If the folder does not exist.
    """
    if not (name := os.environ.get(FOLDER_VARIABLE)):
        return {}
    folder = Path(name)
    if not folder.is_dir():
        raise UserError(f"{FOLDER_VARIABLE}={name} is not a folder", "name a folder of images, or leave it unset")
    files, _ = find_images(folder)
    chosen = [files[position] for position in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    found = {}
    for file in chosen:
        with open_image(file) as opened:
            image = to_rgb(opened)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        found[file.relative_to(folder).as_posix()] = np.asarray(square)
    return found


def traits_figure(size: int = 224, seed: int = 15) -> Figure:
    """Draw one mole with each trait of the rule at three levels, two traits a row; the other traits stay the same."""
    figure, axes = canvas(6, width=WIDTH / 6, height=3.7, rows=2)
    for number, (trait, levels) in enumerate(LEVELS.items()):
        for ax, level in zip(axes[3 * number : 3 * number + 3], levels, strict=True):
            mole = replace(PLAIN, **{trait: level})  # type: ignore[arg-type]
            unit = " mm" if trait == "diameter" else ""
            show_image(ax, draw_image(mole, seed, 0, size), f"{trait} {level:g}{unit}")
    return figure


def measures_figure(images: Mapping[str, NDArray[np.uint8]]) -> Figure:
    """Draw images with the outline that was found, its mirror image at the long axis, and the four measures.

    Args:
        images: Title → uint8 `(S, S, 3)`.
    """
    figure, axes = canvas(len(images), width=WIDTH / max(6, len(images)), height=2.4)
    for ax, (title, image) in zip(axes, images.items(), strict=True):
        mole = outline_mole(image)
        found = measure(image, mole)
        show_image(ax, image, title)
        if mole.any():
            ax.contour(mole, [0.5], colors="white", linewidths=1.6)
            ax.contour(mirror_images(mole)[0], [0.5], colors="#f0e442", linewidths=1.3, linestyles="dotted")
        text = f"A {found.asymmetry:.2f}   B {found.border:.2f}\nC {found.colours:.1f}   D {found.diameter:.1f} mm"
        ax.set_xlabel(text, fontsize=9)
    return figure


def groups_figure(measures: Floats, targets: NDArray[np.int64], aurocs: Sequence[float]) -> Figure:
    """Draw the distribution of each measure for drawn benign and malignant moles, with its AUROC in the title.

    Args:
        measures: float64 `(N, 4)`.
        targets: int64 `(N,)`, 1 for malignant.
        aurocs: One a measure.
    """
    figure, axes = canvas(4, width=WIDTH / 4, height=2.9)
    for ax, name, values, value in zip(axes, Measures._fields, measures.T, aurocs, strict=True):
        _draw_groups(ax, values, targets)
        ax.set_title(f"{name}\nAUROC {value:.2f}", fontsize=10)
    axes[0].set_ylabel("drawn moles")
    axes[-1].legend(fontsize=8)
    return figure


def _draw_groups(ax: Axes, values: Floats, targets: NDArray[np.int64]) -> None:
    bins = np.linspace(float(np.quantile(values, 0.005)), float(np.quantile(values, 0.995)), 17)
    for target, (label, color) in enumerate((("benign", BLUE), ("malignant", ORANGE))):
        ax.hist(values[targets == target], bins=list(bins), color=color, alpha=0.6, label=label)
    ax.tick_params(labelsize=8)
    ax.spines["left"].set_color(GREY)
