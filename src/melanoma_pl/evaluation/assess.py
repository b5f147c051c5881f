"""From probabilities and targets to what `assessment` holds: every number with its interval, or with a reason."""

import numpy as np
from numpy.typing import ArrayLike

from melanoma_pl.evaluation import metrics, ranking, weighted
from melanoma_pl.evaluation.assessment import Calibration, Ranking, Subgroup
from melanoma_pl.evaluation.calibration import probabilities as sigmoid
from melanoma_pl.evaluation.calibration_error import ece_estimate
from melanoma_pl.evaluation.checks import Floats, Integers, check_logits, check_scores
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.evaluation.intervals import delong
from melanoma_pl.evaluation.outcomes import share
from melanoma_pl.evaluation.recalibration import recalibration_intercept, recalibration_slope
from melanoma_pl.evaluation.reliability import bin_errors, calibrated_ece_range, reliability_bins
from melanoma_pl.evaluation.resampling import bootstrap, resampled
from melanoma_pl.evaluation.scarcity import SMALLEST, missing_class, too_small

SENSITIVITIES = (0.82, 0.9, 0.95)  # 0.82: of the International Skin Imaging Collaboration's challenges


def rank(
    scores: ArrayLike, targets: ArrayLike, groups: ArrayLike | None = None, draws: int | None = None, seed: int = 0
) -> Ranking:
    """Return how well malignant photos rank above benign ones.

    Args:
        scores: float `(N,)`, the higher, the more suspicious: logits, which never tie where photos differ, or
            probabilities, which do from a logit of 37 on, where double precision ends.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, the lesion of each photo; None if each photo stands alone.
        draws: of the bootstrap, which draws lesions where they are known; None for `draws_for(N)`.
        seed: of the bootstrap.
    """
    scores, targets = check_scores(scores, targets)
    if missing := missing_class(targets):
        none = Estimate(None, None, missing)
        return Ranking(none, None if groups is None else none, none, none, dict.fromkeys(SENSITIVITIES, none))

    order = weighted.order_of(scores, targets)

    def statistics(weights: Integers) -> Floats:
        points = weighted.ordered_curves(weights, order)
        figures = [weighted.auroc(points), weighted.average_precision(points), weighted.partial_auroc(points)]
        figures += [weighted.specificity_at_sensitivity(points, sensitivity) for sensitivity in SENSITIVITIES]
        return np.column_stack(figures)

    owners = weighted.ordered_groups(order, groups)
    area, precision, partial, *specificities = bootstrap(statistics, targets.size, owners, draws, seed).T
    return Ranking(
        auroc=auroc_with_delong(scores, targets),
        auroc_by_lesion=None if groups is None else _resampled(metrics.auroc(scores, targets), area),
        average_precision=_resampled(metrics.average_precision(scores, targets), precision),
        partial_auroc=_resampled(ranking.partial_auroc(scores, targets), partial),
        specificity_at={
            sensitivity: _resampled(ranking.specificity_at_sensitivity(scores, targets, sensitivity), values)
            for sensitivity, values in zip(SENSITIVITIES, specificities, strict=True)
        },
    )


def calibrate(
    logits: ArrayLike,
    targets: ArrayLike,
    temperature: float = 1.0,
    groups: ArrayLike | None = None,
    bins: int = 10,
    draws: int | None = None,
    seed: int = 0,
) -> Calibration:
    """Return whether sigmoid(logits / temperature) means what it says.

    Args:
        logits: float `(N,)`, finite; positive speaks for malignant.
        targets: int `(N,)`, 1 is malignant.
        temperature: above 0.
        groups: `(N,)`, the lesion of each photo; None if each photo stands alone.
        bins: of the reliability diagram and the ECE.
        draws: of the bootstrap and of the range of a calibrated model; None for `draws_for(N)`.
        seed: of both.
    """
    logits, targets = check_logits(logits, targets)
    probabilities = sigmoid(logits, temperature)
    # scikit-learn's distance from 0 and 1, so that no photo costs infinity.
    likely = np.clip(np.where(targets == 1, probabilities, 1 - probabilities), np.finfo(np.float64).eps, 1)
    errors = bin_errors(probabilities, targets, bins)
    losses = np.column_stack([(probabilities - targets) ** 2, -np.log(likely), errors])  # (N, 2 + bins)
    drawn = bootstrap(lambda weights: weighted.mean(weights, losses), targets.size, groups, draws, seed)
    return Calibration(
        temperature=float(temperature),
        ece=ece_estimate(errors.mean(axis=0), drawn[:, 2:]),
        ece_if_calibrated=calibrated_ece_range(probabilities, groups, bins, draws, seed),
        brier=resampled(metrics.brier(probabilities, targets), drawn[:, 0]),
        log_loss=resampled(metrics.log_loss(probabilities, targets), drawn[:, 1]),
        intercept=recalibration_intercept(logits / temperature, targets, groups),
        slope=recalibration_slope(logits / temperature, targets, groups),
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
    """Return the figures of photos that share a value of a column.

    Args:
        value: that they share.
        probabilities: float64 `(N,)` in [0, 1], of being malignant; of these photos only.
        targets: int `(N,)`, 1 is malignant; of these photos only.
        threshold: in [0, 1].
        smallest: photos of a class, at least 1, that a figure about it needs; with fewer it is "too small".
        scores: float `(N,)`, logits of these photos, by which they are ranked; None for their probabilities.
    """
    counts = metrics.count(probabilities, targets, threshold)
    few_malignant = too_small(counts.positives, "malignant", smallest)
    few_benign = too_small(counts.negatives, "benign", smallest)
    few = few_malignant or few_benign
    ranked = probabilities if scores is None else scores
    return Subgroup(
        value=value,
        n=counts.n,
        positives=counts.positives,
        auroc=Estimate(None, None, few) if few else auroc_with_delong(ranked, targets),
        sensitivity=share(counts.true_positives, 0 if few_malignant else counts.positives, few_malignant),
        specificity=share(counts.true_negatives, 0 if few_benign else counts.negatives, few_benign),
    )


def auroc_with_delong(scores: ArrayLike, targets: ArrayLike) -> Estimate:
    """Return the AUROC with DeLong's interval, of logits or probabilities, float `(N,)`, and targets, int `(N,)`."""
    scores, targets = check_scores(scores, targets)
    if missing := missing_class(targets):
        return Estimate(None, None, missing)
    interval = delong(scores, targets)
    return Estimate(metrics.auroc(scores, targets), interval, "" if interval else "only one photo of a class")


def _resampled(value: float | None, values: Floats) -> Estimate:
    return Estimate(None) if value is None else resampled(value, values)
