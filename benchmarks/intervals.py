"""Measure the coverage of the evaluation's 95 % intervals in simulated datasets.

python -m benchmarks.intervals
python -m benchmarks.intervals --images 200 --datasets 1000
"""

import argparse
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from melanoma_pl.evaluation import Counts, weighted_metrics
from melanoma_pl.evaluation.comparison import paired_delong
from melanoma_pl.evaluation.intervals import Interval, delong, wilson
from melanoma_pl.evaluation.outcomes import balanced_accuracy, positive_predictive_value_at
from melanoma_pl.evaluation.reliability import bin_errors, ece_estimate
from melanoma_pl.evaluation.resampling import bootstrap, percentile_interval

FRACTION = 300 / 660  # of malignant images, as in the Kaggle dataset of the original
AREA, OTHER_AREA = 0.9, 0.88
BETWEEN_MODELS, WITHIN_LESION = 0.7, 0.7  # correlations of scores
IMAGES_A_LESION = 3
THRESHOLD = 0.3  # of scores
PREVALENCE = 0.05
FACTORS = {"calibrated": 1.0, "logits × 1.5": 1.5, "logits × 3": 3.0}
BINS = 10

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Row = tuple[str, float, Interval | None]  # name, truth, interval


def distance(area: float) -> float:
    """Return the distance of two normal distributions of scores with this AUROC."""
    return math.sqrt(2) * float(norm.ppf(area))


def correlated(random: np.random.Generator, shared: Floats, correlation: float) -> Floats:
    return math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * random.normal(size=shared.size)


def truths() -> dict[str, float]:
    """Return the true values, those of infinitely many images, by integrating over the threshold."""
    scores = np.linspace(-8, 12, 400_001)[::-1]
    sensitivity, false_alarms = norm.sf(scores - distance(AREA)), norm.sf(scores)
    precision = FRACTION * sensitivity / (FRACTION * sensitivity + (1 - FRACTION) * false_alarms)
    above = sensitivity >= 0.8
    found, passed = float(norm.sf(THRESHOLD - distance(AREA))), float(norm.cdf(THRESHOLD))
    called = found * PREVALENCE + (1 - passed) * (1 - PREVALENCE)
    return {
        "average precision": float(np.trapezoid(precision, sensitivity)),
        "partial AUROC": float(np.trapezoid((1 - false_alarms)[above], sensitivity[above])),
        "specificity at 0.9": float(norm.cdf(distance(AREA) - norm.ppf(0.9))),
        "sensitivity": found,
        "specificity": passed,
        "balanced accuracy": (found + passed) / 2,
        "PPV": found * PREVALENCE / called,
    }


def true_ece(factor: float) -> float:
    """Return the ECE of infinitely many images whose calibrated logits are multiplied by a factor."""
    scores = np.linspace(-8, 12, 400_001)
    density = FRACTION * norm.pdf(scores - distance(AREA)) + (1 - FRACTION) * norm.pdf(scores)
    density /= density.sum()
    logits = calibrated_logits(scores)
    bins = np.minimum((BINS * np.cumsum(density)).astype(np.int64), BINS - 1)
    return float(np.abs(np.bincount(bins, density * (expit(logits) - expit(factor * logits)))).sum())


def calibrated_logits(scores: Floats) -> Floats:
    return np.asarray(distance(AREA) * (scores - distance(AREA) / 2) + logit(FRACTION), dtype=np.float64)


def of_single_images(
    random: np.random.Generator, images: int, resamples: int, truth: dict[str, float]
) -> Iterator[Row]:
    """Yield the intervals of one dataset with independent images, and of a second model on it."""
    targets = (np.arange(images) < round(FRACTION * images)).astype(np.int64)
    shared = random.normal(size=images)
    scores = distance(AREA) * targets + correlated(random, shared, BETWEEN_MODELS)
    other = distance(OTHER_AREA) * targets + correlated(random, shared, BETWEEN_MODELS)
    probabilities = norm.cdf(scores)
    yield "AUROC, DeLong", AREA, delong(probabilities, targets)
    difference = paired_delong(probabilities, norm.cdf(other), targets)
    yield "AUROC difference, paired DeLong", AREA - OTHER_AREA, difference.interval
    calls = scores >= THRESHOLD
    outcomes = np.bincount(2 * targets + calls, minlength=4).tolist()
    counts = Counts(outcomes[3], outcomes[1], outcomes[0], outcomes[2])
    yield "sensitivity, Wilson", truth["sensitivity"], wilson(counts.true_positives, counts.positives)
    yield "specificity, Wilson", truth["specificity"], wilson(counts.true_negatives, counts.negatives)
    yield "balanced accuracy, squares added", truth["balanced accuracy"], balanced_accuracy(counts).interval
    yield f"PPV at {PREVALENCE:.0%}, Mercaldo", truth["PPV"], positive_predictive_value_at(counts, PREVALENCE).interval
    precision, partial, specificity = bootstrap(
        lambda weights: curve_figures(weights, probabilities, targets), images, None, resamples, seed_of(random)
    ).T
    yield "average precision, bootstrap", truth["average precision"], percentile_interval(precision)
    yield "partial AUROC, bootstrap", truth["partial AUROC"], percentile_interval(partial)
    yield "specificity at 0.9, bootstrap", truth["specificity at 0.9"], percentile_interval(specificity)


