import math

import numpy as np
import pytest
from scipy.stats import norm

from melanoma_pl.evaluation import delong, resampling, weighted_metrics
from melanoma_pl.evaluation.resampling import (
    bootstrap,
    percentile_interval,
    replicate_weights,
    replicates_for,
    resampled,
)


def test_each_replicate_holds_as_many_images_as_there_are():
    weights = replicate_weights(30, replicates=500)
    assert weights.shape == (500, 30) and weights.dtype == np.int64
    assert set(weights.sum(axis=1)) == {30}


def test_images_are_drawn_independently_and_with_replacement():
    weights = replicate_weights(30, replicates=20000)
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.04)
    assert weights.var() == pytest.approx(29 / 30, abs=0.01)
    assert np.mean(weights == 0) == pytest.approx((29 / 30) ** 30, abs=0.01)


def test_images_of_one_lesion_are_drawn_together():
    lesions = np.array(["b", "a", "b", "c", "a"])
    weights = replicate_weights(5, lesions, replicates=200)
    assert np.array_equal(weights[:, 0], weights[:, 2]) and np.array_equal(weights[:, 1], weights[:, 4])
    assert set(weights[:, [0, 1, 3]].sum(axis=1)) == {3}


def test_a_seed_gives_the_same_replicates_whatever_the_blocks(monkeypatch):
    weights = replicate_weights(7, replicates=50, seed=3)
    monkeypatch.setattr(resampling, "BLOCK", 20)
    assert np.array_equal(weights, replicate_weights(7, replicates=50, seed=3))
    assert not np.array_equal(weights, replicate_weights(7, replicates=50, seed=4))
    means = bootstrap(lambda block: weighted_metrics.mean(block, np.arange(7.0)), 7, replicates=50, seed=3)
    assert means == pytest.approx(weights @ np.arange(7.0) / 7)


@pytest.mark.parametrize(("n", "groups", "replicates"), [(0, None, 5), (3, None, 0), (3, ["a", "b"], 5)])
def test_impossible_resampling_is_refused(n, groups, replicates):
    with pytest.raises(ValueError, match="at least one|groups must have shape"):
        replicate_weights(n, groups, replicates)


def test_percentiles_are_numpys():
    values = np.random.default_rng(0).random(999)
    assert percentile_interval(values) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    assert percentile_interval(values, 0.5) == pytest.approx(tuple(np.percentile(values, [25, 75])))


def test_few_missing_replicates_are_left_out_many_leave_no_interval():
    values = np.arange(1000.0)
    values[:10] = math.nan
    assert percentile_interval(values) == pytest.approx(tuple(np.percentile(values[10:], [2.5, 97.5])))
    values[10] = math.nan
    assert percentile_interval(values) is None
    assert "too few images of one class" in resampled(0.5, values).reason
    assert percentile_interval([math.nan] * 5) is None


def test_equal_replicates_are_no_certainty():
    assert percentile_interval([1.0] * 100) is None
    estimate = resampled(1.0, [1.0] * 100)
    assert (estimate.value, estimate.interval) == (1.0, None) and "same number" in estimate.reason


def test_the_bootstrap_of_independent_images_agrees_with_delong():
    random = np.random.default_rng(0)
    targets = np.repeat([1, 0], [150, 200])
    probabilities = norm.cdf(random.normal(targets))
    areas = bootstrap(
        lambda block: weighted_metrics.auroc(weighted_metrics.curves(block, probabilities, targets)),
        350,
        replicates=1000,
    )
    assert percentile_interval(areas) == pytest.approx(delong(probabilities, targets), abs=0.008)


@pytest.mark.slow
def test_drawing_lesions_covers_where_drawing_images_does_not():
    """Each lesion has two images whose scores correlate by 0.9."""
    random, simulations, lesions = np.random.default_rng(1), 300, np.repeat(np.arange(80), 2)
    targets = np.repeat(np.arange(80) < 30, 2).astype(np.int64)
    area, covered = norm.cdf(1.2 / math.sqrt(2)), np.zeros(2)
    for _ in range(simulations):
        scores = math.sqrt(0.9) * np.repeat(random.normal(size=80), 2) + math.sqrt(0.1) * random.normal(size=160)
        probabilities = norm.cdf(scores + 1.2 * targets)
        for index, groups in enumerate((lesions, None)):
            areas = bootstrap(
                lambda block, given=probabilities: weighted_metrics.auroc(
                    weighted_metrics.curves(block, given, targets)
                ),
                160,
                groups,
                300,
                int(random.integers(2**31)),
            )
            low, high = percentile_interval(areas)
            covered[index] += low <= area <= high
    by_lesion, by_image = covered / simulations
    assert by_lesion == pytest.approx(0.95, abs=0.035)
    assert by_image < 0.9


def test_very_many_images_are_drawn_less_often(monkeypatch):
    assert [replicates_for(n) for n in (1, 10_000, 20_000, 100_000, 10**9)] == [2000, 2000, 1000, 200, 200]
    monkeypatch.setattr(resampling, "MOST_WEIGHTS", 9000)
    assert replicate_weights(3).shape == (2000, 3)
    assert bootstrap(lambda block: weighted_metrics.mean(block, np.ones(30)), 30).shape == (300,)
