"""The presentation's mistakes of method, made again on purpose, so that their effects can be measured.

Pictures of the presentation's mistakes and of what each did.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional

from melanoma_pl.evaluation import wilson
from melanoma_pl.models import MelanomaClassifier
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREEN, GREY, ORANGE, RED, canvas

INT_THRESHOLD = 1.0
"""`int(probability)` cuts off what follows the point: it is 1 for a probability of exactly 1, else 0."""


def logits_of(classifier: MelanomaClassifier, pixels: Tensor, rescale: bool = True) -> Tensor:
    """Return a logit an image, with or without the division by 255 that the network was trained with.

    Args:
        classifier: In evaluation mode.
        pixels: uint8 `(N, 3, S, S)`.
        rescale: False for the mistake: the network gets numbers up to 255 where it knows numbers up to 1.

    Returns:
        float32 `(N,)`.
    """
    with torch.inference_mode():
        logits: Tensor = classifier(pixels) if rescale else classifier.network(pixels.float())
    return logits.reshape(len(pixels))


def loss_of(logits: Tensor, targets: NDArray[np.int64]) -> float:
    """Return the mean binary cross-entropy, in nats, of logits float32 `(N,)` and targets int64 `(N,)`."""
    return float(functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets).float()))


def saturated_fraction(logits: Tensor) -> float:
    """Return the share of images whose probability is exactly 0 or 1 in the logits' precision, `(N,)`.

    In float32 that is σ(z) = 1 from z ≈ 17 on, where e^−z is lost beside 1, and 0 below z ≈ −104 (on a processor that
    cuts off the smallest numbers, below −88).
    """
    probabilities = torch.sigmoid(logits)
    return float(((probabilities == 0) | (probabilities == 1)).float().mean())


def expected_best_accuracy(tries: int, images: int) -> float:
    """Return the accuracy that the best of several coin-tossing models is expected to show.

    The number X of right answers is binomial with one half, so that E[max of K] = Σ_{x < n} (1 − P(X ≤ x)^K), in
    units of images.

    Args:
        tries: K, epochs or settings of which the best is taken, by these very images.
        images: n.

    Returns:
        A number from 0.5 (one try) towards 1.
    """
    below = binom.cdf(np.arange(images), images, 0.5)  # P(X ≤ 0), …, P(X ≤ n − 1)
    return float((1 - below**tries).sum() / images)


def choose_among_guesses(
    tries: int, targets: NDArray[np.int64], repeats: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Let models that toss coins compete on one half of the images, and judge the winner on the other half.

    Args:
        tries: Models of which the best is taken.
        targets: int64 `(2n,)`, 1 for malignant.
        repeats: How often all is done anew.
        seed: Of the coins, and of the halves.

    Returns:
        The winner's accuracy on the n images that it was chosen by, and on the n others: float64 `(repeats,)` each.
    """
    generator = np.random.default_rng(seed)
    half = len(targets) // 2
    chosen_by, evaluated_on = np.empty(repeats), np.empty(repeats)
    for repeat in range(repeats):
        mixed = generator.permutation(targets)
        is_right = generator.integers(0, 2, (tries, len(targets))) == mixed
        accuracies = is_right[:, :half].mean(axis=1)
        winner = int(accuracies.argmax())
        chosen_by[repeat], evaluated_on[repeat] = accuracies[winner], is_right[winner, half:].mean()
    return chosen_by, evaluated_on


def accuracies_of_small_tests(is_right: NDArray[np.bool_], images: int, repeats: int, seed: int) -> NDArray[np.float64]:
    """Return the accuracies that one model shows on many small test sets, drawn from one large set.

    Args:
        is_right: Whether each image of the large set is decided rightly, bool `(N,)`.
        images: Of each small set, at most N.
        repeats: How many small sets.
        seed: Of the draws.

    Returns:
        float64 `(repeats,)`.
    """
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(is_right, images, replace=False).mean() for _ in range(repeats)])


CLASSES = (("drawn benign", BLUE), ("drawn malignant", ORANGE))


def probabilities_figure(probabilities: Mapping[str, NDArray[np.float32]], targets: NDArray[np.int64]) -> Figure:
    """Return histograms of probabilities, one field a title, the two classes in two colours.

    Args:
        probabilities: Title → float32 `(N,)` in [0, 1].
        targets: int64 `(N,)`.
    """
    figure, axes = canvas(len(probabilities), width=3.8, height=2.6, sharey=True)
    for ax, (title, values) in zip(axes, probabilities.items(), strict=True):
        by_class = [values[targets == target] for target in (0, 1)]
        names, colors = zip(*CLASSES, strict=True)
        ax.hist(by_class, bins=20, range=(0, 1), color=colors, label=names, stacked=True)
        ax.set(title=title, xlabel="probability of malignant", xlim=(-0.02, 1.02))
    axes[0].set_ylabel("test images")
    axes[0].legend(fontsize=8)
    return figure


