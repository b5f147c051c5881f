"""Images of one lesion on both sides of a split: how much a model that learns by heart gains from it."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from melanoma_pl.data.image_set import LabelledImages
from melanoma_pl.data.splits import cut_validation
from melanoma_pl.data.synthetic.synthetic_images import draw_image, draw_mole

TREES = 100
SHADES = 8  # bins of each of the histogram's three axes
SHADE_RANGES = ((-2.4, 0.2), (-1.2, 1.6), (-1.2, 1.2))  # darkness, red against green, blue against green
VALIDATION_FRACTION = 0.2


@dataclass(frozen=True)
class LesionImages:
    """Several images of each of many lesions, the images of one lesion in a row.

    Attributes:
        pixels: uint8 `(N, S, S, 3)`.
        targets: int64 `(N,)`, 1 for malignant.
        lesions: Which lesion each shows, int64 `(N,)`.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.int64]
    lesions: NDArray[np.int64]

    def first(self, images_each: int) -> NDArray[np.int64]:
        """Return the positions of each lesion's first images, int64 `(lesions · images_each,)`."""
        together = len(self.lesions) // len(np.unique(self.lesions))
        return np.flatnonzero(np.arange(len(self.lesions)) % together < images_each)


def draw_lesions(lesions: int, images_each: int, size: int, seed: int) -> LesionImages:
    """Draw several images of each lesion: the same mole, on new skin, turned, under another light.

    Args:
        lesions: How many; benign and malignant in turn.
        images_each: Of one lesion.
        size: Side of the images, in pixels.
        seed: Of the lesions.
    """
    numbers = np.repeat(np.arange(lesions), images_each)
    pictures = [
        draw_image(draw_mole(lesion % 2 == 1, seed, lesion), seed, lesion, size, image)
        for lesion in range(lesions)
        for image in range(images_each)
    ]
    return LesionImages(np.stack(pictures), numbers % 2, numbers)


def colour_histograms(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how often each colour occurs, relative to the image's bright parts, wherever it lies.

    Turning and shifting a mole leaves this as it is, and most of skin and lamp cancels: what stays tells lesions apart.

    Args:
        pixels: uint8 `(N, S, S, 3)`.

    Returns:
        Square roots of shares, float64 `(N, 512)`.
    """
    logarithms = np.log(pixels.reshape(len(pixels), -1, 3) / 255 + 0.03)  # (N, S², 3)
    relative = logarithms - np.quantile(logarithms, 0.8, axis=1)[:, None]
    red, green, blue = np.moveaxis(relative, -1, 0)
    shades = np.stack([relative.mean(axis=-1), 2 * (red - green), 2 * (blue - green)], axis=-1)
    counts = [np.histogramdd(each, bins=SHADES, range=SHADE_RANGES)[0].ravel() for each in shades]
    shares: NDArray[np.float64] = np.stack(counts) / shades.shape[1]
    return np.sqrt(shares)


def memoriser_accuracy(
    features: NDArray[np.float64],
    targets: NDArray[np.int64],
    lesions: NDArray[np.int64],
    by_lesion: bool,
    seed: int,
) -> float:
    """Return the validation accuracy of trees that are grown until they know every training image by heart.

    Args:
        features: float64 `(N, K)`.
        targets: int64 `(N,)`, both classes.
        lesions: int64 `(N,)`.
        by_lesion: True keeps a lesion on one side of the split; False splits image by image.
        seed: Of the split and of the trees.
    """
    paths = tuple(str(number) for number in range(len(targets)))
    images = LabelledImages(Path(), paths, targets)
    if by_lesion:
        images = replace(images, groups=tuple(str(lesion) for lesion in lesions))
    training, validation = cut_validation(images, VALIDATION_FRACTION, seed)
    trees = ExtraTreesClassifier(TREES, random_state=seed).fit(features[training], targets[training])
    return float(np.mean(trees.predict(features[validation]) == targets[validation]))


def coin_targets(lesions: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return targets that mean nothing: half of the lesions, drawn by lot, are 1; the images of one lesion agree.

    Args:
        lesions: int64 `(N,)`, numbered from 0.
        seed: Of the lot.

    Returns:
        int64 `(N,)`.
    """
    return np.random.default_rng(seed).permutation(np.arange(lesions.max() + 1) % 2)[lesions]


def measure_leak(
    images: LesionImages, images_each: int, repeats: int, by_coin: bool = False
) -> dict[str, NDArray[np.float64]]:
    """Return the memoriser's accuracies with the two ways to split.

    Args:
        images: Of which each lesion's first ones are used.
        images_each: How many of each lesion.
        repeats: Splits, each with a seed of its own.
        by_coin: True puts `coin_targets` in the targets' place: then an honest test must find one half.

    Returns:
        `image by image` and `lesion by lesion`, float64 `(repeats,)` each.
    """
    used = images.first(images_each)
    features, lesions = colour_histograms(images.pixels[used]), images.lesions[used]
    accuracies: dict[str, NDArray[np.float64]] = {}
    for name, by_lesion in (("image by image", False), ("lesion by lesion", True)):
        accuracies[name] = np.array(
            [
                memoriser_accuracy(
                    features, coin_targets(lesions, seed) if by_coin else images.targets[used], lesions, by_lesion, seed
                )
                for seed in range(repeats)
            ]
        )
    return accuracies
