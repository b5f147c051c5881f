"""The assessment of one set of images: ranking, calibration, subgroups, and a summary as plain values."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from melanoma_pl.evaluation import metrics, weighted_metrics
from melanoma_pl.evaluation.calibration import probabilities as sigmoid
from melanoma_pl.evaluation.calibration import recalibration_intercept, recalibration_slope
from melanoma_pl.evaluation.checks import SMALLEST, Floats, Integers, check_scores, missing_class, too_small
from melanoma_pl.evaluation.intervals import Estimate, Interval, delong, proportion, wilson
from melanoma_pl.evaluation.reliability import Bin, bin_errors, calibrated_ece_range, ece_estimate, reliability_bins
from melanoma_pl.evaluation.resampling import bootstrap, resampled

SENSITIVITIES = (0.82, 0.9, 0.95)  # 0.82 is that of the International Skin Imaging Collaboration's challenges


@dataclass(frozen=True)
class Ranking:
    """Threshold-free metrics of how well malignant images rank above benign ones.

    Attributes:
        auroc: With DeLong's interval.
        auroc_by_lesion: With the interval of a cluster bootstrap; None if lesions are unknown.
        average_precision: Area under the precision-recall curve.
        partial_auroc: Area above 80 % sensitivity, 0 to 0.2 (the score of ISIC 2024).
        specificity_at: Sensitivity (0.82, 0.9, 0.95) → the highest specificity of a threshold that reaches it. The
            threshold is chosen on these very images, so the specificity describes the ranking and not a decision.
    """

    auroc: Estimate
    auroc_by_lesion: Estimate | None
    average_precision: Estimate
    partial_auroc: Estimate
    specificity_at: dict[float, Estimate]


@dataclass(frozen=True)
class Calibration:
    """Agreement of probabilities with observed frequencies.

    Attributes:
        temperature: Divisor of the logits; 1 before calibration.
        ece: Expected calibration error, which chance biases upwards: see `reliability.ece_estimate`.
        ece_if_calibrated: 95 % range of the ECE of a perfectly calibrated model on these images.
        brier: Brier score.
        log_loss: In nats.
        intercept: Recalibration intercept, 0 at best: below 0 the probabilities are too high.
        slope: Recalibration slope, 1 at best: below 1 the probabilities are too extreme.
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
    """The performance on images with one value of a column, such as one sex or one age band."""

    value: str
    n: int
    positives: int
    auroc: Estimate
    sensitivity: Estimate
    specificity: Estimate


def rank(
    scores: ArrayLike, targets: ArrayLike, groups: ArrayLike | None = None, replicates: int | None = None, seed: int = 0
) -> Ranking:
    """Return how well malignant images rank above benign ones.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits, which differ wherever images differ, or
            probabilities, which double precision rounds to 1 from a logit of 37 on.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, the lesion of each image; None if the images are independent.
        replicates: Number of bootstrap replicates, which resample lesions if they are known; None for
            `replicates_for(N)`.
        seed: Seed of the bootstrap.
    """
    scores, targets = check_scores(scores, targets)
    if missing := missing_class(targets):
        none = Estimate(None, None, missing)
        return Ranking(none, None if groups is None else none, none, none, dict.fromkeys(SENSITIVITIES, none))

    order = weighted_metrics.order_of(scores, targets)

    def statistics(weights: Integers) -> Floats:
        points = weighted_metrics.ordered_curves(weights, order)
        figures = [
            weighted_metrics.auroc(points),
            weighted_metrics.average_precision(points),
            weighted_metrics.partial_auroc(points),
        ]
        figures += [weighted_metrics.specificity_at_sensitivity(points, sensitivity) for sensitivity in SENSITIVITIES]
        return np.column_stack(figures)

    owners = weighted_metrics.ordered_groups(order, groups)
    area, precision, partial, *specificities = bootstrap(statistics, targets.size, owners, replicates, seed).T
    return Ranking(
        auroc=auroc_with_delong(scores, targets),
        auroc_by_lesion=None if groups is None else resampled(metrics.auroc(scores, targets), area),
        average_precision=resampled(metrics.average_precision(scores, targets), precision),
        partial_auroc=resampled(metrics.partial_auroc(scores, targets), partial),
        specificity_at={
            sensitivity: resampled(metrics.specificity_at_sensitivity(scores, targets, sensitivity), values)
            for sensitivity, values in zip(SENSITIVITIES, specificities, strict=True)
        },
    )


