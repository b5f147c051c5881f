import numpy as np
import pytest
from scipy.special import logit

from melanoma_pl.evaluation import risk_coverage, wilson
from melanoma_pl.evaluation.decision import best_area, certainty
from melanoma_pl.evaluation.resampling import replicate_weights


def images(n=60, seed=1, decimals=2):
    """Draw probabilities with ties."""
    random = np.random.default_rng(seed)
    targets = (random.random(n) < 0.4).astype(np.int64)
    return (1 / (1 + np.exp(-random.normal(2 * targets - 1, 1.5)))).round(decimals), targets


def naive_area(probabilities, targets, threshold):
    """Return the mean, over all images, of the risk among those at least as certain, image by image."""
    sure = [round(abs(logit(p) - logit(threshold)), 12) for p in probabilities]
    is_wrong = [(p >= threshold) != (target == 1) for p, target in zip(probabilities, targets, strict=True)]
    risks = []
    for own in sure:
        kept = [wrong for other, wrong in zip(sure, is_wrong, strict=True) if other >= own]
        risks.append(sum(kept) / len(kept))
    return sum(risks) / len(risks)


@pytest.mark.parametrize("threshold", [0.13, 0.5, 0.9])
@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_the_area_is_that_of_a_loop_over_the_images(threshold, decimals):
    probabilities, targets = images(decimals=decimals)
    probabilities = np.clip(probabilities, 0.01, 0.99)
    found = risk_coverage(probabilities, targets, threshold, replicates=20)
    assert found.area.value == pytest.approx(naive_area(probabilities, targets, threshold), abs=1e-12)


def test_points_count_the_most_certain_images():
    probabilities, targets = images(100, decimals=8)
    found = risk_coverage(probabilities, targets, 0.3, replicates=20)
    assert [point.kept for point in found.points] == list(range(100, 0, -5))
    order = np.argsort(-np.abs(logit(probabilities) - logit(0.3)))
    for point in found.points:
        own, labels = probabilities[order[: point.kept]], targets[order[: point.kept]]
        called = own >= 0.3
        assert point.coverage == point.kept / 100
        assert point.wrong.value == pytest.approx(np.mean(called != labels), abs=1e-15)
        assert point.missed == np.sum(~called & (labels == 1))
        if labels.any():
            assert point.sensitivity.value == called[labels == 1].mean()


def test_images_of_equal_certainty_are_referred_together_in_any_order():
    probabilities = np.array([0.9, 0.9, 0.9, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
    targets = np.array([1, 1, 0, 0, 1, 1, 1, 1, 1, 1])
    found = risk_coverage(probabilities, targets, 0.5, replicates=20)
    assert [(point.kept, point.wrong.value) for point in found.points] == [(10, 0.2), (3, pytest.approx(1 / 3))]
    assert found.area.value == pytest.approx((3 / 3 + 7 * 0.2) / 10)
    swapped = risk_coverage(probabilities[::-1], targets[::-1], 0.5, replicates=20)
    assert swapped.area.value == found.area.value and [p.wrong.value for p in swapped.points] == [
        0.2,
        pytest.approx(1 / 3),
    ]


def test_all_alike_leaves_one_point_and_the_area_is_the_error_rate():
    found = risk_coverage([0.5] * 4, [1, 1, 1, 0], 0.5)
    assert [(point.coverage, point.wrong.value) for point in found.points] == [(1, 0.25)]
    assert found.area.value == 0.25


def test_the_best_area_puts_all_errors_last():
    assert best_area(0, 5) == 0 and best_area(5, 5) == 1
    assert best_area(2, 5) == pytest.approx((0 + 0 + 0 + 1 / 4 + 2 / 5) / 5)
    probabilities, targets = np.array([0.99, 0.95, 0.02, 0.46, 0.55]), np.array([1, 1, 0, 1, 0])
    found = risk_coverage(probabilities, targets, 0.5)
    assert found.area.value == pytest.approx(found.best_area) == pytest.approx(best_area(2, 5))


def test_intervals_are_those_of_resampled_lesions():
    probabilities, targets = images(80, decimals=8)
    groups = np.arange(80) // 3
    found = risk_coverage(probabilities, targets, 0.3, groups, replicates=300, seed=4)
    point = next(point for point in found.points if point.kept == 40)
    limit = np.sort(certainty(probabilities, 0.3))[-40]
    is_kept = certainty(probabilities, 0.3) >= limit
    is_wrong = (probabilities >= 0.3) != targets
    weights = replicate_weights(80, groups, 300, seed=4)
    values = (weights @ (is_kept & is_wrong)) / (weights @ is_kept)
    assert point.wrong.interval == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))
    areas = [
        naive_area(np.repeat(probabilities, own), np.repeat(targets, own), 0.3)
        for own in replicate_weights(80, groups, 300, seed=4)[:300]
    ]
    assert found.area.interval == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])), abs=1e-9)


def test_no_errors_still_have_an_interval():
    probabilities, targets = np.linspace(0.01, 0.99, 30), np.arange(30) >= 15
    found = risk_coverage(probabilities, targets, 0.5)
    assert found.area.value == found.best_area == 0 and found.area.interval is None
    assert [point.wrong.interval for point in found.points] == [wilson(0, point.kept) for point in found.points]
    by_lesion = risk_coverage(probabilities, targets, 0.5, np.arange(30) // 2)
    assert by_lesion.points[0].wrong.interval == wilson(0, 15)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
@pytest.mark.parametrize("targets", [[0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
def test_thresholds_of_0_and_1_and_single_classes_are_decided(threshold, targets):
    probabilities = [0.0, 0.4, 0.6, 1.0]
    found = risk_coverage(probabilities, targets, threshold)
    is_wrong = (np.array(probabilities) >= threshold) != np.array(targets)
    assert found.points[0].wrong.value == is_wrong.mean()
    # the image whose probability is the threshold is referred first
    assert found.points[1].kept == 3 and np.isfinite(found.area.value)
    assert (found.points[0].sensitivity.value is None) == (sum(targets) == 0)


def test_one_image_is_kept():
    found = risk_coverage([0.7], [0], 0.5)
    assert [(point.kept, point.wrong.value, point.missed) for point in found.points] == [(1, 1, 0)]
    assert found.area.value == found.best_area == 1 and found.points[0].wrong.interval == wilson(1, 1)


def test_certainty_orders_like_the_largest_class_probability_at_a_half():
    probabilities, _ = images(decimals=8)
    largest = np.maximum(probabilities, 1 - probabilities)
    assert np.argsort(certainty(probabilities, 0.5)).tolist() == np.argsort(largest).tolist()
    assert certainty([0.1], 0.1)[0] == 0 and np.isfinite(certainty([0.0, 1.0], 0.0)).all()
