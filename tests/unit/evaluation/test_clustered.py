"""Intervals of AUROCs, differences and proportions, with lesions that have one image and lesions that have several."""

import numpy as np
import pytest

from melanoma_pl.evaluation import (
    RankedImages,
    auroc_with_delong,
    clustered_proportion,
    paired_auroc_by_lesion,
    paired_delong,
    proportion,
    rank,
)

generator = np.random.default_rng(0)
TARGETS = np.repeat([0, 1], 60)
SCORES = generator.normal(0, 1, 120) + TARGETS
OTHER = SCORES + generator.normal(0, 1, 120)
SINGLE = [f"lesion {index}" for index in range(120)]


def width(estimate: object) -> float:
    return float(np.ptp(estimate.interval))  # type: ignore[attr-defined]


@pytest.mark.parametrize("groups", [None, SINGLE])
def test_images_of_different_lesions_are_independent(groups: list[str] | None) -> None:
    first, second = RankedImages(SCORES, TARGETS, groups), RankedImages(OTHER, TARGETS, groups)
    assert first.auroc == auroc_with_delong(SCORES, TARGETS)
    difference = paired_delong(SCORES, OTHER, TARGETS)
    assert first.auroc_minus(second).interval == difference.interval
    assert clustered_proportion(SCORES > 1, groups) == proportion(int((SCORES > 1).sum()), 120)


def test_copies_of_an_image_add_no_knowledge() -> None:
    """Three copies of each image would narrow the interval of independent images to 58 %."""
    scores, other, targets, groups = (np.tile(values, 3) for values in (SCORES, OTHER, TARGETS, SINGLE))
    first = RankedImages(scores, targets, groups.tolist())
    second, alone = first.with_scores(other), RankedImages(SCORES, TARGETS)
    assert first.auroc.value == pytest.approx(alone.auroc.value)
    assert width(first.auroc) == pytest.approx(width(alone.auroc), rel=0.1)
    assert width(first.auroc) > 1.5 * width(auroc_with_delong(scores, targets))
    difference, expected = first.auroc_minus(second), alone.auroc_minus(alone.with_scores(OTHER))
    assert difference.value == pytest.approx(expected.value)
    assert width(difference) == pytest.approx(width(expected), rel=0.15)
    assert width(clustered_proportion(scores > 1, groups.tolist())) == pytest.approx(
        width(clustered_proportion(SCORES > 1, None)), rel=0.15
    )


def test_the_bootstrap_is_that_of_the_other_tables() -> None:
    groups = [f"lesion {index // 3}" for index in range(120)]
    first, second = RankedImages(SCORES, TARGETS, groups), RankedImages(OTHER, TARGETS, groups)
    assert first.auroc == rank(SCORES, TARGETS, groups).auroc_by_lesion
    expected = paired_auroc_by_lesion(SCORES, OTHER, TARGETS, groups)
    assert first.auroc_minus(second).interval == expected.interval
    assert first.auroc_minus(second).value == pytest.approx(expected.value)


def test_what_every_replicate_agrees_on_still_has_an_interval() -> None:
    """A perfect shortcut must be recognised as one, however few lesions there are."""
    groups = [f"lesion {index // 2}" for index in range(120)]
    perfect = RankedImages(TARGETS, TARGETS, groups).auroc
    assert perfect.value == 1 and perfect.interval is not None
    assert perfect.interval == auroc_with_delong(TARGETS[::2], TARGETS[::2]).interval, "one image a lesion"
    none, every = (clustered_proportion(np.full(120, value), groups) for value in (False, True))
    assert (none.value, every.value) == (0, 1)
    assert none.interval == proportion(0, 60).interval and every.interval == proportion(60, 60).interval


def test_images_of_one_class_give_the_reason() -> None:
    first = RankedImages(SCORES, np.zeros(120), ["one"] * 120)
    assert first.auroc.reason == first.auroc_minus(first).reason == "no positive images"
