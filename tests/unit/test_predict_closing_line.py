"""The last line of `melanoma-predict`, and the names of its decisions."""

import pytest

from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.metrics import Counts
from melanoma_pl.predict import closing_line, decision_names

NAMES = ("benign", "malignant")
TEST = ("test", Counts(true_positives=173, false_positives=76, true_negatives=142, false_negatives=9))


@pytest.mark.parametrize(
    ("malignant", "n", "expected"),
    [
        (24, 24, "all 24 called malignant; at this threshold 35 % of 218 benign test images are too"),
        (2, 2, "both called malignant; at this threshold 35 % of 218 benign test images are too"),
        (0, 24, "none of 24 called malignant; at this threshold 5 % of 182 malignant test images are missed"),
        (
            7,
            24,
            "7 of 24 called malignant; at this threshold 35 % of 218 benign test images are too, and 5 % of 182 "
            "malignant test images are missed",
        ),
        (1, 1, "the image is called malignant; at this threshold 35 % of 218 benign test images are too"),
        (0, 1, "the image is called benign; at this threshold 5 % of 182 malignant test images are missed"),
    ],
)
def test_the_line_says_how_often_such_a_decision_is_wrong(malignant: int, n: int, expected: str) -> None:
    assert closing_line(malignant, n, NAMES, 0.25, TEST) == f"threshold 0.250000: {expected}"


def test_without_a_record_the_line_only_counts() -> None:
    assert closing_line(3, 24, NAMES, 0.5, None) == "threshold 0.500000: 3 of 24 called malignant"
    empty = ("test", Counts(true_positives=2, false_positives=0, true_negatives=0, false_negatives=1))
    assert closing_line(3, 3, NAMES, 0.5, empty) == "threshold 0.500000: all 3 called malignant"


def test_small_rates_and_single_images() -> None:
    few = ("validation", Counts(true_positives=299, false_positives=1, true_negatives=0, false_negatives=1))
    line = closing_line(1, 2, ("normal", "melanoma"), 0.5, few)
    assert "100 % of 1 normal validation image is too" in line
    assert "0.3 % of 300 melanoma validation images are missed" in line


@pytest.mark.parametrize(
    "text", ["", "a", "a,b,c", "a,a", "a,A", ",b", "melanoma,normal", "malignant,benign", "a,\x1b"]
)
def test_names_that_cannot_be_the_two_decisions_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="should be two names"):
        decision_names(text)


def test_names_may_have_spaces_around_them() -> None:
    assert decision_names("normal, melanoma") == ("normal", "melanoma")
