import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from melanoma_pl.evaluation import resampling, wilson
from melanoma_pl.evaluation.reliability import calibrated_ece_range, expected_calibration_error, reliability_bins


def draw(seed, n=300, decimals=15):
    """Images of a perfectly calibrated model."""
    random = np.random.default_rng(seed)
    probabilities = np.round(random.beta(1, 2, n), decimals)
    return probabilities, (random.random(n) < probabilities).astype(int)


@pytest.mark.parametrize("decimals", [1, 15])
@pytest.mark.parametrize(("n", "bins"), [(300, 10), (303, 10), (57, 7), (3, 10), (1, 10), (40, 1)])
def test_bins_are_scikit_learns(n, bins, decimals):
    probabilities, targets = draw(1, n, decimals)
    proportions, means = calibration_curve(targets, probabilities, n_bins=bins, strategy="quantile")
    found = reliability_bins(probabilities, targets, bins)
    assert [single.probability for single in found] == pytest.approx(means, abs=1e-12)
    assert [single.proportion.value for single in found] == pytest.approx(proportions, abs=1e-12)
    assert sum(single.n for single in found) == n
    expected = sum(single.n * abs(single.proportion.value - single.probability) for single in found) / n
    assert expected_calibration_error(probabilities, targets, bins) == pytest.approx(expected, abs=1e-12)


def test_bins_hold_equal_counts_and_proportions_have_wilsons_interval():
    found = reliability_bins(*draw(2))
    assert [single.n for single in found] == [30] * 10
    for single in found:
        assert single.proportion.interval == wilson(round(30 * single.proportion.value), 30)


def test_ece_worked_out_by_hand():
    probabilities, targets = [0.1, 0.3, 0.6, 0.8], [0, 1, 1, 1]
    assert expected_calibration_error(probabilities, targets, bins=2) == pytest.approx((abs(0.5 - 0.2) + 0.3) / 2)
    assert expected_calibration_error([0.2] * 5, [0, 0, 0, 0, 1]) == pytest.approx(0)


def test_the_range_holds_most_eces_of_calibrated_models():
    probabilities, _ = draw(3)
    low, high = calibrated_ece_range(probabilities)
    random = np.random.default_rng(9)
    errors = [expected_calibration_error(probabilities, random.random(300) < probabilities) for _ in range(1000)]
    assert np.mean([low <= error <= high for error in errors]) == pytest.approx(0.95, abs=0.025)
    assert 0 < low < high < 0.15


def test_an_overconfident_model_is_above_the_range():
    probabilities, targets = draw(4, n=1000)
    extreme = probabilities**3 / (probabilities**3 + (1 - probabilities) ** 3)
    assert expected_calibration_error(extreme, targets) > calibrated_ece_range(extreme)[1]


def test_images_of_one_lesion_share_their_target_and_widen_the_range():
    probabilities = np.repeat(draw(5, n=100)[0], 3)
    alone, by_lesion = (calibrated_ece_range(probabilities, groups) for groups in (None, np.repeat(np.arange(100), 3)))
    assert by_lesion[1] > 1.3 * alone[1]


def test_the_range_is_the_same_whatever_the_blocks(monkeypatch):
    probabilities, _ = draw(6, n=50)
    expected = calibrated_ece_range(probabilities, replicates=100)
    monkeypatch.setattr("melanoma_pl.evaluation.reliability.BLOCK", 170)
    assert calibrated_ece_range(probabilities, replicates=100) == pytest.approx(expected)
    assert resampling.BLOCK > 170


def test_certain_probabilities_leave_no_room():
    assert calibrated_ece_range([0.0, 1.0, 1.0], replicates=10) == (0, 0)


def test_there_is_at_least_one_bin():
    with pytest.raises(ValueError, match="bins must be at least 1"):
        reliability_bins([0.2], [0], bins=0)
