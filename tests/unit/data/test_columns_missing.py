"""Values that are unknown, and whether that alone tells the class."""

import numpy as np
import pytest

from melanoma_pl.data.columns import column_of, missing_metadata, telling_gaps


def test_columns_that_are_known_of_some_images() -> None:
    columns = [
        column_of("age", ["40", "200", "", "x", "85+"]),
        column_of("sex", ["male", "unknown", "female", "m", "f"]),
        column_of("patient_id", ["1", "2", "3", "4", "5"]),
        column_of("site", [""] * 5),
        column_of("dx", ["nv", "", "", "", ""]),
        column_of("thickness_mm", ["1", "", "", "", ""]),
    ]
    missing = missing_metadata(columns)
    assert {name: each.tolist() for name, each in missing.items()} == {
        "age": [False, True, True, True, False],
        "sex": [False, True, False, False, False],
    }


@pytest.mark.parametrize(
    ("of_malignant", "of_benign", "tells"),
    [
        (105, 0, True),
        (105, 1, True),
        (0, 105, True),
        (299, 0, True),
        (300, 270, True),  # known of benign images only
        (105, 60, False),  # a difference, but an age is unknown for many of either class
        (3, 0, False),  # by chance
        (30, 30, False),
    ],
)
def test_a_gap_tells_the_class_if_it_is_in_one_class(of_malignant: int, of_benign: int, tells: bool) -> None:
    targets = np.repeat([1, 0], 300)
    unknown = np.concatenate([np.arange(300) < of_malignant, np.arange(300) < of_benign])
    found = telling_gaps({"age": unknown, "sex": np.arange(600) % 2 == 0}, targets, "malignant")
    assert found == [f"age is unknown for {of_malignant} of 300 malignant and {of_benign} of 300 other images."] * tells


def test_rare_malignant_images_without_age_are_found() -> None:
    targets = np.zeros(6000, dtype=np.int64)
    targets[:105] = 1
    assert telling_gaps({"age": targets == 1}, targets, "malignant")
    assert not telling_gaps({"age": np.arange(6000) % 50 == 0}, targets, "malignant")


def test_columns_with_the_same_gap_share_a_sentence() -> None:
    of_malignant, targets = np.arange(60) < 25, np.repeat([1, 0], 30)
    found = telling_gaps(dict.fromkeys(("age", "sex", "site"), of_malignant), targets, "malignant")
    assert found == ["age, sex and site are unknown for 25 of 30 malignant and 0 of 30 other images."]


def test_one_class_has_no_gap() -> None:
    assert telling_gaps({"age": np.arange(9) < 4}, np.ones(9, dtype=np.int64), "malignant") == []
