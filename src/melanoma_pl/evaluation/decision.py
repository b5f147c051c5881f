"""What turns a logit into a decision: a temperature and a threshold, both fitted on validation photos."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike, NDArray

from melanoma_pl.evaluation.calibration import fit_temperature, probabilities
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.evaluation.operating_point import choose_threshold


@dataclass(frozen=True)
class Decision:
    """A temperature and a threshold.

    Attributes:
        temperature: By which logits are divided, above 0.
        threshold: Probability, in [0, 1], from which on a photo is called malignant.
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
        logits: float `(N,)`, finite, of validation photos.
        targets: int `(N,)`, 1 is malignant.
        rule: The arguments of `choose_threshold`.
    """
    temperature = fit_temperature(logits, targets)
    return Decision(temperature, choose_threshold(probabilities(logits, temperature), targets, **rule))