def best_of_many_figure(
    measured: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]], images: int, sizes: Sequence[int]
) -> Figure:
    """Return the accuracy of the best of K coin-tossing models: measured, and expected for several sizes of test set.

    Args:
        measured: K → accuracies on the images that the choice was made by, and on others, float64 `(repeats,)` each.
        images: Of either half in the measurement.
        sizes: Images of the test sets on the right.
    """
    figure, (left, right) = canvas(2, width=3.9, height=2.8, sharey=True)
    tries = list(measured)
    for part, (color, label) in enumerate(((RED, "the images it was chosen by"), (GREEN, "other images"))):
        values = np.array([measured[each][part] for each in tries])  # (len(tries), repeats)
        left.plot(tries, values.mean(axis=1), "o-", color=color, markersize=4, label=label)
        left.fill_between(tries, *np.quantile(values, (0.05, 0.95), axis=1), color=color, alpha=0.15, linewidth=0)
    left.set(title=f"measured, {images} images", xlabel="K, models to choose from", ylabel="accuracy of the best of K")
    many = np.unique(np.geomspace(1, max(tries), 40).astype(int))
    for color, size in zip(CYCLE, sizes, strict=False):
        right.plot(
            many, [expected_best_accuracy(int(each), size) for each in many], color=color, label=f"{size} images"
        )
    right.set(title="expected, on the images chosen by", xlabel="K, models to choose from")
    for ax in (left, right):
        ax.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_xscale("log")
        ax.legend(fontsize=8)
    return figure


def small_tests_figure(accuracies: NDArray[np.float64], whole: float, right: int, images: int) -> Figure:
    """Return how one network's accuracy scatters over small test sets, and how Wilson's interval shrinks with n.

    Args:
        accuracies: Of the small sets, float64 `(repeats,)`.
        whole: Accuracy on all images, in [0, 1].
        right: Images decided rightly in the presentation's test.
        images: Of that test.
    """
    figure, (left, ax) = canvas(2, width=3.9, height=2.7)
    left.hist(accuracies, bins=images + 1, range=(-0.5 / images, 1 + 0.5 / images), color=BLUE, alpha=0.8)
    left.axvline(whole, color=RED, label="on all images")
    left.set(title=f"one network, many tests of {images} images", xlabel="accuracy", ylabel="tests", xlim=(0, 1))
    left.legend(fontsize=8)
    sizes = [images * factor for factor in (1, 3, 10, 30, 100)]
    for size in sizes:
        low, high = wilson(right * size // images, size) or (0.0, 1.0)
        ax.plot((size, size), (low, high), color=BLUE, linewidth=5, solid_capstyle="butt")
        ax.plot(size, right / images, "o", color=RED, markersize=4)
    ax.set(title=f"95 % intervals around {right / images:.1%}", xlabel="test images", ylabel="accuracy", xscale="log")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set_ylim(0, 1)
    return figure


def leak_figure(measured: Mapping[str, Mapping[int, Mapping[str, NDArray[np.float64]]]]) -> Figure:
    """Return accuracies with the two ways to split, one field a title: each split a dot, their mean a bar.

    Args:
        measured: Title → images of each lesion → way to split → float64 `(repeats,)`.
    """
    figure, axes = canvas(len(measured), width=3.9, height=2.8, sharey=True)
    for ax, (title, by_count) in zip(axes, measured.items(), strict=True):
        for place, by_way in enumerate(by_count.values()):
            for (way, values), offset, color in zip(by_way.items(), (-0.17, 0.17), (RED, GREEN), strict=True):
                label = f"split {way}" if place == 0 else None
                ax.plot(np.full(len(values), place + offset), values, "o", color=color, markersize=3, alpha=0.4)
                ax.plot(
                    place + offset + np.array((-0.13, 0.13)), [values.mean()] * 2, color=color, linewidth=3, label=label
                )
        ax.set_xticks(range(len(by_count)), [f"{count} images a lesion" for count in by_count])
        ax.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_title(title, fontsize=9)
        ax.set_xlim(-0.5, len(by_count) - 0.5)
    axes[0].set_ylabel("accuracy")
    axes[0].legend(fontsize=8, loc="lower right")
    return figure
