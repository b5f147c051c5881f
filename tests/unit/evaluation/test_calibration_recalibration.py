import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from melanoma_pl.evaluation.calibration import recalibration_intercept, recalibration_slope


def draw(seed, n=300, intercept=0.0, slope=1.0, spread=2.0):
    random = np.random.default_rng(seed)
    logits = random.normal(-0.5, spread, n)
    return logits, (random.random(n) < expit(intercept + slope * logits)).astype(int)


def negative_log_likelihood(parameters, logits, targets):
    scores = parameters[0] + parameters[1] * logits
    return np.sum(np.logaddexp(0, scores) - targets * scores)


def curvature(function, point, step=1e-3):
    """The matrix of second derivatives, by central differences."""
    size = len(point)
    matrix = np.empty((size, size))
    for row in range(size):
        for column in range(size):
            signs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            moved = [
                a * b * function(point + step * (a * np.eye(size)[row] + b * np.eye(size)[column])) for a, b in signs
            ]
            matrix[row, column] = sum(moved) / (4 * step**2)
    return matrix


@pytest.mark.parametrize("slope", [0.4, 1.0, 2.0])
def test_the_slope_is_scikit_learns(slope):
    logits, targets = draw(1, slope=slope)
    reference = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(logits[:, None], targets)
    estimate = recalibration_slope(logits, targets)
    assert estimate.value == pytest.approx(reference.coef_[0, 0], rel=1e-5)
    fitted = np.array([reference.intercept_[0], reference.coef_[0, 0]])
    hessian = curvature(lambda point: negative_log_likelihood(point, logits, targets), fitted)
    half_width = norm.ppf(0.975) * np.sqrt(np.linalg.inv(hessian)[1, 1])
    expected = (estimate.value - half_width, estimate.value + half_width)
    assert estimate.interval == pytest.approx(expected, rel=1e-4)


def test_the_slope_is_where_the_likelihood_is_flat():
    logits, targets = draw(2)
    slope = recalibration_slope(logits, targets).value
    intercept = brentq(lambda shift: np.sum(expit(shift + slope * logits) - targets), -20, 20, xtol=1e-14)
    assert np.sum(logits * (expit(intercept + slope * logits) - targets)) == pytest.approx(0, abs=1e-6)


def test_the_intercept_makes_the_probabilities_right_on_average():
    logits, targets = draw(3, intercept=-1)
    estimate = recalibration_intercept(logits, targets)
    shifted = expit(logits + estimate.value)
    assert shifted.mean() == pytest.approx(targets.mean(), abs=1e-12)
    half_width = norm.ppf(0.975) / np.sqrt(np.sum(shifted * (1 - shifted)))
    assert estimate.interval == pytest.approx((estimate.value - half_width, estimate.value + half_width))


def test_what_the_images_were_drawn_with_is_found():
    logits, targets = draw(4, n=40000, intercept=0.5, slope=0.6)
    assert recalibration_slope(logits, targets).value == pytest.approx(0.6, abs=0.03)
    logits, targets = draw(5, n=40000, intercept=0.5)
    assert recalibration_intercept(logits, targets).value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("function", [recalibration_intercept, recalibration_slope])
def test_images_doubled_within_lesions_tell_no_more_than_once(function):
    logits, targets = draw(6)
    once = function(logits, targets, np.arange(300))
    twice = function(np.tile(logits, 2), np.tile(targets, 2), np.tile(np.arange(300), 2))
    assert (twice.value, *twice.interval) == pytest.approx((once.value, *once.interval), abs=1e-6)
    naive = function(np.tile(logits, 2), np.tile(targets, 2))
    assert np.ptp(naive.interval) < 0.8 * np.ptp(twice.interval)
    # Where the model holds and images stand alone, the sandwich and the likelihood agree.
    assert np.ptp(once.interval) == pytest.approx(np.ptp(function(logits, targets).interval), rel=0.15)


@pytest.mark.parametrize(
    ("logits", "targets", "reason"),
    [
        ([-1.0, 2.0, 3.0], [0, 0, 0], "no positive images"),
        ([-1.0, 2.0, 3.0], [1, 1, 1], "no negative images"),
        ([-1.0, 2.0, 3.0], [0, 1, 1], "separate the classes perfectly"),
        ([-1.0, 2.0, 2.0], [0, 0, 1], "separate the classes perfectly"),
        ([-1.0, 2.0, 3.0], [1, 1, 0], "separate the classes perfectly"),
        ([0.5, 0.5, 0.5], [1, 1, 0], "same probability"),
    ],
)
def test_no_slope_has_a_reason(logits, targets, reason):
    estimate = recalibration_slope(logits, targets)
    assert estimate.value is None and reason in estimate.reason
    if "no " in reason:
        assert recalibration_intercept(logits, targets).reason == reason


@pytest.mark.parametrize("factor", [1e-3, 1, 50, 400])
def test_extreme_logits_neither_overflow_nor_warn(factor):
    logits, targets = draw(7)
    intercept, slope = recalibration_intercept(factor * logits, targets), recalibration_slope(factor * logits, targets)
    assert slope.value * factor == pytest.approx(recalibration_slope(logits, targets).value, rel=1e-6)
    assert np.isfinite(intercept.value)
    assert intercept.interval is not None or "too extreme" in intercept.reason


def test_one_lesion_has_no_interval():
    estimate = recalibration_slope([-1.0, 0.0, 1.0, 2.0], [0, 1, 0, 1], ["a"] * 4)
    assert estimate.value is not None and (estimate.interval, estimate.reason) == (None, "only one lesion")