def of_lesions(random: np.random.Generator, images: int, resamples: int) -> Iterator[Row]:
    """Yield the intervals of one dataset with several images of each lesion."""
    lesions = np.arange(images) // IMAGES_A_LESION
    number = int(lesions.max()) + 1
    targets = (np.arange(number) < round(FRACTION * number)).astype(np.int64)[lesions]
    scores = distance(AREA) * targets + correlated(random, random.normal(size=number)[lesions], WITHIN_LESION)
    probabilities = norm.cdf(scores)
    areas = bootstrap(
        lambda weights: weighted_metrics.auroc(weighted_metrics.curves(weights, probabilities, targets)),
        images,
        lesions,
        resamples,
        seed_of(random),
    )
    yield f"AUROC, {IMAGES_A_LESION} images a lesion, cluster bootstrap", AREA, percentile_interval(areas)
    yield f"AUROC, {IMAGES_A_LESION} images a lesion, DeLong", AREA, delong(probabilities, targets)


def of_calibration(random: np.random.Generator, images: int, resamples: int, truth: dict[str, float]) -> Iterator[Row]:
    """Yield the intervals of the ECE of one dataset, for calibrated and for miscalibrated probabilities."""
    targets = (random.random(images) < FRACTION).astype(np.int64)
    logits = calibrated_logits(distance(AREA) * targets + random.normal(size=images))
    seed = seed_of(random)
    for name, factor in FACTORS.items():
        errors = bin_errors(expit(factor * logits), targets, BINS)
        replicates = bootstrap(partial(weighted_metrics.mean, values=errors), images, None, resamples, seed)
        yield f"ECE, {name}", truth[name], ece_estimate(errors.mean(axis=0), replicates).interval


def curve_figures(weights: Integers, probabilities: Floats, targets: Integers) -> Floats:
    points = weighted_metrics.curves(weights, probabilities, targets)
    figures = weighted_metrics.average_precision(points), weighted_metrics.partial_auroc(points)
    return np.column_stack([*figures, weighted_metrics.specificity_at_sensitivity(points, 0.9)])


def seed_of(random: np.random.Generator) -> int:
    return int(random.integers(2**31))


def main() -> None:
    """Simulate the datasets, and print a table of coverages."""
    parsing = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsing.add_argument("--datasets", type=int, default=2000, help="simulated datasets")
    parsing.add_argument("--images", type=int, default=660, help="images of a dataset")
    parsing.add_argument("--resamples", type=int, default=500, help="replicates of each bootstrap")
    parsing.add_argument("--seed", type=int, default=0)
    chosen = parsing.parse_args()
    random, truth, began = np.random.default_rng(chosen.seed), truths(), time.perf_counter()
    errors = {name: true_ece(factor) for name, factor in FACTORS.items()}
    rows: dict[tuple[str, float], list[Interval | None]] = defaultdict(list)
    for _ in range(chosen.datasets):
        for name, value, interval in of_single_images(random, chosen.images, chosen.resamples, truth):
            rows[name, value].append(interval)
        for name, value, interval in of_lesions(random, chosen.images, chosen.resamples):
            rows[name, value].append(interval)
        for name, value, interval in of_calibration(random, chosen.images, chosen.resamples, errors):
            rows[name, value].append(interval)
    print(f"{chosen.datasets} datasets of {chosen.images} images, {round(FRACTION * chosen.images)} of them malignant")
    print(f"\n{'interval of 95 %':<46} {'truth':>6} {'width':>6} {'covers':>7} {'none':>5}")
    for (name, value), intervals in rows.items():
        computed = np.array([interval for interval in intervals if interval is not None])
        covered = np.mean((computed[:, 0] <= value) & (value <= computed[:, 1]))
        width = np.mean(computed[:, 1] - computed[:, 0])
        print(f"{name:<46} {value:>6.3f} {width:>6.3f} {covered:>7.1%} {len(intervals) - len(computed):>5}")
    scatter = math.sqrt(0.95 * 0.05 / chosen.datasets)
    print(f"\nthe standard error of a coverage of 95 % is {scatter:.1%}; {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
