"""All numbers of one set of images that a careful reviewer asks for."""

from dataclasses import dataclass

from melanoma_pl.evaluation.intervals import Estimate, Interval
from melanoma_pl.evaluation.metrics import Counts


@dataclass(frozen=True)
class Ranking:
    """How well malignant images rank above benign ones, whatever the threshold.

    Attributes:
        auroc: With DeLong's interval.
        auroc_by_lesion: With a cluster bootstrap's interval, where lesions are known; else None.
        average_precision: Area under the precision-recall curve.
        partial_auroc: Area above 80 % sensitivity, 0 to 0.2 (the score of ISIC 2024).
        specificity_at: Sensitivity (0.82, 0.9, 0.95) → the highest specificity of a threshold that reaches it. The
            threshold is one of these very images: it says what the ranking could give, it is no decision.
    """

    auroc: Estimate
    auroc_by_lesion: Estimate | None
    average_precision: Estimate
    partial_auroc: Estimate
    specificity_at: dict[float, Estimate]


@dataclass(frozen=True)
class Decisions:
    """What one threshold decides.

    Attributes:
        name: Such as "chosen on validation", "0.5", "always benign".
        threshold: In [0, 1]; None for always benign.
        counts: The four outcomes.
        positive_predictive_value: At the share of malignant images among these.
        negative_predictive_value: The same.
        positive_predictive_value_at: At the share that the user gave; None where none was given.
        negative_predictive_value_at: The same.
    """

    name: str
    threshold: float | None
    counts: Counts
    sensitivity: Estimate
    specificity: Estimate
    balanced_accuracy: Estimate
    accuracy: Estimate
    positive_predictive_value: Estimate
    negative_predictive_value: Estimate
    positive_predictive_value_at: Estimate | None
    negative_predictive_value_at: Estimate | None


@dataclass(frozen=True)
class Bin:
    """Images of similar probability: how many, their mean probability, the share of them that is malignant."""

    n: int
    probability: float
    share: Estimate


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities mean what they say.

    Attributes:
        temperature: By which logits were divided; 1 before calibration.
        ece: Expected calibration error, which chance alone makes larger than it is: see `calibration_error`.
        ece_if_calibrated: 95 % range that the ECE of a perfectly calibrated model would have with these images.
        brier: Brier score.
        log_loss: In nats.
        intercept: Of the recalibration, 0 at best: below 0 the probabilities are too high.
        slope: Of the recalibration, 1 at best: below 1 they are too extreme.
        bins: The reliability diagram.
    """

    temperature: float
    ece: Estimate
    ece_if_calibrated: Interval | None
    brier: Estimate
    log_loss: Estimate
    intercept: Estimate
    slope: Estimate
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Subgroup:
    """Images that share a value of a column, such as one sex or one band of ages."""

    value: str
    n: int
    positives: int
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate
