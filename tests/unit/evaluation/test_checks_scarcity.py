import pytest

from melanoma_pl.evaluation.checks import too_small, warnings_of


@pytest.mark.parametrize(
    ("malignant", "benign", "expected"),
    [
        (10, 10, ()),
        (7, 300, ("only 7 malignant images: the intervals say little",)),
        (1, 300, ("only 1 malignant image: the intervals say little",)),
        (0, 300, ("no malignant images: neither sensitivity nor ranking can be computed",)),
        (300, 0, ("no benign images: neither specificity nor ranking can be computed",)),
    ],
)
def test_few_images_are_said_in_a_line(malignant, benign, expected):
    assert warnings_of([1] * malignant + [0] * benign) == expected


def test_both_classes_can_be_few():
    assert len(warnings_of([0, 1])) == 2


def test_too_small_names_how_many():
    assert too_small(4, "malignant") == "too small: 4 malignant images"
    assert too_small(0, "benign") == "too small: no benign images"
    assert too_small(10, "benign") == ""
    assert too_small(10, "benign", smallest=11) == "too small: 10 benign images"


def test_classes_can_have_names_of_their_own():
    assert warnings_of([1, 0, 0], ("nevus", "melanoma")) == (
        "only 1 melanoma image: the intervals say little",
        "only 2 nevus images: the intervals say little",
    )
