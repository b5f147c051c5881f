"""What photos taken a little differently do to the result."""

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.evaluation.assess import auroc_with_delong
from melanoma_pl.evaluation.comparison import paired_delong
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.evaluation.intervals import wilson
from melanoma_pl.perturbations.catalogue import PERTURBATIONS, Perturbation
from melanoma_pl.reporting.evaluation.content import Robustness
from melanoma_pl.review.panel import Logits, Panel

STRENGTHS = (1, 2, 3)


def measure_robustness(panel: Panel, split: str, whole: Logits, targets: NDArray[np.int64]) -> tuple[Robustness, ...]:
    """Judge the photos again under each perturbation at each strength.

    Args:
        panel: Who judges.
        split: `validation` or `test`.
        whole: float `(N,)`, logits of the photos as they are.
        targets: int64 `(N,)`.
    """
    return tuple(
        _measure(panel, split, perturbation, strength, whole, targets)
        for perturbation in PERTURBATIONS
        for strength in STRENGTHS
    )


def _measure(
    panel: Panel, split: str, perturbation: Perturbation, strength: int, whole: Logits, targets: NDArray[np.int64]
) -> Robustness:
    title = f"{perturbation.name} {strength}"
    logits = panel.logits(split, title, lambda pixels, indices: perturbation.apply(pixels, strength, indices))
    before, after = panel.decision.is_malignant(whole), panel.decision.is_malignant(logits)
    return Robustness(
        name=perturbation.name,
        strength=strength,
        setting=perturbation.settings[strength - 1],
        auroc=auroc_with_delong(logits, targets),
        lost=auroc_lost(whole, logits, targets),
        flipped=Estimate(float(np.mean(before != after)), wilson(int((before != after).sum()), len(targets))),
        to_benign=int((before & ~after).sum()),
        to_malignant=int((~before & after).sum()),
    )


def auroc_lost(whole: Logits, changed: Logits, targets: NDArray[np.int64]) -> Estimate:
    """Return the AUROC of photos as they are less that of changed ones, paired: scores, float `(N,)` each."""
    difference = paired_delong(whole, changed, targets)
    return Estimate(difference.value, difference.interval, difference.reason)
