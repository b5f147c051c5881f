import time

import numpy as np
import pytest
from sklearn import metrics as reference

from melanoma_pl.evaluation import metrics, weighted_metrics
from melanoma_pl.evaluation.resampling import replicate_weights

SENSITIVITIES = (0.5, 0.82, 0.9, 0.95, 1.0)


def draw(decimals, n=60):
    random = np.random.default_rng(decimals)
    targets = (random.random(n) < 0.4).astype(np.int64)
    return np.round(np.clip(random.normal(0.4 + 0.2 * targets, 0.2), 0, 1), decimals), targets


@pytest.mark.parametrize("decimals", [1, 2, 15])
def test_every_draw_equals_scikit_learn_with_weights(decimals):
    probabilities, targets = draw(decimals)
    weights = replicate_weights(60, replicates=40)
    points = weighted_metrics.curves(weights, probabilities, targets)
    for row, sample_weight in enumerate(weights):
        given = {"sample_weight": sample_weight}
        assert weighted_metrics.auroc(points)[row] == pytest.approx(
            reference.roc_auc_score(targets, probabilities, **given), abs=1e-9
        )
        assert weighted_metrics.average_precision(points)[row] == pytest.approx(
            reference.average_precision_score(targets, probabilities, **given), abs=1e-9
        )
        standardised = reference.roc_auc_score(1 - targets, -probabilities, max_fpr=0.2, **given)
        assert weighted_metrics.partial_auroc(points)[row] == pytest.approx(
            0.02 + (2 * standardised - 1) * 0.18, abs=1e-9
        )
        fpr, tpr, _ = reference.roc_curve(targets, probabilities, drop_intermediate=False, **given)
        for sensitivity in SENSITIVITIES:
            expected = 1 - fpr[tpr >= sensitivity].min()
            assert weighted_metrics.specificity_at_sensitivity(points, sensitivity)[row] == pytest.approx(
                expected, abs=1e-9
            )
        assert weighted_metrics.mean(weights, (probabilities - targets) ** 2)[row] == pytest.approx(
            reference.brier_score_loss(targets, probabilities, **given), abs=1e-9
        )


def test_weights_of_one_give_the_numbers_of_the_images_themselves():
    probabilities, targets = draw(1)
    points = weighted_metrics.curves(np.ones((1, 60), dtype=np.int64), probabilities, targets)
    assert weighted_metrics.auroc(points)[0] == pytest.approx(metrics.auroc(probabilities, targets), abs=1e-12)
    expected = metrics.average_precision(probabilities, targets)
    assert weighted_metrics.average_precision(points)[0] == pytest.approx(expected, abs=1e-12)
    for sensitivity in SENSITIVITIES[:-1]:
        expected = metrics.partial_auroc(probabilities, targets, sensitivity)
        assert weighted_metrics.partial_auroc(points, sensitivity)[0] == pytest.approx(expected, abs=1e-12)


def test_draws_without_a_class_are_nan_and_warn_of_nothing():
    probabilities, targets = np.array([0.1, 0.4, 0.8]), np.array([0, 1, 0])
    points = weighted_metrics.curves(np.array([[1, 0, 2], [0, 3, 0], [1, 1, 1], [0, 0, 0]]), probabilities, targets)
    for figures in (
        weighted_metrics.auroc(points),
        weighted_metrics.average_precision(points),
        weighted_metrics.partial_auroc(points),
        weighted_metrics.specificity_at_sensitivity(points, 0.9),
    ):
        assert np.isnan(figures).tolist() == [True, True, False, True]
    assert np.isnan(weighted_metrics.mean(np.array([[0, 0, 0], [1, 0, 0]]), probabilities)).tolist() == [True, False]


def test_two_thousand_draws_take_well_under_a_second():
    probabilities, targets = draw(15, 400)
    began = time.process_time()
    points = weighted_metrics.curves(replicate_weights(400, replicates=2000), probabilities, targets)
    weighted_metrics.auroc(points), weighted_metrics.average_precision(points), weighted_metrics.partial_auroc(points)
    for sensitivity in (0.82, 0.9, 0.95):
        weighted_metrics.specificity_at_sensitivity(points, sensitivity)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("groups", [None, np.array([f"lesion {place // 3}" for place in range(60)])])
def test_images_in_order_are_the_same_images_drawn(groups):
    probabilities, targets = draw(1)
    order = weighted_metrics.order_of(probabilities, targets)
    drawn = replicate_weights(60, weighted_metrics.ordered_groups(order, groups), replicates=30, seed=5)
    weights = replicate_weights(60, groups, replicates=30, seed=5)
    assert np.array_equal(drawn, weights[:, order.indices])
    for ordered, found in zip(
        weighted_metrics.ordered_curves(drawn, order),
        weighted_metrics.curves(weights, probabilities, targets),
        strict=True,
    ):
        assert np.array_equal(ordered, found) and ordered.dtype == np.int64


@pytest.mark.parametrize("sensitivity", [0.1, 0.3, 0.7, 0.82, 0.9, 0.95, 1.0])
def test_enough_malignant_images_are_as_many_as_division_says(sensitivity):
    malignant = np.arange(1, 300)
    enough = np.arange(301) / malignant[:, None] >= sensitivity
    assert np.array_equal(weighted_metrics._fewest(malignant, sensitivity), np.argmax(enough, axis=1))
