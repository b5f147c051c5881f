"""The presentation's errors of method, repeated on purpose so that their effects can be measured."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional

from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.evaluation import count, wilson
from melanoma_pl.foundations.display import canvas
from melanoma_pl.models import MelanomaClassifier
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, GREEN, GREY, ORANGE, RED

Floats = NDArray[np.float64]

INT_THRESHOLD = 1.0
"""`int(probability)` drops the digits after the decimal point: it is 1 for a probability of exactly 1, otherwise 0."""


def logits_of(classifier: MelanomaClassifier, pixels: Tensor, rescale: bool = True) -> Tensor:
    """Return the logits of images, with or without the division by 255 that the network was trained with.

    Args:
        classifier: Classifier in evaluation mode.
        pixels: uint8 `(N, 3, S, S)`.
        rescale: False repeats the error: the network gets values up to 255 instead of values up to 1.

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
    """Return the fraction of images whose probability is exactly 0 or 1 in the precision of the logits, `(N,)`.

    In float32, σ(z) = 1 from z ≈ 17 on, where 1 + e^−z rounds to 1, and σ(z) = 0 below z ≈ −104 (below −88 on a CPU
    that flushes subnormal numbers to 0).
    """
    probabilities = torch.sigmoid(logits)
    return float(((probabilities == 0) | (probabilities == 1)).float().mean())


def expected_best_accuracy(tries: int, images: int) -> float:
    """Return the expected accuracy of the best of several models that toss coins.

    The number X of right answers is binomial with p = 1/2, so E[max of K] = Σ_{x < n} (1 − P(X ≤ x)^K), in units of
    images.

    Args:
        tries: K, the number of models, epochs or settings of which these images choose the best.
        images: n, the number of images.

    Returns:
        A number between 0.5 (one try) and 1.
    """
    below = binom.cdf(np.arange(images), images, 0.5)  # P(X ≤ 0), …, P(X ≤ n − 1)
    return float((1 - below**tries).sum() / images)


