import math

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest, norm, t

from melanoma_pl.evaluation import auroc, corrected_resampled_t, delong, wilson

Z = norm.ppf(0.975)


def direct_area_and_variance(probabilities, targets):
    """DeLong (1988) as written: compare every pair, then the variance of each class's mean score."""
    positives, negatives = probabilities[targets == 1], probabilities[targets == 0]
    scores = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    variance = np.cov(scores.mean(axis=1)) / positives.size + np.cov(scores.mean(axis=0)) / negatives.size
    return scores.mean(), variance


def draw(random, positives, negatives, distance, decimals=15):
    targets = np.repeat([1, 0], [positives, negatives])
    return np.round(norm.cdf(random.normal(distance * targets)), decimals), targets


def ratings():
    """Hanley and McNeil, Radiology 143 (1982), table 1: one reader's ratings, 1 to 5, of 109 CT images."""
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    rating = np.concatenate([np.repeat(np.arange(1, 6), normal), np.repeat(np.arange(1, 6), abnormal)])
    return rating / 5, np.repeat([0, 1], [58, 51])


def test_wilson_of_6_right_of_19():
    assert wilson(6, 19) == pytest.approx((0.154, 0.540), abs=0.0005)


def test_wilson_equals_its_formula():
    rate, n = 81 / 263, 263  # Newcombe, Statistics in Medicine 17 (1998), table I: 0.2553 to 0.3662
    centre, spread = rate + Z**2 / (2 * n), Z * math.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    expected = (centre - spread) / (1 + Z**2 / n), (centre + spread) / (1 + Z**2 / n)
    assert wilson(81, 263) == pytest.approx(expected, rel=1e-9)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=0.00005)


def test_wilson_of_all_and_of_none_has_a_width():
    assert wilson(0, 10) == pytest.approx((0, Z**2 / (10 + Z**2)))
    assert wilson(10, 10) == pytest.approx((10 / (10 + Z**2), 1))


def test_wilson_of_no_images_is_none():
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 2), (1, 0), (0, -1)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError):
        wilson(successes, n)


@pytest.mark.parametrize("confidence", [0, 1, 95, math.nan])
def test_confidence_is_a_proportion(confidence):
    for interval in (lambda: wilson(6, 19, confidence), lambda: delong([0.1, 0.2] * 2, [0, 0, 1, 1], confidence)):
        with pytest.raises(ValueError, match="confidence must lie in"):
            interval()


def test_delong_of_a_published_example():
    # Stata's reference manual, roctab, gives for these ratings: area 0.8932, DeLong's standard error 0.0307.
    area = auroc(*ratings())
    assert area == pytest.approx(0.8932, abs=0.00005)
    half_width = Z * 0.0307 / (area * (1 - area))
    expected = expit([logit(area) - half_width, logit(area) + half_width])
    assert delong(*ratings()) == pytest.approx(expected, abs=0.0002)


@pytest.mark.parametrize("decimals", [1, 2, 15])
@pytest.mark.parametrize(("positives", "negatives"), [(4, 5), (3, 40), (40, 3), (25, 60)])
def test_delong_equals_the_direct_computation(positives, negatives, decimals):
    images = draw(np.random.default_rng(positives + decimals), positives, negatives, 0.4, decimals)
    area, variance = direct_area_and_variance(*images)
    assert area == pytest.approx(auroc(*images), abs=1e-12)
    half_width = Z * math.sqrt(variance) / (area * (1 - area))
    assert delong(*images) == pytest.approx(expit([logit(area) - half_width, logit(area) + half_width]), abs=1e-12)


def test_delong_contains_the_area_and_grows_with_confidence():
    images = draw(np.random.default_rng(0), 12, 30, 1.5)
    low, high = delong(*images)
    wider_low, wider_high = delong(*images, confidence=0.99)
    assert 0 < wider_low < low < auroc(*images) < high < wider_high < 1


def test_delong_turns_over_with_the_classes():
    probabilities, targets = draw(np.random.default_rng(1), 12, 30, 1.5)
    low, high = delong(probabilities, targets)
    assert delong(probabilities, 1 - targets) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("targets", [[0, 0, 0], [1, 1, 1], [0, 1, 1], [0, 0, 1]])
def test_delong_needs_two_images_of_each_class(targets):
    assert delong([0.1, 0.5, 0.9], targets) is None


