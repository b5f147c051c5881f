import numpy as np
import pytest

from melanoma_pl.evaluation import Counts
from melanoma_pl.evaluation.outcomes import negative_predictive_value_at, positive_predictive_value_at

COUNTS = Counts(true_positives=80, false_positives=30, true_negatives=170, false_negatives=20)


def logit_ends(value, variance):
    """logit⁻¹(logit(value) ± z·s), written out."""
    centre, half_width = np.log(value / (1 - value)), 1.959963984540054 * np.sqrt(variance)
    return tuple(1 / (1 + np.exp(-(centre + side * half_width))) for side in (-1, 1))


@pytest.mark.parametrize("prevalence", [0.01, 0.2, 0.5])
def test_predictive_values_are_bayes_formula_with_mercaldos_interval(prevalence):
    sensitivity, specificity = 0.8, 0.85
    found = positive_predictive_value_at(COUNTS, prevalence)
    value = sensitivity * prevalence / (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))
    variance = (1 - sensitivity) / sensitivity / 100 + specificity / (1 - specificity) / 200
    assert (found.value, *found.interval) == pytest.approx((value, *logit_ends(value, variance)), rel=1e-9)
    found = negative_predictive_value_at(COUNTS, prevalence)
    value = specificity * (1 - prevalence) / (specificity * (1 - prevalence) + (1 - sensitivity) * prevalence)
    variance = sensitivity / (1 - sensitivity) / 100 + (1 - specificity) / specificity / 200
    assert (found.value, *found.interval) == pytest.approx((value, *logit_ends(value, variance)), rel=1e-9)


def test_at_the_images_own_prevalence_they_are_the_images_predictive_values():
    assert positive_predictive_value_at(COUNTS, 1 / 3).value == pytest.approx(COUNTS.positive_predictive_value)
    assert negative_predictive_value_at(COUNTS, 1 / 3).value == pytest.approx(COUNTS.negative_predictive_value)


def test_the_interval_is_that_of_simulated_images():
    random = np.random.default_rng(0)
    sensitivity, specificity = random.binomial(100, 0.8, 200000) / 100, random.binomial(200, 0.85, 200000) / 200
    values = sensitivity * 0.1 / (sensitivity * 0.1 + (1 - specificity) * 0.9)
    odds = np.log(values / (1 - values))
    low, high = (np.log(end / (1 - end)) for end in positive_predictive_value_at(COUNTS, 0.1).interval)
    assert (high - low) / (2 * 1.96) == pytest.approx(odds.std(), rel=0.03)


@pytest.mark.parametrize(
    ("counts", "value"), [(Counts(80, 0, 200, 20), 1), (Counts(0, 30, 170, 100), 0), (Counts(100, 30, 170, 0), None)]
)
def test_proportions_of_0_and_1_still_have_a_width(counts, value):
    found = positive_predictive_value_at(counts, 0.1)
    low, high = found.interval
    assert 0 <= low <= found.value <= high <= 1 and high - low > 0.01
    assert value is None or found.value == value


def test_the_adjustment_adds_half_of_z_squared():
    z = 1.959963984540054
    sensitivity, specificity = (80 + z**2 / 2) / (100 + z**2), (200 + z**2 / 2) / (200 + z**2)
    value = sensitivity * 0.1 / (sensitivity * 0.1 + (1 - specificity) * 0.9)
    variance = (1 - sensitivity) / sensitivity / (100 + z**2) + specificity / (1 - specificity) / (200 + z**2)
    low = positive_predictive_value_at(Counts(80, 0, 200, 20), 0.1).interval[0]
    assert low == pytest.approx(logit_ends(value, variance)[0], rel=1e-9)


def test_what_cannot_be_computed_has_a_reason():
    never_called = Counts(0, 0, 5, 3)
    assert positive_predictive_value_at(never_called, 0.1).reason == "no positive decisions"
    assert negative_predictive_value_at(never_called, 0.1).value == pytest.approx(0.9)
    always_called = Counts(3, 5, 0, 0)
    assert negative_predictive_value_at(always_called, 0.1).reason == "no negative decisions"
    assert positive_predictive_value_at(Counts(0, 2, 5, 0), 0.1).reason == "no positive images"
    assert negative_predictive_value_at(Counts(2, 0, 0, 3), 0.1).reason == "no negative images"


@pytest.mark.parametrize("prevalence", [0, 1, 30, np.nan])
def test_prevalence_is_a_proportion(prevalence):
    for function in (positive_predictive_value_at, negative_predictive_value_at):
        with pytest.raises(ValueError, match=f"prevalence must lie in .* {prevalence}"):
            function(COUNTS, prevalence)
