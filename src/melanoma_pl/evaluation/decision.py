"""Which probability is high enough to say malignant: a threshold, chosen on validation images.

On these images every threshold between two neighbouring probabilities decides alike. The one midway is taken, because
then the last digits, which another machine or batch size may change, flip no decision.

What turns a logit into a decision: a temperature and a threshold, both fitted on validation images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from melanoma_pl.errors import did_you_mean
from melanoma_pl.evaluation.calibration import fit_temperature, probabilities
from melanoma_pl.evaluation.checks import Floats, Integers, check_images, check_unit

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
        rule: one of `RULES`. `sensitivity`: the highest threshold that still finds the wanted share of these melanomas.
            `youden`: the largest sensitivity + specificity - 1 (Youden, Cancer 3, 1950), of several the one with the
            highest sensitivity, because a missed melanoma costs more than a needless look. `fixed`: `value`.
        sensitivity: for rule `sensitivity`, the wanted share in (0, 1].
        value: in [0, 1]: the threshold of rule `fixed`, and of the others where they have nothing to go by:
            `sensitivity` without malignant images, `youden` with one class only.

    Returns:
        A threshold in [0, 1].

    Raises:
        ValueError: if the rule is unknown, or a number or array is not allowed.
    """
    probabilities, targets = check_images(probabilities, targets)
    check_unit("threshold", value)
    if not 0 < sensitivity <= 1:
        raise ValueError(f"sensitivity must lie in (0, 1], not be {sensitivity}")
    if rule not in RULES:
        raise ValueError(f"threshold rule {rule!r} is unknown: {did_you_mean(rule, RULES)}")
    positives = int(targets.sum())
    if rule == "sensitivity" and positives > 0:
        return _midway(_deciding_by_sensitivity(probabilities[targets == 1], sensitivity), probabilities)
    if rule == "youden" and 0 < positives < targets.size:
        return _midway(_deciding_by_youden(probabilities, targets), probabilities)
    return float(value)


def _deciding_by_sensitivity(probabilities_of_positives: Floats, sensitivity: float) -> float:
    """Return the lowest probability `(P,)` that must still count as malignant to find the wanted share."""
    positives = probabilities_of_positives.size
    # Compared as shares: 0.07 * 100 is above 7 in floating point, and its ceiling would ask for an eighth melanoma.
    enough = np.arange(1, positives + 1) / positives >= sensitivity
    return float(np.sort(probabilities_of_positives)[::-1][int(np.argmax(enough))])


def _deciding_by_youden(probabilities: Floats, targets: Integers) -> float:
    """Return the probability that, taken as threshold, gives the largest Youden index; the lowest of several."""
    candidates, group = np.unique(probabilities, return_inverse=True)  # ascending
    positives = np.bincount(group, weights=targets)[::-1].cumsum()[::-1]  # found, at each candidate and above
    negatives = np.bincount(group, weights=1 - targets)[::-1].cumsum()[::-1]  # called malignant in error
    # Youden's index times both class sizes: whole numbers, so that equal ones compare equal.
    index = positives * negatives[0] - negatives * positives[0]
    return float(candidates[int(np.argmax(index))])


def _midway(deciding: float, probabilities: Floats) -> float:
    """Return the middle between the deciding probability and the next lower one of all images, or 0 if there is none.

    Between two neighbouring floating-point numbers there is no middle; the deciding probability itself then serves.
    """
    lower = float(probabilities[probabilities < deciding].max(initial=0.0))
    middle = (lower + deciding) / 2
    return middle if middle > lower else deciding


@dataclass(frozen=True)
class Decision:
    """A temperature and a threshold.

    Attributes:
        temperature: By which logits are divided, above 0.
        threshold: Probability, in [0, 1], from which on an image is called malignant.
    """

    temperature: float = 1.0
    threshold: float = 0.5

    def probabilities(self, logits: ArrayLike) -> Floats:
        """Return float64 `(N,)` in [0, 1] from float `(N,)`."""
        return probabilities(logits, self.temperature)

    def is_malignant(self, logits: ArrayLike) -> NDArray[Any]:
        """Return bool `(N,)` from float `(N,)`."""
        return self.probabilities(logits) >= self.threshold


def fit_decision(logits: ArrayLike, targets: ArrayLike, rule: Mapping[str, Any]) -> Decision:
    """Fit temperature, then threshold.

    Args:
        logits: float `(N,)`, finite, of validation images.
        targets: int `(N,)`, 1 is malignant.
        rule: The arguments of `choose_threshold`.
    """
    temperature = fit_temperature(logits, targets)
    return Decision(temperature, choose_threshold(probabilities(logits, temperature), targets, **rule))