@pytest.mark.parametrize(("positives", "negatives"), [(2, 2), (5, 400), (30, 20)])
def test_a_perfect_order_gives_the_exact_binomial_bound_of_the_smaller_class(positives, negatives):
    probabilities, targets = np.repeat([0.9, 0.1], [positives, negatives]), np.repeat([1, 0], [positives, negatives])
    pairs = min(positives, negatives)
    exact = binomtest(pairs, pairs).proportion_ci(method="exact")
    assert delong(probabilities, targets) == pytest.approx((exact.low, 1))
    assert delong(1 - probabilities, targets) == pytest.approx((0, 1 - exact.low))
    assert delong(probabilities, targets)[1] <= 1


def test_equal_probabilities_give_no_interval_of_width_zero():
    low, high = delong([0.3] * 20, [0, 1] * 10)
    alike = 0.025**0.1
    assert (low, high) == pytest.approx((alike / 2, 1 - alike / 2))


@pytest.mark.slow
@pytest.mark.parametrize(("positives", "negatives", "true_area"), [(40, 60, 0.7), (30, 50, 0.85), (8, 30, 0.9)])
def test_delong_covers_the_true_area_as_often_as_it_says(positives, negatives, true_area):
    random = np.random.default_rng(7)
    distance = math.sqrt(2) * norm.ppf(true_area)  # of two normal distributions with this area
    intervals = [delong(*draw(random, positives, negatives, distance)) for _ in range(600)]
    coverage = np.mean([low <= true_area <= high for low, high in intervals])
    assert coverage == pytest.approx(0.95, abs=0.03)  # 600 simulations vary by 0.009


@pytest.mark.slow
def test_intervals_of_a_test_set_of_660_images_cover_as_often_as_they_say():
    """300 malignant and 360 benign images, as in the set of this project; 2000 simulations vary by 0.005."""
    random, true_area, simulations = np.random.default_rng(11), 0.9, 2000
    distance = math.sqrt(2) * norm.ppf(true_area)
    areas = np.array([delong(*draw(random, 300, 360, distance)) for _ in range(simulations)])
    assert 0.93 <= np.mean((areas[:, 0] <= true_area) & (true_area <= areas[:, 1])) <= 0.97
    rates = np.array([wilson(found, 300) for found in random.binomial(300, 0.9, simulations).tolist()])
    assert 0.93 <= np.mean((rates[:, 0] <= 0.9) & (rates[:, 1] >= 0.9)) <= 0.97


def test_corrected_resampled_t_worked_out_by_hand():
    """The variance of 1, 2, 3, 4, 5 is 2.5; times 1/5 + 1/4 it is 1.125, and t of 4 degrees at 97.5 % is 2.7764."""
    low, high = corrected_resampled_t([1, 2, 3, 4, 5], 1 / 4)
    assert (low, high) == pytest.approx((3 - 2.7764 * math.sqrt(1.125), 3 + 2.7764 * math.sqrt(1.125)), abs=1e-4)


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_corrected_resampled_t_without_shared_images_is_the_usual_t_interval(confidence):
    values = np.random.default_rng(0).random(7)
    expected = t(6, values.mean(), values.std(ddof=1) / math.sqrt(7)).interval(confidence)
    assert corrected_resampled_t(values, 0.0, confidence) == pytest.approx(expected)


def test_corrected_resampled_t_covers_the_mean_of_trainings_that_share_images():
    """Figures of K folds whose errors correlate as those of cross-validation do: by held / (held + trained)."""
    random, folds = np.random.default_rng(0), 5
    shared = 1 / folds
    folds_figures = math.sqrt(shared) * random.normal(size=(4000, 1)) + math.sqrt(1 - shared) * random.normal(
        size=(4000, folds)
    )
    intervals = np.array([corrected_resampled_t(values, 1 / (folds - 1)) for values in folds_figures])
    covered = ((intervals[:, 0] < 0) & (intervals[:, 1] > 0)).mean()
    plain = np.array([corrected_resampled_t(values, 0.0) for values in folds_figures])
    assert covered == pytest.approx(0.95, abs=0.01)
    assert ((plain[:, 0] < 0) & (plain[:, 1] > 0)).mean() < 0.9


def test_corrected_resampled_t_of_too_little():
    assert corrected_resampled_t([0.9], 1.0) is None
    assert corrected_resampled_t([], 1.0) is None
    assert corrected_resampled_t([1.0, 1.0, 1.0], 0.5) is None
    with pytest.raises(ValueError, match="confidence"):
        corrected_resampled_t([0.1, 0.2], 1.0, confidence=1.0)