def calibrate(
    logits: ArrayLike,
    targets: ArrayLike,
    temperature: float = 1.0,
    groups: ArrayLike | None = None,
    bins: int = 10,
    replicates: int | None = None,
    seed: int = 0,
) -> Calibration:
    """Return how well sigmoid(logits / temperature) agrees with observed frequencies.

    Args:
        logits: float `(N,)`, finite; the higher, the more suspicious.
        targets: int `(N,)`, 1 is malignant.
        temperature: A positive number.
        groups: `(N,)`, the lesion of each image; None if the images are independent.
        bins: Number of bins of the reliability diagram and of the ECE.
        replicates: Number of bootstrap replicates and of resampled targets; None for `replicates_for(N)`.
        seed: Seed of both.
    """
    logits, targets = check_scores(logits, targets, "logits")
    probabilities = sigmoid(logits, temperature)
    # The distance from 0 and 1 that scikit-learn keeps, so that no image costs infinity.
    likelihoods = np.clip(np.where(targets == 1, probabilities, 1 - probabilities), np.finfo(np.float64).eps, 1)
    errors = bin_errors(probabilities, targets, bins)
    losses = np.column_stack([(probabilities - targets) ** 2, -np.log(likelihoods), errors])  # (N, 2 + bins)
    values = bootstrap(lambda weights: weighted_metrics.mean(weights, losses), targets.size, groups, replicates, seed)
    scaled = logits / temperature
    return Calibration(
        temperature=float(temperature),
        ece=ece_estimate(errors.mean(axis=0), values[:, 2:]),
        ece_if_calibrated=calibrated_ece_range(probabilities, groups, bins, replicates, seed),
        brier=resampled(metrics.brier(probabilities, targets), values[:, 0]),
        log_loss=resampled(metrics.log_loss(probabilities, targets), values[:, 1]),
        intercept=recalibration_intercept(scaled, targets, groups),
        slope=recalibration_slope(scaled, targets, groups),
        bins=reliability_bins(probabilities, targets, bins),
    )


def subgroup(
    value: str,
    probabilities: ArrayLike,
    targets: ArrayLike,
    threshold: float,
    smallest: int = SMALLEST,
    scores: ArrayLike | None = None,
) -> Subgroup:
    """Return the performance on the images of one subgroup.

    Args:
        value: The value that the images share, such as "female".
        probabilities: float64 `(N,)` in [0, 1], of being malignant; of these images only.
        targets: int `(N,)`, 1 is malignant; of these images only.
        threshold: Threshold in [0, 1].
        smallest: Number of images of a class, at least 1, below which figures that depend on the class are "too small".
        scores: float `(N,)`, logits of these images for the AUROC; None for their probabilities.
    """
    counts = metrics.count(probabilities, targets, threshold)
    few_positives = too_small(counts.positives, "positive", smallest)
    few_negatives = too_small(counts.negatives, "negative", smallest)
    few = few_positives or few_negatives
    scores = probabilities if scores is None else scores
    return Subgroup(
        value=value,
        n=counts.n,
        positives=counts.positives,
        auroc=Estimate(None, None, few) if few else auroc_with_delong(scores, targets),
        sensitivity=proportion(counts.true_positives, 0 if few_positives else counts.positives, few_positives),
        specificity=proportion(counts.true_negatives, 0 if few_negatives else counts.negatives, few_negatives),
    )


def auroc_with_delong(scores: ArrayLike, targets: ArrayLike) -> Estimate:
    """Return the AUROC with DeLong's interval from logits or probabilities, float `(N,)`, and targets, int `(N,)`."""
    scores, targets = check_scores(scores, targets)
    if missing := missing_class(targets):
        return Estimate(None, None, missing)
    interval = delong(scores, targets)
    return Estimate(metrics.auroc(scores, targets), interval, "" if interval else "only one image of a class")


def summarise(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> dict[str, float | int | None]:
    """Return the main metrics of one set of images as plain values.

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: Threshold in [0, 1]; the decision is probability >= threshold.

    Returns:
        n, positives, auroc, average_precision, accuracy, sensitivity, specificity, balanced_accuracy, log_loss, brier,
        threshold, true_positives, false_positives, true_negatives, false_negatives; None if it cannot be computed.
    """
    counts = metrics.count(probabilities, targets, threshold)
    return {
        "n": counts.n,
        "positives": counts.positives,
        "auroc": metrics.auroc(probabilities, targets),
        "average_precision": metrics.average_precision(probabilities, targets),
        "accuracy": counts.accuracy,
        "sensitivity": counts.sensitivity,
        "specificity": counts.specificity,
        "balanced_accuracy": counts.balanced_accuracy,
        "log_loss": metrics.log_loss(probabilities, targets),
        "brier": metrics.brier(probabilities, targets),
        "threshold": float(threshold),
        **asdict(counts),
    }


def intervals_of(probabilities: ArrayLike, targets: ArrayLike, threshold: float) -> dict[str, Interval | None]:
    """Return the 95 % confidence intervals of auroc (DeLong), accuracy, sensitivity and specificity (Wilson).

    Args:
        probabilities: float64 `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 1 is malignant.
        threshold: Threshold in [0, 1]; the decision is probability >= threshold.
    """
    counts = metrics.count(probabilities, targets, threshold)
    return {
        "auroc": delong(probabilities, targets),
        "accuracy": wilson(counts.true_positives + counts.true_negatives, counts.n),
        "sensitivity": wilson(counts.true_positives, counts.positives),
        "specificity": wilson(counts.true_negatives, counts.negatives),
    }
