"""What a decision is worth where melanomas are rarer, or commoner, than among these photos.

Bayes' formula carries sensitivity and specificity, which photos of cases and controls tell, to another share of
malignant ones: of moles looked at by a general practitioner few in a hundred are malignant, of a test set's often half.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from melanoma_pl.evaluation.checks import check_unit
from melanoma_pl.evaluation.estimate import Estimate
from melanoma_pl.evaluation.metrics import Counts


@dataclass(frozen=True)
class _Call:
    """One decision, seen by those photos whose class it names and by the others."""

    name: str
    right: int
    right_of: int
    wrong: int
    wrong_of: int
    prevalence: float


def positive_predictive_value_at(counts: Counts, prevalence: float, confidence: float = 0.95) -> Estimate:
    """Return the share of malignant decisions that is right, where the given share of photos is malignant.

    The interval is symmetric on the logit scale (Mercaldo, Lau and Zhou, Statistics in Medicine 26, 2007, section 2.2);
    where sensitivity or specificity is 0 or 1, the same paper's adjustment adds half of z² to each outcome. Prevalence
    is taken as known, and photos as independent.

    Args:
        counts: outcomes of the decisions.
        prevalence: share of malignant ones, in (0, 1).
        confidence: wanted coverage, in (0, 1).
    """
    share = check_unit("prevalence", prevalence, open_ends=True)
    call = _Call("malignant", counts.true_positives, counts.positives, counts.false_positives, counts.negatives, share)
    return _predictive_value(call, confidence)


def negative_predictive_value_at(counts: Counts, prevalence: float, confidence: float = 0.95) -> Estimate:
    """Return the share of benign decisions that is right, where the given share of photos is malignant.

    Args:
        counts: outcomes of the decisions.
        prevalence: share of malignant ones, in (0, 1).
        confidence: wanted coverage of the interval, which is as of `positive_predictive_value_at`, in (0, 1).
    """
    rest = 1 - check_unit("prevalence", prevalence, open_ends=True)
    call = _Call("benign", counts.true_negatives, counts.negatives, counts.false_negatives, counts.positives, rest)
    return _predictive_value(call, confidence)


def _predictive_value(call: _Call, confidence: float) -> Estimate:
    check_unit("confidence", confidence, open_ends=True)
    for size, name in ((call.right_of, call.name), (call.wrong_of, _other(call.name))):
        if size == 0:
            return Estimate(None, None, f"no {name} photos")
    if call.right == call.wrong == 0:
        return Estimate(None, None, f"no photo was called {call.name}")
    right = call.right / call.right_of * call.prevalence
    value = right / (right + call.wrong / call.wrong_of * (1 - call.prevalence))
    low, high = _logit_interval(call, float(norm.ppf((1 + confidence) / 2)))
    return Estimate(value, (min(low, value), max(high, value)))  # adjusted ends leave a value of 0 or 1 outside


def _logit_interval(call: _Call, z: float) -> tuple[float, float]:
    certain = call.right in (0, call.right_of) or call.wrong in (0, call.wrong_of)
    added = z**2 / 2 if certain else 0.0
    rate = (call.right + added) / (call.right_of + 2 * added)
    false_rate = (call.wrong + added) / (call.wrong_of + 2 * added)
    centre = math.log(rate * call.prevalence / (false_rate * (1 - call.prevalence)))
    variance = (1 - rate) / (rate * (call.right_of + 2 * added))
    variance += (1 - false_rate) / (false_rate * (call.wrong_of + 2 * added))
    low, high = expit(centre + np.array([-1, 1]) * z * math.sqrt(variance))
    return float(low), float(high)


def _other(name: str) -> str:
    return "benign" if name == "malignant" else "malignant"
