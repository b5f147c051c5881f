"""The presentation's mistakes of method, made again on purpose, so that their effects can be measured."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor
from torch.nn import functional

from melanoma_pl.models import MelanomaClassifier

INT_THRESHOLD = 1.0
"""`int(probability)` cuts off what follows the point: it is 1 for a probability of exactly 1, else 0."""


def logits_of(classifier: MelanomaClassifier, pixels: Tensor, rescale: bool = True) -> Tensor:
    """Return a logit a photo, with or without the division by 255 that the network was trained with.

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


def saturated_share(logits: Tensor) -> float:
    """Return the share of photos whose probability is exactly 0 or 1 in the logits' precision, `(N,)`.

    In float32 that is σ(z) = 1 from z ≈ 17 on, where e^−z is lost beside 1, and 0 below z ≈ −104 (on a processor that
    cuts off the smallest numbers, below −88).
    """
    probabilities = torch.sigmoid(logits)
    return float(((probabilities == 0) | (probabilities == 1)).float().mean())


def expected_best_accuracy(tries: int, photos: int) -> float:
    """Return the accuracy that the best of several coin-tossing models is expected to show.

    The number X of right answers is binomial with one half, so that E[max of K] = Σ_{x < n} (1 − P(X ≤ x)^K), in
    units of photos.

    Args:
        tries: K, epochs or settings of which the best is taken, by these very photos.
        photos: n.

    Returns:
        A number from 0.5 (one try) towards 1.
    """
    below = binom.cdf(np.arange(photos), photos, 0.5)  # P(X ≤ 0), …, P(X ≤ n − 1)
    return float((1 - below**tries).sum() / photos)


def choose_among_guesses(
    tries: int, targets: NDArray[np.int64], repeats: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Let models that toss coins compete on one half of the photos, and judge the winner on the other half.

    Args:
        tries: Models of which the best is taken.
        targets: int64 `(2n,)`, 1 for malignant.
        repeats: How often all is done anew.
        seed: Of the coins, and of the halves.

    Returns:
        The winner's accuracy on the n photos that it was chosen by, and on the n others: float64 `(repeats,)` each.
    """
    generator = np.random.default_rng(seed)
    half = len(targets) // 2
    chosen_by, judged_on = np.empty(repeats), np.empty(repeats)
    for repeat in range(repeats):
        mixed = generator.permutation(targets)
        is_right = generator.integers(0, 2, (tries, len(targets))) == mixed
        accuracies = is_right[:, :half].mean(axis=1)
        winner = int(accuracies.argmax())
        chosen_by[repeat], judged_on[repeat] = accuracies[winner], is_right[winner, half:].mean()
    return chosen_by, judged_on


def accuracies_of_small_tests(is_right: NDArray[np.bool_], photos: int, repeats: int, seed: int) -> NDArray[np.float64]:
    """Return the accuracies that one model shows on many small test sets, drawn from one large set.

    Args:
        is_right: Whether each photo of the large set is decided rightly, bool `(N,)`.
        photos: Of each small set, at most N.
        repeats: How many small sets.
        seed: Of the draws.

    Returns:
        float64 `(repeats,)`.
    """
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(is_right, photos, replace=False).mean() for _ in range(repeats)])
