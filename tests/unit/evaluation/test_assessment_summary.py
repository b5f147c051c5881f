import numpy as np
import pytest
from sklearn import metrics as reference

from melanoma_pl.evaluation import delong, intervals_of, summarise, wilson

KEYS = [
    *("n", "positives", "auroc", "average_precision", "accuracy", "sensitivity", "specificity", "balanced_accuracy"),
    *("log_loss", "brier", "threshold", "true_positives", "false_positives", "true_negatives", "false_negatives"),
]


def draw(n=120):
    random = np.random.default_rng(0)
    targets = (np.arange(n) < n // 4).astype(int)
    return np.clip(random.normal(0.4 + 0.2 * targets, 0.2), 0, 1), targets


def test_summary_equals_scikit_learn():
    probabilities, targets = draw()
    decisions = probabilities >= 0.4
    summary = summarise(probabilities, targets, 0.4)
    assert list(summary) == KEYS
    assert summary["n"] == 120 and summary["positives"] == 30 and summary["threshold"] == 0.4
    assert summary["auroc"] == pytest.approx(reference.roc_auc_score(targets, probabilities))
    assert summary["average_precision"] == pytest.approx(reference.average_precision_score(targets, probabilities))
    assert summary["accuracy"] == pytest.approx(reference.accuracy_score(targets, decisions))
    assert summary["sensitivity"] == pytest.approx(reference.recall_score(targets, decisions))
    assert summary["specificity"] == pytest.approx(reference.recall_score(targets, decisions, pos_label=0))
    assert summary["balanced_accuracy"] == pytest.approx(reference.balanced_accuracy_score(targets, decisions))
    assert summary["log_loss"] == pytest.approx(reference.log_loss(targets, probabilities))
    assert summary["brier"] == pytest.approx(reference.brier_score_loss(targets, probabilities))
    assert sum(summary[key] for key in KEYS[-4:]) == 120


def test_intervals_belong_to_the_numbers():
    probabilities, targets = draw()
    summary, intervals = summarise(probabilities, targets, 0.4), intervals_of(probabilities, targets, 0.4)
    assert intervals == {
        "auroc": delong(probabilities, targets),
        "accuracy": wilson(round(summary["accuracy"] * 120), 120),
        "sensitivity": wilson(summary["true_positives"], 30),
        "specificity": wilson(summary["true_negatives"], 90),
    }
    assert all(intervals[key][0] < summary[key] < intervals[key][1] for key in intervals)


def test_one_class_is_none_not_a_number():
    summary, intervals = summarise([0.2, 0.6], [0, 0], 0.5), intervals_of([0.2, 0.6], [0, 0], 0.5)
    for key in ("auroc", "average_precision", "sensitivity", "balanced_accuracy"):
        assert summary[key] is None
    assert summary["specificity"] == summary["accuracy"] == 0.5
    assert intervals["auroc"] is None and intervals["sensitivity"] is None and intervals["specificity"] is not None
