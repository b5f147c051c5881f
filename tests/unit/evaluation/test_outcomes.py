import numpy as np
import pytest

from melanoma_pl.evaluation import Counts, count, wilson
from melanoma_pl.evaluation.intervals import BY_DEFINITION
from melanoma_pl.evaluation.outcomes import (
    always_benign,
    balanced_accuracy,
    decide,
    negative_predictive_value_at,
    positive_predictive_value_at,
)


def draw(n=120):
    random = np.random.default_rng(0)
    targets = (np.arange(n) < n // 4).astype(int)
    return np.clip(random.normal(0.4 + 0.2 * targets, 0.2), 0, 1), targets


def test_decisions_are_the_counts_with_wilsons_intervals():
    counts, found = count(*draw(), 0.5), decide("0.5", *draw(), 0.5)
    assert (found.name, found.threshold, found.counts) == ("0.5", 0.5, counts)
    called = counts.true_positives + counts.false_positives
    expected = {
        "sensitivity": (counts.sensitivity, wilson(counts.true_positives, 30)),
        "specificity": (counts.specificity, wilson(counts.true_negatives, 90)),
        "accuracy": (counts.accuracy, wilson(counts.true_positives + counts.true_negatives, 120)),
        "positive_predictive_value": (counts.positive_predictive_value, wilson(counts.true_positives, called)),
        "negative_predictive_value": (counts.negative_predictive_value, wilson(counts.true_negatives, 120 - called)),
    }
    for name, (value, interval) in expected.items():
        assert (getattr(found, name).value, getattr(found, name).interval) == (value, interval)
    assert found.positive_predictive_value_at is None and found.negative_predictive_value_at is None


def test_predictive_values_at_the_users_prevalence():
    counts, found = count(*draw(), 0.5), decide("0.5", *draw(), 0.5, prevalence=0.02)
    assert found.positive_predictive_value_at == positive_predictive_value_at(counts, 0.02)
    assert found.negative_predictive_value_at == negative_predictive_value_at(counts, 0.02)


def test_balanced_accuracy_is_half_of_newcombes_difference():
    # Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10: 56/70 less 48/80 is 0.0524 to 0.3339.
    counts = Counts(true_positives=56, false_negatives=14, true_negatives=32, false_positives=48)
    estimate = balanced_accuracy(counts)
    difference = [2 * end - 1 for end in estimate.interval]  # specificity is 1 minus the second proportion
    assert difference == pytest.approx([0.0524, 0.3339], abs=0.00005)


def test_balanced_accuracy_covers_what_it_estimates():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        found, passed = random.binomial(40, 0.9), random.binomial(100, 0.7)
        low, high = balanced_accuracy(Counts(found, 100 - passed, passed, 40 - found)).interval
        covered += low <= 0.8 <= high
    assert covered / 1000 == pytest.approx(0.95, abs=0.02)


def test_always_benign_finds_nothing_and_its_ppv_is_not_computable():
    found = always_benign(draw()[1], prevalence=0.1)
    assert (found.threshold, found.counts) == (None, Counts(0, 0, 90, 30))
    assert (found.sensitivity.value, found.specificity.value, found.accuracy.value) == (0, 1, 0.75)
    assert found.balanced_accuracy.value == 0.5
    for estimate in (found.positive_predictive_value, found.positive_predictive_value_at):
        assert (estimate.value, estimate.interval) == (None, None)
        assert estimate.reason == "no positive decisions"
    assert found.negative_predictive_value_at.value == pytest.approx(0.9)


def test_what_follows_from_the_rule_has_no_interval():
    found = always_benign(draw()[1], prevalence=0.1)
    for name in ("sensitivity", "specificity", "balanced_accuracy", "negative_predictive_value_at"):
        assert (getattr(found, name).interval, getattr(found, name).reason) == (None, BY_DEFINITION)
    assert found.accuracy.interval == found.negative_predictive_value.interval == wilson(90, 120)
    assert always_benign(draw()[1]).negative_predictive_value_at is None
    assert always_benign([0, 0]).sensitivity.reason == "no positive images"


@pytest.mark.parametrize(
    ("target", "missing", "name"), [(0, "sensitivity", "positive"), (1, "specificity", "negative")]
)
def test_one_class_has_reasons(target, missing, name):
    found = decide("0.5", [0.2, 0.7, 0.9], [target] * 3, 0.5, prevalence=0.1)
    for estimate in (
        getattr(found, missing),
        found.balanced_accuracy,
        found.positive_predictive_value_at,
        found.negative_predictive_value_at,
    ):
        assert (estimate.value, estimate.reason) == (None, f"no {name} images")
    assert found.accuracy.value is not None
