import math

import numpy as np
import pytest
from sklearn import metrics as reference

from melanoma_pl.evaluation import Counts, auroc, average_precision, brier, count, log_loss


def draw(seed, n=200, decimals=2):
    """Images that a model tells apart a little, with many ties."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 2, n)
    return np.round(np.clip(random.normal(0.4 + 0.2 * targets, 0.2), 0, 1), decimals), targets


@pytest.mark.parametrize("seed", range(5))
def test_numbers_equal_scikit_learn(seed):
    probabilities, targets = draw(seed)
    assert auroc(probabilities, targets) == pytest.approx(reference.roc_auc_score(targets, probabilities), abs=1e-12)
    assert average_precision(probabilities, targets) == reference.average_precision_score(targets, probabilities)
    assert log_loss(probabilities, targets) == pytest.approx(reference.log_loss(targets, probabilities), rel=1e-12)
    assert brier(probabilities, targets) == pytest.approx(reference.brier_score_loss(targets, probabilities), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.0, 0.37, 0.5, 1.0])
def test_counts_equal_scikit_learn(seed, threshold):
    probabilities, targets = draw(seed)
    decisions = probabilities >= threshold
    counts = count(probabilities, targets, threshold)
    matrix = [[counts.true_negatives, counts.false_positives], [counts.false_negatives, counts.true_positives]]
    assert matrix == reference.confusion_matrix(targets, decisions, labels=[0, 1]).tolist()
    assert counts.n == targets.size and counts.positives == targets.sum()
    assert counts.accuracy == reference.accuracy_score(targets, decisions)
    assert counts.sensitivity == reference.recall_score(targets, decisions)
    assert counts.specificity == reference.recall_score(targets, decisions, pos_label=0)
    assert counts.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(targets, decisions), abs=1e-12)
    if decisions.any():
        assert counts.positive_predictive_value == reference.precision_score(targets, decisions)
    if not decisions.all():
        assert counts.negative_predictive_value == reference.precision_score(targets, decisions, pos_label=0)


def test_auroc_is_the_proportion_of_pairs_ranked_correctly():
    assert auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert auroc([0.5, 0.5, 0.5], [0, 1, 1]) == 0.5


def test_average_precision_at_chance_level_is_the_proportion_of_melanomas():
    assert average_precision([0.5] * 5, [0, 0, 0, 0, 1]) == pytest.approx(0.2)


@pytest.mark.parametrize("target", [0, 1])
def test_one_class_has_losses_but_no_ranking(target):
    probabilities, targets = [0.2, 0.4], [target, target]
    assert auroc(probabilities, targets) is None
    assert average_precision(probabilities, targets) is None
    assert log_loss(probabilities, targets) == pytest.approx(
        -np.mean(np.log(probabilities if target else 1 - np.array(probabilities)))
    )
    assert brier(probabilities, targets) == pytest.approx(np.mean((np.array(probabilities) - target) ** 2))


def test_a_certain_mistake_costs_much_but_not_infinity():
    assert log_loss([0.0, 1.0], [1, 0]) == pytest.approx(36.04, abs=0.01)
    assert math.isfinite(log_loss(np.array([0, 1], dtype=np.float32), [1, 0]))
    assert log_loss([0.0, 1.0], [0, 1]) == pytest.approx(0, abs=1e-12)


def test_the_threshold_itself_counts_as_malignant():
    assert count([0.5, 0.5], [0, 1], 0.5) == Counts(1, 1, 0, 0)
    assert count([0.5, 0.5], [0, 1], math.nextafter(0.5, 1)) == Counts(0, 0, 1, 1)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, math.nan])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(ValueError, match="threshold must lie in"):
        count([0.5], [1], threshold)


def test_proportions_without_a_divisor_are_none():
    nothing = Counts(0, 0, 0, 0)
    assert nothing.accuracy is None
    assert nothing.sensitivity is None and nothing.specificity is None and nothing.balanced_accuracy is None
    assert nothing.positive_predictive_value is None and nothing.negative_predictive_value is None
    only_malignant = Counts(3, 0, 0, 1)
    assert only_malignant.sensitivity == 0.75
    assert only_malignant.specificity is None and only_malignant.balanced_accuracy is None
    only_benign = Counts(0, 1, 3, 0)
    assert only_benign.specificity == 0.75
    assert only_benign.sensitivity is None and only_benign.balanced_accuracy is None


def test_counts_cannot_be_changed():
    with pytest.raises(AttributeError):
        Counts(1, 2, 3, 4).true_positives = 5
