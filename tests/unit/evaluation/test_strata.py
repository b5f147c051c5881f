import numpy as np
import pytest

from melanoma_pl.evaluation.strata import age_bands, split_by


@pytest.mark.parametrize(
    ("age", "band"),
    [
        *((0, "under 30"), (29.9, "under 30"), (30, "30–44"), (44.5, "30–44"), (45, "45–59"), (60, "60–74")),
        *(
            (75, "75 and over"),
            (101, "75 and over"),
            (120, "75 and over"),
            (121, "unknown"),
            (200, "unknown"),
            (np.nan, "unknown"),
            (-1, "unknown"),
            (np.inf, "unknown"),
        ),
    ],
)
def test_bands(age, band):
    assert age_bands([age]) == [band]
    assert age_bands([]) == []


def test_the_most_frequent_value_comes_first_and_unknown_last():
    masks = split_by(["", "male", "female", None, "female", " ", "other", "unknown"])
    assert list(masks) == ["female", "male", "other", "unknown"]
    assert masks["female"].tolist() == [False, False, True, False, True, False, False, False]
    assert masks["unknown"].dtype == np.bool_ and masks["unknown"].sum() == 4
    assert np.array_equal(np.sum(list(masks.values()), axis=0), np.ones(8))


def test_no_images_make_no_groups():
    assert split_by([]) == {}
