"""Calibration: temperature scaling, and the recalibration intercept and slope with their intervals.

Temperature scaling (Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, section 4.2)
changes how confident the network is but never the order of two images. The intercept and slope of a logistic
recalibration show in which direction probabilities deviate (Cox, Biometrika 45, 1958; Van Calster, McLernon, van
Smeden, Wynants and Steyerberg, BMC Medicine 17, 2019).
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import norm

from melanoma_pl.evaluation.checks import (
    Floats,
    Integers,
    check_no_nan,
    check_positive,
    check_scores,
    check_unit,
    missing_class,
)
from melanoma_pl.evaluation.intervals import Estimate

TEMPERATURE_BOUNDS = (0.05, 20.0)
FARTHEST_LOGIT = 30.0  # from 36.8 on, the sigmoid is 1 in double precision
TOLERANCE = 1e-10  # of the gradient
SMALLEST_INFORMATION = 1e-12  # below it the likelihood is flat and its curvature is meaningless


def probabilities(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Return sigmoid(logits / temperature), in double precision and without overflow.

    Args:
        logits: float, any shape; the higher, the more suspicious.
        temperature: A positive number; above 1 the probabilities move towards one half, below 1 away from it.

    Returns:
        float64 of the same shape, in [0, 1].

    Raises:
        ValueError: If a logit is NaN or the temperature is not a positive number.
    """
    check_positive("temperature", temperature)
    values = np.asarray(logits, dtype=np.float64)
    check_no_nan("logits", values)
    return np.asarray(expit(values / temperature), dtype=np.float64)


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the maximum-likelihood temperature.

    The likelihood has a single peak in log-temperature (it is concave in 1 / temperature), so a bounded search finds
    it, with the same result every time.

    Args:
        logits: float `(N,)`, finite, of validation images.
        targets: int `(N,)`, 1 is malignant.

    Returns:
        A number in [0.05, 20], large enough that no logit divided by it lies beyond ±30: so few images say nothing
        about events rarer than one in 10¹³, and double precision would soon round the probability to 1. Near 20 the
        logits are at chance level, and the probabilities approach one half. 1.0 if nothing can be fitted: with one
        class only, and if no logit has the wrong sign, because the likelihood then grows without bound as the
        temperature falls (Albert and Anderson, Biometrika 71, 1984) and would make a few easy images certain.
    """
    logits, targets = check_scores(logits, targets, "logits")
    margins = np.where(targets == 1, logits, -logits)  # (N,), positive where the sign is correct
    if np.unique(targets).size < 2 or margins.min() >= 0:
        return 1.0
    low, high = TEMPERATURE_BOUNDS
    low = min(max(low, float(np.abs(logits).max()) / FARTHEST_LOGIT), high)
    result = minimize_scalar(
        # mean(log(1 + exp(-margin))) in nats, without overflow and exact where it is tiny
        lambda log_temperature: float(np.logaddexp(0, -(margins / math.exp(log_temperature))).mean()),
        bounds=(math.log(low), math.log(high)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return min(max(math.exp(result.x), low), high)


def recalibration_intercept(
    logits: ArrayLike, targets: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """Return the intercept a of P(malignant) = sigmoid(a + logit): calibration in the large.

    Args:
        logits: float `(N,)`, finite; divided by the temperature to assess calibrated probabilities.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, such as lesions, whose images are not independent; None if all images are.
        confidence: Nominal coverage of Wald's interval, in (0, 1).

    Returns:
        0 at best; below 0 the probabilities are too high. Not computable with one class.
    """
    check_unit("confidence", confidence, "(0, 1)")
    logits, targets = check_scores(logits, targets, "logits")
    if missing := missing_class(targets):
        return Estimate(None, None, missing)
    mean = logit(targets.mean())  # each image alone would require this minus its logit: the solution lies between
    low, high = mean - logits.max() - 1e-9, mean - logits.min() + 1e-9
    intercept = float(brentq(lambda shift: np.sum(expit(logits + shift) - targets), low, high, xtol=1e-12))
    design = np.ones((targets.size, 1))
    return _wald(intercept, design, expit(logits + intercept), targets, groups, confidence)


def recalibration_slope(
    logits: ArrayLike, targets: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """Return the slope b of P(malignant) = sigmoid(a + b · logit).

    Args:
        logits: float `(N,)`, finite; divided by the temperature to assess calibrated probabilities.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, such as lesions, whose images are not independent; None if all images are.
        confidence: Nominal coverage of Wald's interval, in (0, 1).

    Returns:
        1 at best; below 1 the probabilities are too extreme. Not computable with one class, with equal logits, and if
        the logits separate the classes perfectly, because any steeper slope would then fit better still (Albert and
        Anderson, Biometrika 71, 1984).
    """
    check_unit("confidence", confidence, "(0, 1)")
    logits, targets = check_scores(logits, targets, "logits")
    if missing := missing_class(targets) or _lack_of_overlap(logits, targets):
        return Estimate(None, None, missing)
    centre, scale = logits.mean(), logits.std()
    design = np.column_stack([np.ones(targets.size), (logits - centre) / scale])  # (N, 2), standardised for the fit
    coefficients = _fit(design, targets)
    estimate = _wald(coefficients[1], design, expit(design @ coefficients), targets, groups, confidence)
    ends = estimate.interval and (float(estimate.interval[0] / scale), float(estimate.interval[1] / scale))
    return Estimate(float(coefficients[1] / scale), ends, estimate.reason)


def _lack_of_overlap(logits: Floats, targets: Integers) -> str:
    malignant, benign = logits[targets == 1], logits[targets == 0]
    if np.ptp(logits) == 0:
        return "all images have the same probability"
    is_separated = benign.max() <= malignant.min() or malignant.max() <= benign.min()
    return "the probabilities separate the classes perfectly" if is_separated else ""


def _fit(design: Floats, targets: Integers) -> Floats:
    """Return the maximum-likelihood coefficients `(D,)` of a logistic regression on a design matrix `(N, D)`."""

    def gradient(coefficients: Floats) -> Floats:
        return np.asarray(design.T @ (expit(design @ coefficients) - targets) / targets.size, dtype=np.float64)

    def loss(coefficients: Floats) -> float:
        scores = design @ coefficients
        return float(np.mean(np.logaddexp(0, scores) - targets * scores))

    result = minimize(
        loss,
        np.zeros(design.shape[1]),
        jac=gradient,
        hess=lambda coefficients: _information(design, expit(design @ coefficients)) / targets.size,
        method="trust-exact",
        options={"gtol": TOLERANCE},
    )
    return np.asarray(result.x, dtype=np.float64)


def _information(design: Floats, probabilities: Floats) -> Floats:
    """Return the Fisher information matrix `(D, D)`."""
    return np.asarray((design * (probabilities * (1 - probabilities))[:, None]).T @ design, dtype=np.float64)


def _wald(
    value: float, design: Floats, probabilities: Floats, targets: Integers, groups: ArrayLike | None, confidence: float
) -> Estimate:
    """Return the last coefficient with Wald's interval.

    With groups, the variance is the sandwich estimator of Liang and Zeger, Biometrika 73, 1986.
    """
    information = _information(design, probabilities)
    if np.linalg.eigvalsh(information)[0] < SMALLEST_INFORMATION:
        return Estimate(float(value), None, "the probabilities are too extreme for an interval")
    covariance = np.linalg.inv(information)
    if groups is not None:
        _, members = np.unique(np.asarray(groups), return_inverse=True)
        number = int(members.max()) + 1
        if number < 2:
            return Estimate(float(value), None, "only one lesion")
        scores = np.zeros((number, design.shape[1]))
        np.add.at(scores, members, design * (targets - probabilities)[:, None])  # (G, D), one row per lesion
        covariance = covariance @ (scores.T @ scores) @ covariance * number / (number - 1)
    half_width = norm.ppf((1 + confidence) / 2) * np.sqrt(covariance[-1, -1])
    return Estimate(float(value), (float(value - half_width), float(value + half_width)))
