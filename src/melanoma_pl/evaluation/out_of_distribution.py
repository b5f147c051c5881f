"""Detection of images out of distribution (OOD), on which a network should not be relied.

The score is the Mahalanobis distance of Lee, Lee, Lee and Shin (A Simple Unified Framework for Detecting
Out-of-Distribution Samples and Adversarial Attacks, NeurIPS 2018) in features of the network. The covariance is shrunk
as proposed by Ledoit and Wolf (Journal of Multivariate Analysis 88, 2004), so that it can be inverted.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import ThreadpoolController

from melanoma_pl.evaluation.checks import Floats, check_no_nan

FRACTION = 0.95  # of validation images within the threshold
ENOUGH = 20_000  # training images: more would hardly change the covariance
ROWS = 10_000  # images whose distances are computed at once, so that memory stays bounded
TINY = 1e-6  # prevents a division by 0 for a constant feature


@dataclass(frozen=True)
class OutOfDistributionDetector:
    """The distribution of the training images in a network's feature space, and a threshold on the distance from it.

    Attributes:
        mean: float64 `(D,)`, mean features of the training images.
        scale: float64 `(D,)`, standard deviations of the features.
        precision: float64 `(D, D)`, inverse covariance of the scaled features.
        threshold: Distance above which an image counts as out of distribution.

    Raises:
        ValueError: If the shapes differ or a number is NaN.
    """

    mean: Floats
    scale: Floats
    precision: Floats
    threshold: float

    def __post_init__(self) -> None:
        """Refuse a detector that cannot be applied."""
        size = self.mean.size
        if not self.mean.shape == self.scale.shape == (size,) or self.precision.shape != (size, size):
            raise ValueError(f"mean, scale and precision must have shapes ({size},), ({size},) and ({size}, {size})")
        for name in ("mean", "scale", "precision", "threshold"):
            check_no_nan(name, np.asarray(getattr(self, name)))

    def distances(self, features: ArrayLike) -> Floats:
        """Return the Mahalanobis distance of each image, float64 `(N,)`, from its features, float `(N, D)`."""
        images = np.asarray(features)
        squared = np.empty(len(images))
        # BLAS threads busy-wait between products and would slow down decoding
        with _libraries().limit(limits=1, user_api="blas"):
            for start in range(0, len(images), ROWS):
                scaled = _scaled(images[start : start + ROWS], self.mean, self.scale)
                squared[start : start + ROWS] = np.einsum("nd,nd->n", scaled @ self.precision, scaled)
        return np.sqrt(np.maximum(squared, 0))  # rounding could make them negative

    def is_ood(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Return which images are out of distribution, bool `(N,)`, from their features, float `(N, D)`."""
        return self.distances(features) > self.threshold


@cache
def _libraries() -> ThreadpoolController:
    """Return the controller of threaded libraries, cached because finding them takes ten milliseconds."""
    return ThreadpoolController()


def fit_detector(
    training: ArrayLike, validation: ArrayLike, fraction: float = FRACTION
) -> OutOfDistributionDetector | None:
    """Fit the distribution on training images and the threshold on validation images.

    Args:
        training: float `(N, D)`, features of the training images without augmentation; of more than 20,000 images,
            20,000 at regular intervals are used.
        validation: float `(M, D)`, features of images that the network was not trained on. They determine the threshold
            because training images lie closer to the mean than unseen ones.
        fraction: Fraction of the validation images within the threshold, in (0, 1).

    Returns:
        The detector; None if there are fewer than two training images, no validation images or no features.

    Raises:
        ValueError: If a feature is NaN.
    """
    known, held_out = np.asarray(training), np.asarray(validation)
    if len(known) < 2 or len(held_out) == 0 or known.shape[1] == 0:
        return None
    check_no_nan("features", known)
    check_no_nan("features", held_out)
    from sklearn.covariance import LedoitWolf  # takes half a second to import, and no prediction needs it

    indices = np.linspace(0, len(known) - 1, min(len(known), ENOUGH)).round().astype(np.int64)
    known = np.asarray(known[indices], dtype=np.float64)
    mean, scale = known.mean(axis=0), known.std(axis=0) + TINY
    precision = np.asarray(LedoitWolf(assume_centered=True).fit(_scaled(known, mean, scale)).precision_)
    distances = OutOfDistributionDetector(mean, scale, precision, np.inf).distances(held_out)
    return OutOfDistributionDetector(mean, scale, precision, float(np.quantile(distances, fraction)))


def _scaled(features: NDArray[Any], mean: Floats, scale: Floats) -> Floats:
    scaled: Floats = np.subtract(features, mean, dtype=np.float64)
    scaled /= scale
    return scaled
