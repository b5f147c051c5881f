"""AUROCs, their differences, and proportions, whose intervals account for several images of one lesion if it is known.

Independent images have the intervals of DeLong and of Wilson. Images of which several show one lesion have percentile
intervals of a bootstrap that resamples whole lesions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_pl.evaluation import metrics, weighted_metrics
from melanoma_pl.evaluation.assessment import auroc_with_delong
from melanoma_pl.evaluation.checks import Floats, check_scores, missing_class
from melanoma_pl.evaluation.comparison import paired_delong
from melanoma_pl.evaluation.intervals import Estimate, delong, proportion, wilson
from melanoma_pl.evaluation.resampling import NO_VARIATION, bootstrap, resampled


@dataclass(frozen=True, eq=False)
class RankedImages:
    """The scores that a model gives images, of which several may show one lesion.

    Attributes:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.
        groups: N names of lesions; None if they are unknown.
    """

    scores: ArrayLike
    targets: ArrayLike
    groups: Sequence[str] | None = None

    def with_scores(self, scores: ArrayLike) -> "RankedImages":
        """Return the same images with the scores of another model, float `(N,)`."""
        return RankedImages(scores, self.targets, self.groups)

    @cached_property
    def auroc(self) -> Estimate:
        """The AUROC with its interval."""
        scores, targets = check_scores(self.scores, self.targets)
        if not is_repeated(self.groups) or missing_class(targets):
            return auroc_with_delong(scores, targets)
        estimate = resampled(metrics.auroc(scores, targets), self._replicates)
        if estimate.reason != NO_VARIATION:
            return estimate
        # all pairs score alike, as of a perfect ranking: DeLong's bound for that, with one image a lesion and class
        _, lesions = np.unique(np.asarray(self.groups), return_inverse=True)
        _, first = np.unique(2 * lesions + targets, return_index=True)
        interval = delong(scores[first], targets[first])
        return Estimate(estimate.value, interval, "" if interval else "only one lesion of a class")

    def auroc_minus(self, other: "RankedImages") -> Estimate:
        """Return this AUROC minus that of other scores of the same images, paired."""
        difference = paired_delong(self.scores, other.scores, self.targets)
        if difference.value is None or not is_repeated(self.groups):
            return Estimate(difference.value, difference.interval, difference.reason)
        return resampled(difference.value, self._replicates - other._replicates)

    @cached_property
    def _replicates(self) -> Floats:
        """AUROC of each bootstrap replicate, float64 `(B,)`; all scores of the same images have the same replicates."""
        scores, targets = check_scores(self.scores, self.targets)
        order = weighted_metrics.order_of(scores, targets)
        owners = weighted_metrics.ordered_groups(order, self.groups)
        return bootstrap(
            lambda weights: weighted_metrics.auroc(weighted_metrics.ordered_curves(weights, order)),
            targets.size,
            owners,
        )


def clustered_proportion(flags: NDArray[np.bool_], groups: Sequence[str] | None) -> Estimate:
    """Return the proportion of images that are flagged.

    Args:
        flags: bool `(N,)`.
        groups: N names of lesions; None if they are unknown.
    """
    hits, n = int(flags.sum()), flags.size
    if groups is None or not is_repeated(groups):
        return proportion(hits, n)
    values = bootstrap(lambda weights: weighted_metrics.mean(weights, flags.astype(np.float64)), n, groups)
    estimate = resampled(hits / n, values)
    if estimate.reason != NO_VARIATION:
        return estimate
    lesions = len(set(groups))  # none or all of the images: as if each lesion had one image
    return Estimate(estimate.value, wilson(round(hits / n * lesions), lesions))


def is_repeated(groups: Sequence[str] | None) -> bool:
    """Tell whether several images are known to show one lesion."""
    return groups is not None and len(set(groups)) < len(groups)
