import numpy as np
import pytest
from sklearn.metrics import roc_curve

from melanoma_pl.evaluation import RULES, choose_threshold, count

PROBABILITIES = [0.1, 0.2, 0.4, 0.5, 0.6, 0.9]
TARGETS = [0, 1, 0, 1, 0, 1]


def draw(seed, n=60, decimals=15):
    random = np.random.default_rng(seed)
    targets = (np.arange(n) < n // 3).astype(int)
    return np.round(np.clip(random.normal(0.4 + 0.2 * targets, 0.2), 0.01, 0.99), decimals), targets


@pytest.mark.parametrize(
    ("sensitivity", "threshold"), [(0.2, 0.75), (1 / 3, 0.75), (0.34, 0.45), (2 / 3, 0.45), (0.67, 0.15), (1, 0.15)]
)
def test_sensitivity_lies_midway_below_the_deciding_melanoma(sensitivity, threshold):
    assert choose_threshold(PROBABILITIES, TARGETS, sensitivity=sensitivity) == pytest.approx(threshold)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("decimals", [1, 15])
@pytest.mark.parametrize("sensitivity", [0.05, 0.5, 0.8, 0.95, 1])
def test_sensitivity_is_reached_and_by_no_higher_threshold(seed, decimals, sensitivity):
    probabilities, targets = draw(seed, decimals=decimals)
    threshold = choose_threshold(probabilities, targets, "sensitivity", sensitivity)
    chosen = count(probabilities, targets, threshold)
    assert chosen.sensitivity >= sensitivity
    for counted in np.unique(probabilities[(probabilities >= threshold) & (probabilities < 1)]):
        assert count(probabilities, targets, np.nextafter(counted, 1)).sensitivity < sensitivity


@pytest.mark.parametrize("n", [1, 2, 3, 7, 49, 100])
def test_a_proportion_of_the_melanomas_requires_no_further_one(n):
    probabilities = np.linspace(0.1, 0.9, n)
    for found in range(1, n + 1):
        threshold = choose_threshold(probabilities, np.ones(n, dtype=int), sensitivity=found / n)
        assert (probabilities >= threshold).sum() == found


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("decimals", [1, 15])
def test_youden_equals_the_best_point_of_the_roc_curve(seed, decimals):
    probabilities, targets = draw(seed, decimals=decimals)
    false_positive_rate, true_positive_rate, _ = roc_curve(targets, probabilities, drop_intermediate=False)
    index = true_positive_rate - false_positive_rate
    chosen = count(probabilities, targets, choose_threshold(probabilities, targets, "youden"))
    assert chosen.sensitivity + chosen.specificity - 1 == pytest.approx(index.max())
    assert chosen.sensitivity == pytest.approx(true_positive_rate[np.isclose(index, index.max())].max())


def test_youden_prefers_the_more_sensitive_of_equals():
    assert choose_threshold(PROBABILITIES, TARGETS, "youden") == pytest.approx(
        0.15
    )  # the index is 1/3 at 0.9, 0.5, 0.2
    # The index is 0.3 after the first melanomas and after the next, but in floating point 0.4 - 0.1 > 0.7 - 0.4.
    targets = np.repeat([0, 1, 0, 1, 0, 1], [1, 4, 3, 3, 6, 3])
    chosen = count(falling := np.linspace(0.9, 0.1, 20), targets, choose_threshold(falling, targets, "youden"))
    assert chosen.true_positives == 7


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("rule", RULES[:2])
def test_rounding_flips_no_decision(seed, rule):
    probabilities, targets = draw(seed)
    threshold = choose_threshold(probabilities, targets, rule, 0.9)
    noise = np.random.default_rng(seed).choice([-1e-9, 1e-9], probabilities.size)
    assert ((probabilities + noise >= threshold) == (probabilities >= threshold)).all()
    assert ((probabilities.astype(np.float32) >= threshold) == (probabilities >= threshold)).all()


@pytest.mark.parametrize("rule", RULES[:2])
def test_with_no_lower_image_the_middle_to_zero_is_taken(rule):
    assert choose_threshold([0.3, 0.3], [0, 1], rule) == pytest.approx(0.15)
    assert choose_threshold([0.0, 0.0], [0, 1], rule) == 0


@pytest.mark.parametrize("rule", RULES[:2])
def test_neighbouring_floating_point_numbers_stay_apart(rule):
    benign = 0.3
    malignant = np.nextafter(benign, 1)
    threshold = choose_threshold([benign, malignant], [0, 1], rule)
    assert benign < threshold <= malignant
    smallest = np.nextafter(0, 1)
    assert choose_threshold([0.0, smallest], [0, 1], rule) == smallest


def test_fixed_is_the_value():
    assert choose_threshold(PROBABILITIES, TARGETS, "fixed") == 0.5
    assert choose_threshold(PROBABILITIES, TARGETS, "fixed", value=0.2) == 0.2


def test_without_melanomas_the_fixed_value_is_taken():
    assert [choose_threshold([0.1, 0.2], [0, 0], rule, value=0.4) for rule in RULES] == [0.4, 0.4, 0.4]


def test_without_benign_images_only_sensitivity_can_be_chosen():
    assert choose_threshold([0.1, 0.3], [1, 1], "youden", value=0.4) == 0.4
    assert choose_threshold([0.1, 0.3], [1, 1], "sensitivity", 0.5, value=0.4) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"rule": "yuoden"}, "'yuoden' is unknown: did you mean 'youden'.*fixed, sensitivity, youden"),
        ({"sensitivity": 0}, "sensitivity must lie in"),
        ({"sensitivity": 95}, "sensitivity must lie in"),
        ({"sensitivity": np.nan}, "sensitivity must lie in"),
        ({"rule": "fixed", "value": 50}, "threshold must lie in"),
    ],
)
def test_a_wrong_choice_is_one_line(choice, message):
    with pytest.raises(ValueError, match=message):
        choose_threshold(PROBABILITIES, TARGETS, **choice)
