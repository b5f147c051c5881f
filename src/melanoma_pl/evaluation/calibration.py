"""From logits to probabilities that mean what they say.

Temperature scaling: Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
It changes how sure the network sounds, never which of two photos it finds more suspicious.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import expit

from melanoma_pl.evaluation.checks import Floats, check_logits, check_no_nan

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
        logits: float `(N,)`, finite, of validation photos.
        targets: int `(N,)`, 1 is malignant.

    Returns:
        A number in [0.05, 20], and so large that no logit divided by it is beyond ±30: so few photos tell nothing of
        what is rarer than one in 10¹³, and soon after double precision would call it certain. Near 20 the logits are
        no better than chance, and the probabilities become one half. 1.0 where nothing can be fitted: with one class
        only, and where no logit has the wrong sign, because then the likelihood grows for ever as the temperature falls
        (Albert and Anderson, Biometrika 71, 1984) and would make a few easy photos into certainty.
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
        margins: float64 `(N,)`, logits with the sign turned for benign photos.
    """
    return float(np.logaddexp(0, -margins).mean())