def choose_among_coin_tosses(tries: int, targets: NDArray[np.int64], repeats: int, seed: int) -> tuple[Floats, Floats]:
    """Choose the best of several models that toss coins on one half of the images, and test it on the other half.

    Args:
        tries: Number of models.
        targets: int64 `(2n,)`, 1 for malignant.
        repeats: Number of repetitions.
        seed: Seed of the coins and of the halves.

    Returns:
        Accuracies of the chosen model on the n images that chose it and on the n others, float64 `(repeats,)` each.
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


def accuracies_of_small_tests(is_right: NDArray[np.bool_], images: int, repeats: int, seed: int) -> Floats:
    """Return the accuracies of one model on many small samples of a large test split, float64 `(repeats,)`.

    Args:
        is_right: Whether the model is right about each image of the large split, bool `(N,)`.
        images: Images per sample, at most N.
        repeats: Number of samples.
        seed: Seed of the samples.
    """
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(is_right, images, replace=False).mean() for _ in range(repeats)])


def probabilities_figure(probabilities: Mapping[str, NDArray[np.float32]], targets: NDArray[np.int64]) -> Figure:
    """Draw histograms of probabilities, one field per title and one colour per class.

    Args:
        probabilities: Title → float32 `(N,)` in [0, 1].
        targets: int64 `(N,)`.
    """
    figure, axes = canvas(len(probabilities), width=3.8, height=2.6, sharey=True)
    classes = ("drawn benign", "drawn malignant")
    for ax, (title, values) in zip(axes, probabilities.items(), strict=True):
        by_class = [values[targets == target] for target in (0, 1)]
        ax.hist(by_class, bins=20, range=(0, 1), color=(BLUE, ORANGE), label=classes, stacked=True)
        ax.set(title=title, xlabel="probability of malignant", xlim=(-0.02, 1.02))
    axes[0].set_ylabel("test images")
    axes[0].legend(fontsize=8)
    return figure


def threshold_figure(probabilities: Floats, targets: NDArray[np.int64], threshold: float) -> Figure:
    """Draw the probabilities of both classes with a threshold, and sensitivity and specificity over all thresholds.

    Args:
        probabilities: Probabilities of malignant, float `(N,)`.
        targets: int64 `(N,)`, 1 for malignant.
        threshold: Threshold to mark; images of this probability or more are called malignant.
    """
    figure, (images, rates) = canvas(2, height=3.3)
    for target, (name, color) in enumerate(zip(CLASS_NAMES, (BLUE, ORANGE), strict=True)):
        bins = [step / 20 for step in range(21)]
        images.hist(probabilities[targets == target], bins=bins, color=color, alpha=0.6, label=f"drawn {name}")
    counts = count(probabilities, targets, threshold)
    images.set(
        title=f"threshold {threshold:g}: {counts.false_negatives} missed, {counts.false_positives} false alarms",
        ylabel="test images",
    )
    many = np.linspace(0, 1, 201)
    at_each = [count(probabilities, targets, float(each)) for each in many]
    for name, color, style in (("sensitivity", ORANGE, "-"), ("specificity", BLUE, "--")):
        rates.plot(many, [getattr(each, name) for each in at_each], style, color=color, label=name)
        rates.plot(threshold, getattr(counts, name), "o", color=color)
    rates.set(title=f"sensitivity {counts.sensitivity:.2f}, specificity {counts.specificity:.2f}", ylim=(-0.03, 1.03))
    for ax in (images, rates):
        ax.axvline(threshold, color=RED, linewidth=1.5)
        ax.set(xlabel="probability of malignant", xlim=(-0.02, 1.02))
    images.set(ylim=(0, 1.25 * images.get_ylim()[1]))  # room for the legend
    images.yaxis.set_major_locator(MaxNLocator(integer=True))
    images.legend(fontsize=8, loc="upper right")
    rates.legend(fontsize=8, loc="center left")
    return figure


def best_of_many_figure(measured: Mapping[int, tuple[Floats, Floats]], images: int, sizes: Sequence[int]) -> Figure:
    """Draw the accuracy of the best of K models that toss coins: measured, and expected for several test sizes.

    Args:
        measured: K → accuracies on the images that chose the model and on others, float64 `(repeats,)` each.
        images: Images of either half in the measurement.
        sizes: Numbers of test images for the expected accuracy.
    """
    figure, (left, right) = canvas(2, width=3.9, height=2.8, sharey=True)
    tries = list(measured)
    for part, (color, label) in enumerate(((RED, "the images that chose it"), (GREEN, "other images"))):
        values = np.array([measured[each][part] for each in tries])  # (len(tries), repeats)
        left.plot(tries, values.mean(axis=1), "o-", color=color, markersize=4, label=label)
        left.fill_between(tries, *np.quantile(values, (0.05, 0.95), axis=1), color=color, alpha=0.15, linewidth=0)
    left.set(title=f"measured, {images} images", xlabel="K, models to choose from", ylabel="accuracy of the best of K")
    many = np.unique(np.geomspace(1, max(tries), 40).astype(int))
    for color, size in zip(CYCLE, sizes, strict=False):
        expected = [expected_best_accuracy(int(each), size) for each in many]
        right.plot(many, expected, color=color, label=f"{size} images")
    right.set(title="expected, on the images that chose it", xlabel="K, models to choose from")
    for ax in (left, right):
        ax.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
        ax.set_xscale("log")
        ax.legend(fontsize=8)
    return figure


def small_tests_figure(accuracies: Floats, whole: float, right: int, images: int) -> Figure:
    """Draw the scatter of a network's accuracy over small tests, and Wilson's interval over the number of images.

    Args:
        accuracies: Accuracies on the small tests, float64 `(repeats,)`.
        whole: Accuracy on all images, in [0, 1].
        right: Number of images that the presentation's test had right.
        images: Number of images of the presentation's test.
    """
    figure, (left, ax) = canvas(2, width=3.9, height=2.7)
    left.hist(accuracies, bins=images + 1, range=(-0.5 / images, 1 + 0.5 / images), color=BLUE, alpha=0.8)
    left.axvline(whole, color=RED, label="on all images")
    left.set(title=f"one network, many tests of {images} images", xlabel="accuracy", ylabel="tests", xlim=(0, 1))
    left.legend(fontsize=8)
    sizes = [images * factor for factor in (1, 3, 10, 30, 100)]
    for size in sizes:
        interval = wilson(right * size // images, size) or (0, 1)
        ax.plot((size, size), interval, color=BLUE, linewidth=5, solid_capstyle="butt")
        ax.plot(size, right / images, "o", color=RED, markersize=4)
    ax.set(
        title=f"95 % intervals around {100 * right / images:.1f} %",
        xlabel="test images",
        ylabel="accuracy",
        xscale="log",
    )
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    ax.set_ylim(0, 1)
    return figure
