import numpy as np
import pytest
from scipy.special import expit, logit

from melanoma_pl.evaluation import bootstrap, expected_calibration_error, weighted_metrics
from melanoma_pl.evaluation.reliability import bin_errors, ece_estimate


def draw(random, n, factor):
    """Images of a model whose right logits were multiplied by a factor."""
    targets = (random.random(n) < 0.45).astype(np.int64)
    right = 1.8 * (random.normal(size=n) + 1.8 * targets - 0.9) + logit(0.45)
    return expit(factor * right), targets


def estimate(probabilities, targets, groups=None, replicates=500, seed=0, confidence=0.95):
    errors = bin_errors(probabilities, targets)
    resampled_errors = bootstrap(
        lambda weights: weighted_metrics.mean(weights, errors), targets.size, groups, replicates, seed
    )
    return ece_estimate(errors.mean(axis=0), resampled_errors, confidence)


@pytest.mark.parametrize("factor", [1, 1.5, 3])
def test_the_interval_holds_the_value_and_narrows_with_images(factor):
    random, widths = np.random.default_rng(0), []
    for n in (100, 400, 1600):
        images = draw(random, n, factor)
        found = estimate(*images)
        assert found.value == pytest.approx(expected_calibration_error(*images))
        assert 0 <= found.interval[0] <= found.value <= found.interval[1] <= 1
        widths.append(np.ptp(found.interval))
    assert widths[2] < 0.6 * max(widths[:2])


def test_calibrated_probabilities_may_have_no_error_at_all_and_wrong_ones_have_some():
    random = np.random.default_rng(1)
    assert estimate(*draw(random, 660, 1)).interval[0] == 0 < estimate(*draw(random, 660, 3)).interval[0]


def test_a_suspiciously_small_error_is_within_its_interval():
    """Exactly five of every ten images called 50 % malignant are: less scatter than chance would give."""
    found = ece_estimate(np.array([0.001, 0.0]), np.random.default_rng(0).normal(0, 0.1, (500, 2)))
    assert found.interval[0] == 0 and found.interval[1] >= found.value == 0.001


def test_more_confidence_is_wider_and_lesions_are_too():
    images = draw(np.random.default_rng(2), 300, 3)
    assert np.ptp(estimate(*images, confidence=0.8).interval) < np.ptp(estimate(*images).interval)
    tiled = (np.tile(images[0], 3), np.tile(images[1], 3))
    by_lesion = estimate(*tiled, groups=np.tile(np.arange(300), 3))
    assert by_lesion.interval == pytest.approx(estimate(*images).interval, abs=0.01)
    assert np.ptp(by_lesion.interval) > 1.3 * np.ptp(estimate(*tiled).interval)


def test_nothing_to_draw_is_no_certainty():
    found = estimate(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 1]))
    assert (found.value, found.interval) == (0, None) and "same number" in found.reason
    with pytest.raises(ValueError, match="confidence"):
        ece_estimate(np.zeros(2), np.zeros((3, 2)), confidence=1)


@pytest.mark.slow
@pytest.mark.parametrize("n", [200, 660])
@pytest.mark.parametrize("factor", [1, 1.5, 3])
def test_the_interval_covers_the_true_error_as_often_as_it_says(factor, n):
    """The truth comes from two million images; 400 sets scatter by 0.011."""
    random = np.random.default_rng(3)
    truth = expected_calibration_error(*draw(random, 2_000_000, factor)) if factor != 1 else 0
    intervals = np.array([estimate(*draw(random, n, factor), seed=seed).interval for seed in range(400)])
    covered = np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))
    assert 0.92 <= covered <= 0.995  # 0.95 to 0.97 in 3,800 sets
