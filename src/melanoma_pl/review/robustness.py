"""What photos taken a little differently do to the result."""

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.evaluation.assess import auroc_with_delong
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.evaluation.comparison import paired_delong
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.evaluation.intervals import wilson
from melanoma_pl.perturbations.catalogue import PERTURBATIONS, Perturbation
from melanoma_pl.reporting.evaluation.content import Robustness
from melanoma_pl.review.panel import Panel

STRENGTHS = (1, 2, 3)


def measure_robustness(
    panel: Panel, split: str, malignant: Floats, targets: NDArray[np.int64]
) -> tuple[Robustness, ...]:
    """Judge the photos again under each perturbation at each strength.

    Args:
        panel: Who judges.
        split: `validation` or `test`.
        malignant: float64 `(N,)`, probabilities of the photos as they are.
        targets: int64 `(N,)`.
    """
    return tuple(
        _measure(panel, split, perturbation, strength, malignant, targets)
        for perturbation in PERTURBATIONS
        for strength in STRENGTHS
    )


def _measure(
    panel: Panel, split: str, perturbation: Perturbation, strength: int, malignant: Floats, targets: NDArray[np.int64]
) -> Robustness:
    title = f"{perturbation.name} {strength}"
    logits = panel.logits(split, title, lambda pixels, indices: perturbation.apply(pixels, strength, indices))
    perturbed = panel.decision.probabilities(logits)
    before, after = malignant >= panel.decision.threshold, perturbed >= panel.decision.threshold
    return Robustness(
        name=perturbation.name,
        strength=strength,
        setting=perturbation.settings[strength - 1],
        auroc=auroc_with_delong(perturbed, targets),
        lost=auroc_lost(malignant, perturbed, targets),
        flipped=Estimate(float(np.mean(before != after)), wilson(int((before != after).sum()), len(targets))),
        to_benign=int((before & ~after).sum()),
        to_malignant=int((~before & after).sum()),
    )


def auroc_lost(whole: Floats, changed: Floats, targets: NDArray[np.int64]) -> Estimate:
    """Return the AUROC of photos as they are less that of changed ones, paired: float64 `(N,)` each."""
    difference = paired_delong(whole, changed, targets)
    return Estimate(difference.value, difference.interval, difference.reason)
