import math

import numpy as np
import pytest
from scipy.stats import norm

from melanoma_pl.evaluation import auroc, delong, weighted_metrics
from melanoma_pl.evaluation.comparison import detectable, paired_auroc_by_lesion, paired_delong
from melanoma_pl.evaluation.resampling import percentile_interval, replicate_weights


def draw(random, positives=40, negatives=60, distance=1.0, correlation=0.6, decimals=15):
    targets = np.repeat([1, 0], [positives, negatives])
    shared = random.normal(size=targets.size)
    models = [
        np.round(
            norm.cdf(
                distance * targets
                + math.sqrt(correlation) * shared
                + math.sqrt(1 - correlation) * random.normal(size=targets.size)
            ),
            decimals,
        )
        for _ in range(2)
    ]
    return *models, targets


def direct(first, second, targets):
    """DeLong (1988) as written, with the 2 × 2 covariance matrices of both classes' mean scores."""
    of_positives, of_negatives = [], []
    for model in (first, second):
        positives, negatives = model[targets == 1], model[targets == 0]
        scores = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
        of_positives.append(scores.mean(axis=1))
        of_negatives.append(scores.mean(axis=0))
    covariance = np.cov(of_positives) / len(of_positives[0]) + np.cov(of_negatives) / len(of_negatives[0])
    contrast = np.array([1, -1])
    return np.mean(of_positives[0]) - np.mean(of_positives[1]), math.sqrt(contrast @ covariance @ contrast)


@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_paired_delong_equals_the_direct_computation(decimals):
    images = draw(np.random.default_rng(decimals), decimals=decimals)
    value, error = direct(*images)
    found = paired_delong(*images)
    assert found.value == pytest.approx(auroc(images[0], images[2]) - auroc(images[1], images[2]), abs=1e-12)
    assert (found.value, *found.interval) == pytest.approx((value, value - 1.959964 * error, value + 1.959964 * error))
    assert found.p_value == pytest.approx(2 * norm.cdf(-abs(value) / error), rel=1e-9)
    assert found.detectable == pytest.approx(2.801585 * error, rel=1e-6)
    assert not found.reason


def test_paired_delong_turns_over_with_the_models():
    first, second, targets = draw(np.random.default_rng(4))
    found, other = paired_delong(first, second, targets), paired_delong(second, first, targets)
    assert other.value == pytest.approx(-found.value)
    assert other.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert other.p_value == pytest.approx(found.p_value)


def test_pairing_tells_more_than_two_intervals():
    first, second, targets = draw(np.random.default_rng(5), correlation=0.95)
    assert np.ptp(paired_delong(first, second, targets).interval) < np.ptp(delong(first, targets))


@pytest.mark.parametrize("change", [lambda model: model, lambda model: model**2])
def test_the_same_order_is_no_difference_and_no_certainty(change):
    first, _, targets = draw(np.random.default_rng(6))
    for found in (
        paired_delong(first, change(first), targets),
        paired_auroc_by_lesion(first, change(first), targets, np.arange(100), replicates=100),
    ):
        assert (found.value, found.interval, found.p_value, found.detectable) == (0, None, None, None)
        assert found.reason == "both models rank all images identically"


def test_a_perfect_order_and_its_reverse_have_no_variance():
    found = paired_delong([0.9, 0.8, 0.1, 0.2], [0.1, 0.1, 0.9, 0.9], [1, 1, 0, 0])
    assert (found.value, found.interval) == (1, None) and "same difference" in found.reason


@pytest.mark.parametrize(
    ("targets", "value", "reason"),
    [([0, 0, 0], None, "no positive images"), ([1, 1, 1], None, "no negative images"), ([0, 0, 1], 0.5, "only one")],
)
def test_too_few_images_have_a_reason(targets, value, reason):
    found = paired_delong([0.1, 0.2, 0.3], [0.1, 0.4, 0.3], targets)
    assert (found.value, found.interval) == (value, None) and reason in found.reason
    if value is None:
        assert paired_auroc_by_lesion([0.1, 0.2, 0.3], [0.1, 0.4, 0.3], targets, [1, 2, 3]).reason == reason


def test_the_bootstrap_of_single_images_agrees_with_delong():
    images = draw(np.random.default_rng(7), 150, 200)
    expected, found = paired_delong(*images), paired_auroc_by_lesion(*images, np.arange(350))
    assert found.value == pytest.approx(expected.value)
    assert found.interval == pytest.approx(expected.interval, abs=0.006)
    assert found.p_value == pytest.approx(expected.p_value, abs=0.04)
    assert found.detectable == pytest.approx(expected.detectable, rel=0.06)


def test_lesions_of_several_images_widen_the_interval():
    first, second, targets = (np.tile(values, 3) for values in draw(np.random.default_rng(8)))
    by_lesion = paired_auroc_by_lesion(first, second, targets, np.tile(np.arange(100), 3))
    assert np.ptp(by_lesion.interval) > 1.5 * np.ptp(paired_delong(first, second, targets).interval)


def test_a_clear_difference_has_the_smallest_p_value_of_the_replicates():
    first, _, targets = draw(np.random.default_rng(9), distance=3)
    assert paired_auroc_by_lesion(first, 1 - first, targets, np.arange(100), replicates=199).p_value == pytest.approx(
        0.01
    )


def test_a_detectable_difference_is_found_in_four_of_five_simulations():
    random = np.random.default_rng(0)
    values = detectable(1.0) + random.normal(size=100000)
    assert np.mean(np.abs(values) > 1.959964) == pytest.approx(0.8, abs=0.005)


def test_images_are_checked():
    with pytest.raises(ValueError, match="scores and targets"):
        paired_delong([0.1, 0.2], [0.1], [0, 1])
    with pytest.raises(ValueError, match="groups must have shape"):
        paired_auroc_by_lesion([0.1, 0.2], [0.2, 0.1], [0, 1], [1])


def test_both_models_are_resampled_alike():
    first, second, targets = draw(np.random.default_rng(10), decimals=2)
    lesions = np.arange(100) // 2
    weights = replicate_weights(100, lesions, 300, seed=4)
    areas = [weighted_metrics.auroc(weighted_metrics.curves(weights, model, targets)) for model in (first, second)]
    expected = percentile_interval(areas[0] - areas[1])
    assert paired_auroc_by_lesion(first, second, targets, lesions, replicates=300, seed=4).interval == expected
