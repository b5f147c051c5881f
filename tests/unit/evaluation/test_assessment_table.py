import json

import numpy as np
import pytest
from sklearn import metrics as reference

from melanoma_pl.evaluation import delong, format_table, intervals_of, summarise, wilson
from melanoma_pl.evaluation.assessment import COLUMNS

KEYS = [
    *("n", "positives", "auroc", "average_precision", "accuracy", "sensitivity", "specificity", "balanced_accuracy"),
    *("log_loss", "brier", "threshold", "true_positives", "false_positives", "true_negatives", "false_negatives"),
]
TABLE = """
                   n  positives          AUROC     average       accuracy    sensitivity    specificity  threshold
                                     [95 % CI]   precision      [95 % CI]      [95 % CI]      [95 % CI]
---------------  ---  ---------  -------------  ----------  -------------  -------------  -------------  ---------
validation       150         30          0.812       0.500          0.733          0.967          0.675      0.123
test, no shared  150         30          0.812       0.500          0.733          0.967          0.675      0.123
lesion                           [0.700-0.900]              [0.650-0.800]  [0.833-0.994]  [0.587-0.752]
benign only      150         30            not         not          0.733            not          0.675      0.123
                                    computable  computable                    computable
"""


def draw(n=120):
    random = np.random.default_rng(0)
    targets = (np.arange(n) < n // 4).astype(int)
    return np.clip(random.normal(0.4 + 0.2 * targets, 0.2), 0, 1), targets


def row(probabilities, targets, threshold=0.4):
    images = probabilities, targets, threshold
    return summarise(*images) | {"intervals": intervals_of(*images)}


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


def test_numbers_and_intervals_survive_json():
    summary = row(*draw())
    assert format_table({"test": json.loads(json.dumps(summary))}) == format_table({"test": summary})


def test_one_class_is_none_not_a_number():
    summary, intervals = summarise([0.2, 0.6], [0, 0], 0.5), intervals_of([0.2, 0.6], [0, 0], 0.5)
    for key in ("auroc", "average_precision", "sensitivity", "balanced_accuracy"):
        assert summary[key] is None
    assert summary["specificity"] == summary["accuracy"] == 0.5
    assert intervals["auroc"] is None and intervals["sensitivity"] is None and intervals["specificity"] is not None


def test_table_as_it_is_read():
    values = (150, 30, 0.8123, 0.5, 0.7333, 0.9667, 0.675, 0.1234)
    numbers = dict(zip(COLUMNS, values, strict=True))
    shares = ("auroc", "accuracy", "sensitivity", "specificity")
    ends = [(0.7, 0.9), (0.65, 0.8), (0.8333, 0.9941), (0.587, 0.752)]
    rows = {
        "validation": numbers,
        "test, no shared lesion": numbers | {"intervals": dict(zip(shares, ends, strict=True))},
        "benign only": numbers | dict.fromkeys(("auroc", "average_precision", "sensitivity")),
    }
    assert format_table(rows) == TABLE.strip("\n")


def test_table_is_narrow_and_says_what_is_missing():
    probabilities, targets = draw()
    rows = {
        "validation": row(probabilities, targets),
        "test, no shared lesion": row(probabilities, targets) | {"n": 100000},
        "benign only": row(probabilities[targets == 0], targets[targets == 0]),
        "malignant only": row(probabilities[targets == 1], targets[targets == 1], threshold=1e-9),
        "one melanoma": row(probabilities[29:], targets[29:]),
    }
    table = format_table(rows)
    assert max(map(len, table.split("\n"))) <= 120
    assert table.isascii() and " nan" not in table and "None" not in table
    assert "not" in table and "computable" in table and "[not computable]" in table and "1e-09" in table
