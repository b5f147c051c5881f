"""How unlike the training images an image is: far from them, what a network says should not be relied on.

The score is the Mahalanobis distance of Lee, Lee, Lee and Shin (A Simple Unified Framework for Detecting
Out-of-Distribution Samples and Adversarial Attacks, NeurIPS 2018) in features of the network, with a covariance that is
shrunk as Ledoit and Wolf (Journal of Multivariate Analysis 88, 2004) proposed, so that it can be inverted.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import LedoitWolf
from threadpoolctl import ThreadpoolController

from melanoma_pl.evaluation.checks import Floats, check_no_nan

FRACTION = 0.95  # of ordinary images that pass
ENOUGH = 20_000  # training images: more would hardly change a covariance
ROWS = 10_000  # images whose distances are computed at once: memory stays bounded
TINY = 1e-6  # a feature that never varies must not be divided by 0


@dataclass(frozen=True)
class OutOfDistributionDetector:
    """What ordinary images look like to a network.

    Attributes:
        mean: float64 `(D,)`, of the training images' features.
        scale: float64 `(D,)`, their standard deviation.
        precision: float64 `(D, D)`, inverse covariance of the scaled features.
        threshold: Distance above which an image counts as unlike the training images.
    """

    mean: Floats
    scale: Floats
    precision: Floats
    threshold: float

    def distances(self, features: ArrayLike) -> Floats:
        """Return each image's distance from the training images: float64 `(N,)` from float `(N, D)`."""
        images = np.asarray(features)
        squared = np.empty(len(images))
        # a product's threads wait for the next one in a loop, and would hold up decoding
        with _libraries().limit(limits=1, user_api="blas"):
            for start in range(0, len(images), ROWS):
                scaled = _scaled(images[start : start + ROWS], self.mean, self.scale)
                squared[start : start + ROWS] = np.einsum("nd,nd->n", scaled @ self.precision, scaled)
        return np.sqrt(np.maximum(squared, 0))  # which rounding alone could take below 0

    def is_ood(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Tell which images are unlike the training images: bool `(N,)` from float `(N, D)`."""
        return self.distances(features) > self.threshold


@cache
def _libraries() -> ThreadpoolController:
    """Return those that compute in threads; to find them takes ten milliseconds."""
    return ThreadpoolController()


def fit_detector(
    training: ArrayLike, validation: ArrayLike, share: float = FRACTION
) -> OutOfDistributionDetector | None:
    """Learn what ordinary images look like.

    Args:
        training: float `(N, D)`, features of the training images, as they are without augmentation; of more than
            20,000, as many are taken in even steps.
        validation: float `(M, D)`, of images that the network did not train on: they set the threshold, since a
            network knows its training images too well.
        share: Of the validation images that are to pass, in (0, 1).

    Returns:
        None where fewer than two training images, no validation image or no features are there.

    Raises:
        ValueError: if a feature is NaN.
    """
    known, held = np.asarray(training), np.asarray(validation)
    if len(known) < 2 or len(held) == 0 or known.shape[1] == 0:
        return None
    check_no_nan("features", known)
    check_no_nan("features", held)
    known = np.asarray(known[_even_steps(len(known))], dtype=np.float64)
    mean, scale = known.mean(axis=0), known.std(axis=0) + TINY
    precision = LedoitWolf(assume_centered=True).fit(_scaled(known, mean, scale)).precision_
    undecided = OutOfDistributionDetector(mean, scale, np.asarray(precision), np.inf)
    threshold = float(np.quantile(undecided.distances(held), share))
    return OutOfDistributionDetector(mean, scale, undecided.precision, threshold)


def _even_steps(n: int) -> NDArray[np.int64]:
    """Return the places of at most `ENOUGH` of n images, from the first to the last, in even steps."""
    return np.linspace(0, n - 1, min(n, ENOUGH)).round().astype(np.int64)


def _scaled(features: NDArray[Any], mean: Floats, scale: Floats) -> Floats:
    scaled: Floats = np.subtract(features, mean, dtype=np.float64)
    scaled /= scale
    return scaled
