"""How well malignant photos rank above benign ones where it matters to a clinic: at high sensitivity.

The area under the whole ROC curve also counts thresholds that miss half of the melanomas, which nobody would use.
"""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score, roc_curve

from melanoma_pl.evaluation.checks import check_scores, check_unit


def partial_auroc(scores: ArrayLike, targets: ArrayLike, sensitivity: float = 0.8) -> float | None:
    """Return the area between the ROC curve and the line of the given sensitivity, above that line.

    It is the score of the ISIC 2024 challenge (Kurtansky et al., Scientific Data 11, 2024): with classes and order
    turned round, high sensitivity becomes a low false positive rate, for which scikit-learn has the area; the
    standardisation of McClish (Medical Decision Making 9, 1989) is then undone.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.
        sensitivity: in (0, 1).

    Returns:
        A number in [0, 1 - sensitivity], half the square of 1 - sensitivity for a model that knows nothing; None where
        there is only one class.
    """
    scores, targets = check_scores(scores, targets)
    width = 1 - check_unit("sensitivity", sensitivity, open_ends=True)
    if np.unique(targets).size < 2:
        return None
    standardised = roc_auc_score(1 - targets, -scores, max_fpr=width)
    lowest, highest = width**2 / 2, width
    return float(lowest + (2 * standardised - 1) * (highest - lowest))


def specificity_at_sensitivity(scores: ArrayLike, targets: ArrayLike, sensitivity: float) -> float | None:
    """Return the highest specificity among the points of the ROC curve that reach the wanted sensitivity.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.
        sensitivity: in (0, 1].

    Returns:
        A number in [0, 1]; None where there is only one class.
    """
    scores, targets = check_scores(scores, targets)
    check_wanted(sensitivity)
    if np.unique(targets).size < 2:
        return None
    false_positive_rate, true_positive_rate, _ = roc_curve(targets, scores, drop_intermediate=False)
    return float(1 - false_positive_rate[true_positive_rate >= sensitivity].min())


def check_wanted(sensitivity: float) -> None:
    """Refuse a sensitivity that asks for nothing, or for more than all.

    Raises:
        ValueError: if it does not lie in (0, 1].
    """
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity must lie in (0, 1], not be {sensitivity}")
