import pytest

from melanoma_pl.evaluation.checks import scarcity_warnings, too_small


@pytest.mark.parametrize(
    ("malignant", "benign", "expected"),
    [
        (10, 10, ()),
        (7, 300, ("only 7 malignant images: the estimates are imprecise",)),
        (1, 300, ("only 1 malignant image: the estimates are imprecise",)),
        (0, 300, ("no malignant images: neither sensitivity nor AUROC can be computed",)),
        (300, 0, ("no benign images: neither specificity nor AUROC can be computed",)),
    ],
)
def test_few_images_are_said_in_a_line(malignant, benign, expected):
    assert scarcity_warnings([1] * malignant + [0] * benign) == expected


def test_both_classes_can_be_few():
    assert len(scarcity_warnings([0, 1])) == 2


def test_too_small_names_how_many():
    assert too_small(4, "positive") == "too small: 4 positive images"
    assert too_small(0, "negative") == "too small: no negative images"
    assert too_small(10, "negative") == ""
    assert too_small(10, "negative", smallest=11) == "too small: 10 negative images"


def test_classes_can_have_names_of_their_own():
    assert scarcity_warnings([1, 0, 0], ("nevus", "melanoma")) == (
        "only 1 melanoma image: the estimates are imprecise",
        "only 2 nevus images: the estimates are imprecise",
    )
