"""From logits to probabilities that mean what they say.

Temperature scaling: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
It changes how sure the network sounds, never which of two images it finds more suspicious.

In which direction probabilities are off: the intercept and the slope of a logistic recalibration.

Cox, Biometrika 45, 1958; Van Calster, McLernon, van Smeden, Wynants and Steyerberg, BMC Medicine 17, 2019.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import norm

from melanoma_pl.evaluation.checks import Floats, Integers, check_logits, check_no_nan, check_unit, missing_class
from melanoma_pl.evaluation.intervals import Estimate

TEMPERATURE_BOUNDS = (0.05, 20.0)
FARTHEST_LOGIT = 30.0  # from 36.8 on, the sigmoid is 1 in double precision


def probabilities(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Return sigmoid(logits / temperature), in double precision and without overflow.

    Args:
        logits: float, any shape; positive speaks for malignant.
        temperature: above 0; above 1 the probabilities move towards one half, below 1 away from it.

    Returns:
        float64 of the same shape, in [0, 1].

    Raises:
        ValueError: if a logit is NaN or the temperature is not a positive number.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, not {temperature}")
    values = np.asarray(logits, dtype=np.float64)
    check_no_nan("logits", values)
    return np.asarray(expit(values / temperature), dtype=np.float64)


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """Return the temperature under which the targets are most likely.

    The likelihood has one peak in log-temperature (it is concave in 1 / temperature), so a bounded search finds it, and
    finds the same every time.

    Args:
        logits: float `(N,)`, finite, of validation images.
        targets: int `(N,)`, 1 is malignant.

    Returns:
        A number in [0.05, 20], and so large that no logit divided by it is beyond ±30: so few images tell nothing of
        what is rarer than one in 10¹³, and soon after double precision would call it certain. Near 20 the logits are
        no better than chance, and the probabilities become one half. 1.0 where nothing can be fitted: with one class
        only, and where no logit has the wrong sign, because then the likelihood grows for ever as the temperature falls
        (Albert and Anderson, Biometrika 71, 1984) and would make a few easy images into certainty.
    """
    logits, targets = check_logits(logits, targets)
    margins = np.where(targets == 1, logits, -logits)  # (N,), positive where the sign is right
    if np.unique(targets).size < 2 or margins.min() >= 0:
        return 1.0
    low, high = TEMPERATURE_BOUNDS
    low = min(max(low, float(np.abs(logits).max()) / FARTHEST_LOGIT), high)
    result = minimize_scalar(
        lambda log_temperature: negative_log_likelihood(margins / math.exp(log_temperature)),
        bounds=(math.log(low), math.log(high)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return min(max(math.exp(result.x), low), high)


def negative_log_likelihood(margins: Floats) -> float:
    """Return mean(log(1 + exp(-margins))) in nats, without overflow and exact where it is tiny.

    Args:
        margins: float64 `(N,)`, logits with the sign turned for benign images.
    """
    return float(np.logaddexp(0, -margins).mean())


TOLERANCE = 1e-10
SMALLEST_INFORMATION = 1e-12  # below it the likelihood is flat and its curvature says nothing


def recalibration_intercept(
    logits: ArrayLike, targets: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """Return a of P(malignant) = sigmoid(a + logit): calibration in the large.

    Args:
        logits: float `(N,)`, finite; of calibrated probabilities, if those are asked about.
        targets: int `(N,)`, 1 is malignant.
        groups: `(N,)`, such as lesions, whose images are alike; None if each image stands alone.
        confidence: wanted coverage of Wald's interval, in (0, 1).

    Returns:
        0 at best; below 0 the probabilities are too high. Not computable with one class.
    """
    logits, targets, missing = _checked(logits, targets, confidence)
    if missing:
        return Estimate(None, None, missing)
    share = logit(targets.mean())  # each image alone would ask for this less its logit: the answer lies between
    low, high = share - logits.max() - 1e-9, share - logits.min() + 1e-9
    intercept = float(brentq(lambda shift: np.sum(expit(logits + shift) - targets), low, high, xtol=1e-12))
    design = np.ones((targets.size, 1))
    return _wald(intercept, design, expit(logits + intercept), targets, groups, confidence)


def recalibration_slope(
    logits: ArrayLike, targets: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> Estimate:
    """Return b of P(malignant) = sigmoid(a + b · logit).

    Args:
        logits: as of `recalibration_intercept`.
        targets: the same.
        groups: the same.
        confidence: the same.

    Returns:
        1 at best; below 1 the probabilities are too extreme. Not computable with one class, with equal logits, and if
        the classes are perfectly apart, because any steeper slope would fit still better (Albert and Anderson,
        Biometrika 71, 1984).
    """
    logits, targets, missing = _checked(logits, targets, confidence)
    if missing := missing or _lack_of_overlap(logits, targets):
        return Estimate(None, None, missing)
    centre, scale = logits.mean(), logits.std()
    design = np.column_stack([np.ones(targets.size), (logits - centre) / scale])  # (N, 2), which keeps the fit tame
    coefficients = _fit(design, targets)
    estimate = _wald(coefficients[1], design, expit(design @ coefficients), targets, groups, confidence)
    ends = estimate.interval and (float(estimate.interval[0] / scale), float(estimate.interval[1] / scale))
    return Estimate(float(coefficients[1] / scale), ends, estimate.reason)


def _checked(logits: ArrayLike, targets: ArrayLike, confidence: float) -> tuple[Floats, Integers, str]:
    """Return logits and targets in one precision, and which class is missing; refuse what is not allowed."""
    check_unit("confidence", confidence, open_ends=True)
    scores, labels = check_logits(logits, targets)
    return scores, labels, missing_class(labels)


def _lack_of_overlap(logits: Floats, targets: Integers) -> str:
    malignant, benign = logits[targets == 1], logits[targets == 0]
    if np.ptp(logits) == 0:
        return "all images have the same probability"
    apart = benign.max() <= malignant.min() or malignant.max() <= benign.min()
    return "the probabilities of the classes are perfectly apart" if apart else ""


def _fit(design: Floats, targets: Integers) -> Floats:
    """Return the coefficients `(D,)` under which the targets are most likely, of design `(N, D)`."""

    def slope(coefficients: Floats) -> Floats:
        return np.asarray(design.T @ (expit(design @ coefficients) - targets) / targets.size, dtype=np.float64)

    def loss(coefficients: Floats) -> float:
        scores = design @ coefficients
        return float(np.mean(np.logaddexp(0, scores) - targets * scores))

    result = minimize(
        loss,
        np.zeros(design.shape[1]),
        jac=slope,
        hess=lambda coefficients: _information(design, expit(design @ coefficients)) / targets.size,
        method="trust-exact",
        options={"gtol": TOLERANCE},
    )
    return np.asarray(result.x, dtype=np.float64)


def _information(design: Floats, probabilities: Floats) -> Floats:
    """Return Fisher's information `(D, D)`."""
    return np.asarray((design * (probabilities * (1 - probabilities))[:, None]).T @ design, dtype=np.float64)


def _wald(
    value: float,
    design: Floats,
    probabilities: Floats,
    targets: Integers,
    groups: ArrayLike | None,
    confidence: float,
) -> Estimate:
    """Return the last coefficient with its interval; with groups, from the sandwich of Liang and Zeger (1986)."""
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
        np.add.at(scores, members, design * (targets - probabilities)[:, None])  # (G, D), one row a lesion
        covariance = covariance @ (scores.T @ scores) @ covariance * number / (number - 1)
    half_width = norm.ppf((1 + confidence) / 2) * np.sqrt(covariance[-1, -1])
    return Estimate(float(value), (float(value - half_width), float(value + half_width)))
