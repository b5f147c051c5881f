"""The decision that turns a logit into a class: a temperature and a threshold, both fitted on validation images.

All thresholds between two neighbouring probabilities make the same decisions on these images. The midpoint is taken
because then no decision depends on the last digits, which another machine or batch size may change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_pl.errors import did_you_mean
from melanoma_pl.evaluation.calibration import fit_temperature, probabilities
from melanoma_pl.evaluation.checks import Floats, Integers, check_positive, check_probabilities, check_unit

RULES = ("sensitivity", "youden", "fixed")


def choose_threshold(
    probabilities: ArrayLike,
    targets: ArrayLike,
    rule: str = "sensitivity",
    sensitivity: float = 0.95,
    value: float = 0.5,
) -> float:
    """Return the threshold that a rule chooses on these images; the decision is probability >= threshold.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        rule: One of `RULES`. `sensitivity`: the highest threshold that still finds the required proportion of these
            melanomas. `youden`: the largest sensitivity + specificity - 1 (Youden, Cancer 3, 1950), with ties resolved
            in favour of sensitivity, because missing a melanoma costs more than an unnecessary examination. `fixed`:
            `value`.
        sensitivity: Required proportion for the rule `sensitivity`, in (0, 1].
        value: Threshold of the rule `fixed`, in [0, 1], and of the others if they cannot be applied: `sensitivity`
            without malignant images, `youden` with one class only.

    Returns:
        A threshold in [0, 1].

    Raises:
        ValueError: If the rule is unknown, or a number or array is not allowed.
    """
    probabilities, targets = check_probabilities(probabilities, targets)
    check_unit("threshold", value)
    check_unit("sensitivity", sensitivity, "(0, 1]")
    if rule not in RULES:
        raise ValueError(f"threshold rule {rule!r} is unknown: {did_you_mean(rule, RULES)}")
    positives = int(targets.sum())
    if rule == "sensitivity" and positives > 0:
        return _midway(_deciding_by_sensitivity(probabilities[targets == 1], sensitivity), probabilities)
    if rule == "youden" and 0 < positives < targets.size:
        return _midway(_deciding_by_youden(probabilities, targets), probabilities)
    return float(value)


def _deciding_by_sensitivity(probabilities_of_positives: Floats, sensitivity: float) -> float:
    """Return the highest probability `(P,)` that must count as malignant to find the required proportion."""
    positives = probabilities_of_positives.size
    # Quotients are compared: 0.07 * 100 exceeds 7 in floating point, and its ceiling would require an eighth melanoma.
    enough = np.arange(1, positives + 1) / positives >= sensitivity
    return float(np.sort(probabilities_of_positives)[::-1][int(np.argmax(enough))])


def _deciding_by_youden(probabilities: Floats, targets: Integers) -> float:
    """Return the probability that, taken as threshold, gives the largest Youden index; the lowest of several."""
    candidates, group = np.unique(probabilities, return_inverse=True)  # ascending
    true_positives = np.bincount(group, weights=targets)[::-1].cumsum()[::-1]  # at each candidate and above
    false_positives = np.bincount(group, weights=1 - targets)[::-1].cumsum()[::-1]
    # Youden's index times both class sizes: integers, so that equal values compare equal.
    index = true_positives * false_positives[0] - false_positives * true_positives[0]
    return float(candidates[int(np.argmax(index))])


def _midway(deciding: float, probabilities: Floats) -> float:
    """Return the midpoint of the deciding probability and the next lower one of all images, or of 0 if there is none.

    Two adjacent floating-point numbers have no midpoint; the deciding probability itself is then returned.
    """
    lower = float(probabilities[probabilities < deciding].max(initial=0.0))
    middle = (lower + deciding) / 2
    return middle if middle > lower else deciding


@dataclass(frozen=True)
class Decision:
    """A temperature and a threshold.

    Attributes:
        temperature: Divisor of the logits, a positive number.
        threshold: Lowest probability, in [0, 1], at which an image is called malignant.

    Raises:
        ValueError: If one of them is not in its range.
    """

    temperature: float = 1.0
    threshold: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a decision that cannot be applied."""
        check_positive("temperature", self.temperature)
        check_unit("threshold", self.threshold)

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Return calibrated probabilities, float64 `(N,)` in [0, 1], of logits, float `(N,)`."""
        return probabilities(logits, self.temperature)

    def is_malignant(self, logits: ArrayLike) -> NDArray[Any]:
        """Return which images are called malignant, bool `(N,)`, from logits, float `(N,)`."""
        return self.probabilities(logits) >= self.threshold


def fit_decision(logits: ArrayLike, targets: ArrayLike, rule: Mapping[str, Any]) -> Decision:
    """Fit the temperature, then the threshold.

    Args:
        logits: float `(N,)`, finite, of validation images.
        targets: int `(N,)`, 1 is malignant.
        rule: Further arguments of `choose_threshold`.
    """
    temperature = fit_temperature(logits, targets)
    return Decision(temperature, choose_threshold(probabilities(logits, temperature), targets, **rule))
