"""Images of one lesion on both sides of a split: the gain of a model that memorises its training images."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from melanoma_pl.data.splits import cut_fraction
from melanoma_pl.data.synthetic.mole_drawing import draw_image
from melanoma_pl.data.synthetic.synthetic_images import draw_mole
from melanoma_pl.foundations.display import canvas
from melanoma_pl.report.figures.canvas import GREEN, GREY, RED

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TREES = 100
SHADES = 8  # bins of each of the histogram's three axes
SHADE_RANGES = ((-2.4, 0.2), (-1.2, 1.6), (-1.2, 1.2))  # darkness, red against green, blue against green
VALIDATION_FRACTION = 0.2


def draw_lesions(lesions: int, images_each: int, size: int, seed: int) -> NDArray[np.uint8]:
    """Draw several images of each lesion: the same mole, turned, on other skin and in other light.

    Args:
        lesions: Number of lesions; those of odd index are malignant.
        images_each: Images per lesion.
        size: Side of the images, pixels.
        seed: Seed of the lesions.

    Returns:
        uint8 `(lesions, images_each, size, size, 3)`.
    """
    moles = [draw_mole(lesion % 2 == 1, seed, lesion) for lesion in range(lesions)]
    views = range(images_each)
    return np.array([[draw_image(mole, seed, index, size, view) for view in views] for index, mole in enumerate(moles)])


def colour_histograms(pixels: NDArray[np.uint8]) -> Floats:
    """Return the frequency of each colour, relative to the bright parts of the image.

    A histogram does not change if the mole is turned or shifted, and most of the skin and of the light cancels. The
    remainder tells lesions apart.

    Args:
        pixels: uint8 `(N, S, S, 3)`.

    Returns:
        Square roots of fractions, float64 `(N, 512)`.
    """
    logarithms = np.log(pixels.reshape(len(pixels), -1, 3) / 255 + 0.03)  # (N, S², 3)
    relative = logarithms - np.quantile(logarithms, 0.8, axis=1)[:, None]
    red, green, blue = np.moveaxis(relative, -1, 0)
    shades = np.stack([relative.mean(axis=-1), 2 * (red - green), 2 * (blue - green)], axis=-1)
    counts = [np.histogramdd(each, bins=SHADES, range=SHADE_RANGES)[0].ravel() for each in shades]
    fractions: Floats = np.stack(counts) / shades.shape[1]
    return np.sqrt(fractions)


def memoriser_accuracy(features: Floats, targets: Integers, lesions: Integers, by_lesion: bool, seed: int) -> float:
    """Return the validation accuracy of trees that are grown until they have memorised every training image.

    Args:
        features: float64 `(N, K)`.
        targets: int64 `(N,)`, both classes.
        lesions: int64 `(N,)`.
        by_lesion: Whether all images of a lesion stay on one side of the split; otherwise the split is by image.
        seed: Seed of the split and of the trees.
    """
    groups = tuple(map(str, lesions)) if by_lesion else None
    is_held_out = cut_fraction(targets, groups, VALIDATION_FRACTION, seed, "validation", "draw more lesions")
    trees = ExtraTreesClassifier(TREES, random_state=seed).fit(features[~is_held_out], targets[~is_held_out])
    return float(np.mean(trees.predict(features[is_held_out]) == targets[is_held_out]))


def random_targets(lesions: Integers, seed: int) -> Integers:
    """Return targets that are independent of the images: 1 for a random half of the lesions, int64 `(N,)`.

    Args:
        lesions: Number of the lesion that each image shows, from 0, int64 `(N,)`.
        seed: Seed of the choice.
    """
    return np.random.default_rng(seed).permutation(np.arange(lesions.max() + 1) % 2)[lesions]


def measure_leak(pixels: NDArray[np.uint8], repeats: int, randomise: bool = False) -> dict[str, Floats]:
    """Return the accuracies of the memorising trees for both ways to split.

    Args:
        pixels: Images of lesions as `draw_lesions` returns them, uint8 `(L, V, S, S, 3)`.
        repeats: Number of splits, each with its own seed.
        randomise: Whether to replace the true labels by `random_targets`; an honest test must then find 0.5.

    Returns:
        `image by image` and `lesion by lesion`, float64 `(repeats,)` each.
    """
    lesions = np.repeat(np.arange(len(pixels)), pixels.shape[1])
    features = colour_histograms(pixels.reshape(-1, *pixels.shape[2:]))
    targets = [random_targets(lesions, seed) if randomise else lesions % 2 for seed in range(repeats)]

    def accuracies(by_lesion: bool) -> Floats:
        return np.array([memoriser_accuracy(features, targets[s], lesions, by_lesion, s) for s in range(repeats)])

    return {"image by image": accuracies(by_lesion=False), "lesion by lesion": accuracies(by_lesion=True)}


def leak_figure(measured: Mapping[str, Mapping[int, Mapping[str, Floats]]]) -> Figure:
    """Draw accuracies for both ways to split, one field per title: a dot per split, a bar for their mean.

    Args:
        measured: Title → images per lesion → way to split → float64 `(repeats,)`.
    """
    figure, axes = canvas(len(measured), width=3.9, height=2.8, sharey=True)
    for ax, (title, by_count) in zip(axes, measured.items(), strict=True):
        for position, by_way in enumerate(by_count.values()):
            for (way, values), offset, color in zip(by_way.items(), (-0.17, 0.17), (RED, GREEN), strict=True):
                centre, label = position + offset, f"split {way}" if position == 0 else None
                ax.plot(np.full(len(values), centre), values, "o", color=color, markersize=3, alpha=0.4)
                bar = (centre - 0.13, centre + 0.13), (values.mean(), values.mean())
                ax.plot(*bar, color=color, linewidth=3, label=label)
        ax.set_xticks(range(len(by_count)), [f"{count} images per lesion" for count in by_count])
        ax.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_title(title, fontsize=9)
        ax.set_xlim(-0.5, len(by_count) - 0.5)
    axes[0].set_ylabel("accuracy")
    axes[0].legend(fontsize=8, loc="lower right")
    return figure
