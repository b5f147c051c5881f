import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score, roc_curve

from melanoma_pl.evaluation.metrics import partial_auroc, specificity_at_sensitivity


def draw(seed, n=200, decimals=2):
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, n)
    return np.round(np.clip(random.normal(0.4 + 0.2 * targets, 0.2), 0, 1), decimals), targets


def score_of_the_challenge(probabilities, targets, min_tpr=0.8):
    """As the ISIC 2024 challenge computes its score."""
    v_gt, v_pred, max_fpr = abs(targets - 1), -1.0 * probabilities, abs(1 - min_tpr)
    scaled = roc_auc_score(v_gt, v_pred, max_fpr=max_fpr)
    return 0.5 * max_fpr**2 + (max_fpr - 0.5 * max_fpr**2) / (1.0 - 0.5) * (scaled - 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_partial_auroc_is_the_score_of_isic_2024(seed):
    images = draw(seed)
    assert partial_auroc(*images) == pytest.approx(score_of_the_challenge(*images), abs=1e-12)


@pytest.mark.parametrize("sensitivity", [0.3, 0.8, 0.95])
def test_partial_auroc_is_the_area_above_the_line(sensitivity):
    probabilities, targets = draw(5)
    fpr, tpr, _ = roc_curve(targets, probabilities)
    heights = np.linspace(sensitivity, 1, 200001)
    # Read as x of y, the curve's flat pieces are jumps, which a fine grid of heights steps over.
    area = np.trapezoid(1 - np.interp(heights, tpr, fpr), heights)
    assert partial_auroc(probabilities, targets, sensitivity) == pytest.approx(area, abs=1e-5)
    assert auc(fpr, tpr) > area


def test_partial_auroc_of_a_perfect_and_of_an_ignorant_model():
    assert partial_auroc([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]) == pytest.approx(0.2)
    assert partial_auroc([0.5] * 4, [0, 0, 1, 1]) == pytest.approx(0.02)
    assert partial_auroc([0.8, 0.9, 0.1, 0.2], [0, 0, 1, 1]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("sensitivity", [0.5, 0.82, 0.95, 1.0])
def test_specificity_is_the_best_of_all_thresholds(sensitivity):
    probabilities, targets = draw(6)
    found = [
        np.mean(probabilities[targets == 0] < threshold)
        for threshold in np.unique(probabilities)
        if np.mean(probabilities[targets == 1] >= threshold) >= sensitivity
    ]
    assert specificity_at_sensitivity(probabilities, targets, sensitivity) == pytest.approx(max(found), abs=1e-12)


def test_a_sensitivity_is_reached_as_a_proportion_of_whole_melanomas():
    probabilities, targets = np.arange(1, 201) / 200, np.repeat([1, 0, 1], [93, 100, 7])
    assert specificity_at_sensitivity(probabilities, targets, 0.07) == 1  # 0.07 · 100 is above 7 in floating point


@pytest.mark.parametrize("target", [0, 1])
def test_one_class_has_no_ranking(target):
    assert partial_auroc([0.2, 0.3], [target, target]) is None
    assert specificity_at_sensitivity([0.2, 0.3], [target, target], 0.9) is None


@pytest.mark.parametrize("sensitivity", [0, -0.1, 1.1, np.nan])
def test_a_required_sensitivity_is_a_proportion(sensitivity):
    for function in (partial_auroc, specificity_at_sensitivity):
        with pytest.raises(ValueError, match="sensitivity must lie in"):
            function([0.2, 0.3], [0, 1], sensitivity)
