"""The cut of a validation split or of folds: stratified, by lesion, reproducible."""

from pathlib import Path

import numpy as np
import pytest

from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.data.splits import cut_folds, cut_validation
from melanoma_pl.errors import UserError


def some_images(count: int, lesions: int | None = None) -> LabelledImages:
    labels = tuple("benign" if index % 3 else "malignant" for index in range(count))
    groups = None if lesions is None else tuple(f"{labels[index]}-{index % lesions}" for index in range(count))
    paths = tuple(f"{index}.png" for index in range(count))
    return LabelledImages(Path(), paths, labels, ("train",) * count, groups=groups)


@pytest.mark.parametrize("lesions", [None, 60])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.3, 0.5])
def test_stratified_and_complete(fraction: float, lesions: int | None) -> None:
    images = some_images(300, lesions)
    training, validation = cut_validation(images, fraction, seed=0)
    assert sorted([*training, *validation]) == list(range(300))
    assert len(validation) == pytest.approx(300 * fraction, abs=12)
    assert images.targets[validation].mean() == pytest.approx(images.targets.mean(), abs=0.05)


def test_a_lesion_is_on_one_side_only() -> None:
    images = some_images(300, lesions=60)
    training, validation = cut_validation(images, 0.2, seed=0)
    assert images.groups is not None
    groups = np.array(images.groups)
    assert not set(groups[training]) & set(groups[validation])


def test_same_seed_same_split() -> None:
    images = some_images(100)
    first, again, other = (cut_validation(images, 0.2, seed=seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_pinned() -> None:
    assert cut_validation(some_images(20), 0.2, seed=0)[1].tolist() == [5, 6, 11, 12]


def test_too_few() -> None:
    with pytest.raises(UserError, match="too few for a validation split"):
        cut_validation(some_images(6), 0.2, seed=0)
    with pytest.raises(UserError, match="lesions of one class"):
        cut_validation(some_images(300, lesions=3), 0.2, seed=0)


def test_one_class_alone() -> None:
    images = some_images(30)
    with pytest.raises(UserError, match="images of one class only are left for a validation split"):
        cut_validation(images.take(np.flatnonzero(images.targets == 0)), 0.2, seed=0)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_fraction_is_never_none_and_never_all(fraction: float) -> None:
    _, validation = cut_validation(some_images(300), fraction, seed=0)
    assert len(validation) == pytest.approx(300 * max(0.05, min(fraction, 0.95)), abs=1)


def test_folds_of_any_number_of_classes() -> None:
    labels = np.array(["a", "b", "c"] * 40)
    groups = [f"{label}{index // 6}" for index, label in enumerate(labels)]
    fold_of = cut_folds(labels, groups, 5, seed=0, purpose="folds", way_out="")
    assert sorted(set(fold_of.tolist())) == [0, 1, 2, 3, 4]
    assert all(len(set(fold_of[np.array(groups) == group])) == 1 for group in groups)
    for label in "abc":
        assert np.bincount(fold_of[labels == label]).tolist() == [8] * 5


def test_a_class_that_is_too_small_is_named() -> None:
    with pytest.raises(UserError, match="3 images of the class 'b' are too few for cross-validation in 4 parts: add"):
        cut_folds(["a"] * 9 + ["b"] * 3, None, 4, seed=0, purpose="cross-validation", way_out="add images")


def test_lesions_of_several_classes_can_leave_a_fold_without_one() -> None:
    lesions = [(2, 0), (1, 1), (0, 2), (1, 1), (1, 1), (0, 1), (1, 0)]
    labels = [label for counts in lesions for label, count in enumerate(counts) for _ in range(count)]
    groups = [str(number) for number, counts in enumerate(lesions) for _ in range(sum(counts))]
    with pytest.raises(UserError, match="leave a part of the folds without a class"):
        for seed in range(20):
            cut_folds(labels, groups, 5, seed, "the folds", "")
