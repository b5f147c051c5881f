import numpy as np
import pytest

from melanoma_pl import evaluation
from melanoma_pl.evaluation.checks import check_probabilities, check_scores, check_unit

RANKERS = [  # for which any scores do
    evaluation.auroc,
    evaluation.average_precision,
    evaluation.delong,
    evaluation.rank,
    evaluation.partial_auroc,
    lambda scores, targets: evaluation.specificity_at_sensitivity(scores, targets, 0.9),
    lambda scores, targets: evaluation.paired_delong(scores, scores, targets),
]
READERS = [
    evaluation.log_loss,
    evaluation.brier,
    evaluation.choose_threshold,
    lambda probabilities, targets: evaluation.count(probabilities, targets, 0.5),
    lambda probabilities, targets: evaluation.summarise(probabilities, targets, 0.5),
    lambda probabilities, targets: evaluation.intervals_of(probabilities, targets, 0.5),
    evaluation.reliability_bins,
    evaluation.expected_calibration_error,
    lambda probabilities, targets: evaluation.decide("0.5", probabilities, targets, 0.5),
    lambda probabilities, targets: evaluation.subgroup("female", probabilities, targets, 0.5),
]
MISTAKES = {
    "empty": ([], [], "at least one image"),
    "different lengths": ([0.1, 0.2], [0, 1, 1], r"not \(2,\) and \(3,\)"),
    "column": ([[0.1], [0.2]], [0, 1], r"not \(2, 1\) and \(2,\)"),
    "scalar": (0.5, 1, r"not \(\) and \(\)"),
    "NaN": ([0.1, np.nan], [0, 1], "1 of 2 are NaN"),
    "infinite": ([0.1, -np.inf], [0, 1], "-inf|1 of 2 are not"),
    "signed targets": ([0.1, 0.2], [-1, 1], "not -1"),
    "three classes": ([0.1, 0.2], [1, 2], "not 2"),
    "soft targets": ([0.1, 0.2], [0, 0.5], "not 0.5"),
    "missing target": ([0.1, 0.2], [0, np.nan], "not nan"),
}
OUTSIDE = {
    "logits": ([0.1, 3.5], [0, 1], "1 of 2 do not: 3.5"),
    "just above 1": ([0.1, 1 + 1e-12], [0, 1], "1.000000000001"),
}


def refuse(reader, probabilities, targets, message):
    with pytest.raises(ValueError, match=message) as error:
        reader(probabilities, targets)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reader", READERS + RANKERS)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_function_refuses_what_it_cannot_read_in_one_line(reader, mistake):
    refuse(reader, *MISTAKES[mistake])


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("mistake", OUTSIDE)
def test_probabilities_lie_between_0_and_1(reader, mistake):
    refuse(reader, *OUTSIDE[mistake])


@pytest.mark.parametrize("ranker", RANKERS)
def test_rankings_ask_for_the_order_alone(ranker):
    probabilities, targets = np.array([0.1, 0.3, 0.2, 0.9, 0.4]), [0, 1, 0, 1, 0]
    assert ranker(probabilities, targets) == ranker(40 * probabilities - 9, targets)


def test_lists_and_other_precisions_become_double_precision():
    probabilities, targets = check_probabilities(np.array([0.25, 1], dtype=np.float32), [False, True])
    assert probabilities.dtype == np.float64 and targets.dtype == np.int64
    assert probabilities.tolist() == [0.25, 1] and targets.tolist() == [0, 1]


@pytest.mark.parametrize(("logits", "message"), [([0.0, np.nan], "NaN"), ([0.0, np.inf], "finite"), ([], "at least")])
def test_logits_are_finite(logits, message):
    with pytest.raises(ValueError, match=message):
        check_scores(logits, [0, 1][: len(logits)], "logits")


@pytest.mark.parametrize("value", [-1e-9, 1 + 1e-9, np.nan, np.inf])
def test_a_proportion_lies_between_0_and_1(value):
    with pytest.raises(ValueError, match="threshold must lie in"):
        check_unit("threshold", value)


def test_open_ends_leave_out_0_and_1():
    assert (check_unit("fraction", 0), check_unit("fraction", 1)) == (0, 1)
    for value in (0, 1):
        with pytest.raises(ValueError, match=r"\(0, 1\)"):
            check_unit("fraction", value, "(0, 1)")
