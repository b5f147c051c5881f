"""Metrics of probabilities and decisions as plain numbers.

A metric that the images do not determine, such as the AUROC of one class or the sensitivity without a melanoma, is
None: a silent 0 or 1 would be read as a result.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from sklearn.metrics import log_loss as sklearn_log_loss

from melanoma_pl.evaluation.checks import check_probabilities, check_scores, check_unit, missing_class


def auroc(scores: ArrayLike, targets: ArrayLike) -> float | None:
    """Return the area under the ROC curve.

    It is the probability that a malignant image ranks above a benign one; ties count half.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.

    Returns:
        A number in [0, 1], 0.5 at chance level; None if there is only one class.
    """
    scores, targets = check_scores(scores, targets)
    return None if missing_class(targets) else float(roc_auc_score(targets, scores))


def average_precision(scores: ArrayLike, targets: ArrayLike) -> float | None:
    """Return the precision averaged over the melanomas: the area under the precision-recall curve, as a step function.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.

    Returns:
        A number in (0, 1], the proportion of melanomas at chance level; None if there is only one class (with melanomas
        alone it is 1 for every model).
    """
    scores, targets = check_scores(scores, targets)
    return None if missing_class(targets) else float(average_precision_score(targets, scores))


def partial_auroc(scores: ArrayLike, targets: ArrayLike, sensitivity: float = 0.8) -> float | None:
    """Return the area between the ROC curve and the line of the given sensitivity, above that line.

    The area under the whole curve also counts thresholds that miss half of the melanomas, which no clinic would use.
    This area is the score of the ISIC 2024 challenge (Kurtansky et al., Scientific Data 11, 2024). With classes and
    order reversed, high sensitivity becomes a low false positive rate, whose area scikit-learn computes; the
    standardisation of McClish (Medical Decision Making 9, 1989) is then undone.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.
        sensitivity: The lowest sensitivity that counts, in (0, 1).

    Returns:
        A number in [0, 1 - sensitivity], half the square of 1 - sensitivity at chance level; None if there is only one
        class.
    """
    scores, targets = check_scores(scores, targets)
    highest = 1 - check_unit("sensitivity", sensitivity, "(0, 1)")
    if missing_class(targets):
        return None
    standardised = roc_auc_score(1 - targets, -scores, max_fpr=highest)
    lowest = highest**2 / 2
    return float(lowest + (2 * standardised - 1) * (highest - lowest))


def specificity_at_sensitivity(scores: ArrayLike, targets: ArrayLike, sensitivity: float) -> float | None:
    """Return the highest specificity among the points of the ROC curve that reach a sensitivity.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits or probabilities.
        targets: int `(N,)`, 1 is malignant.
        sensitivity: The required sensitivity, in (0, 1].

    Returns:
        A number in [0, 1]; None if there is only one class.
    """
    scores, targets = check_scores(scores, targets)
    check_unit("sensitivity", sensitivity, "(0, 1]")
    if missing_class(targets):
        return None
    false_positive_rate, true_positive_rate, _ = roc_curve(targets, scores, drop_intermediate=False)
    return float(1 - false_positive_rate[true_positive_rate >= sensitivity].min())


def log_loss(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the mean negative log-likelihood, in nats.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant; scikit-learn keeps them 2.2e-16 away from 0 and 1,
            so that one image costs at most 36 rather than infinity.
        targets: int `(N,)`, 1 is malignant.

    Returns:
        A number of at least 0; 0.693 for a model that always predicts one half.
    """
    probabilities, targets = check_probabilities(probabilities, targets)
    return float(sklearn_log_loss(targets, probabilities, labels=[0, 1]))


def brier(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Return the mean squared difference between probability and target (Brier, Monthly Weather Review 78, 1950).

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.

    Returns:
        A number in [0, 1]; 0.25 for a model that always predicts one half.
    """
    probabilities, targets = check_probabilities(probabilities, targets)
    return float(np.mean((probabilities - targets) ** 2))


@dataclass(frozen=True)
class Counts:
    """The confusion matrix of binary decisions; positive means malignant. A proportion with divisor 0 is None."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int

    @property
    def n(self) -> int:
        """Number of images."""
        return self.positives + self.negatives

    @property
    def positives(self) -> int:
        """Number of malignant images."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> int:
        """Number of benign images."""
        return self.true_negatives + self.false_positives

    @property
    def accuracy(self) -> float | None:
        """Proportion of images whose decision is correct."""
        return _divide(self.true_positives + self.true_negatives, self.n)

    @property
    def sensitivity(self) -> float | None:
        """Proportion of malignant images called malignant (recall)."""
        return _divide(self.true_positives, self.positives)

    @property
    def specificity(self) -> float | None:
        """Proportion of benign images called benign."""
        return _divide(self.true_negatives, self.negatives)

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of sensitivity and specificity: 0.5 for constant decisions."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return (self.sensitivity + self.specificity) / 2

    @property
    def positive_predictive_value(self) -> float | None:
        """Proportion of malignant decisions that are correct (precision), at the prevalence of these images."""
        return _divide(self.true_positives, self.true_positives + self.false_positives)

    @property
    def negative_predictive_value(self) -> float | None:
        """Proportion of benign decisions that are correct, at the prevalence of these images."""
        return _divide(self.true_negatives, self.true_negatives + self.false_negatives)


def count(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> Counts:
    """Return the confusion matrix of the decision probability >= threshold.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: Threshold in [0, 1].
    """
    probabilities, targets = check_probabilities(probabilities, targets)
    decisions = probabilities >= check_unit("threshold", threshold)
    outcomes = np.bincount(2 * targets + decisions, minlength=4)
    true_negatives, false_positives, false_negatives, true_positives = (int(outcome) for outcome in outcomes)
    return Counts(true_positives, false_positives, true_negatives, false_negatives)


def _divide(part: int, whole: int) -> float | None:
    return part / whole if whole else None
