"""The validation split: stratified, by lesion, the same again."""

from pathlib import Path

import numpy as np
import pytest

from melanoma_pl.data.folder import Photos
from melanoma_pl.data.splits import cut_validation, shared_lesions
from melanoma_pl.errors import UserError


def some_photos(count: int, lesions: int | None = None) -> Photos:
    targets = (np.arange(count) % 3 == 0).astype(np.int64)
    names = None if lesions is None else tuple(f"{targets[index]}-{index % lesions}" for index in range(count))
    return Photos(Path(), tuple(f"{index}.png" for index in range(count)), targets, names)


@pytest.mark.parametrize("lesions", [None, 60])
@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.3, 0.5])
def test_stratified_and_complete(fraction: float, lesions: int | None) -> None:
    photos = some_photos(300, lesions)
    training, validation = cut_validation(photos, fraction, seed=0)
    assert sorted([*training, *validation]) == list(range(300))
    assert len(validation) == pytest.approx(300 * fraction, abs=12)
    assert photos.targets[validation].mean() == pytest.approx(photos.targets.mean(), abs=0.05)


def test_a_lesion_is_on_one_side_only() -> None:
    photos = some_photos(300, lesions=60)
    training, validation = cut_validation(photos, 0.2, seed=0)
    assert photos.groups is not None
    groups = np.array(photos.groups)
    assert not set(groups[training]) & set(groups[validation])


def test_same_seed_same_split() -> None:
    photos = some_photos(100)
    first, again, other = (cut_validation(photos, 0.2, seed=seed)[1].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_pinned() -> None:
    assert cut_validation(some_photos(20), 0.2, seed=0)[1].tolist() == [5, 6, 11, 12]


def test_too_few() -> None:
    with pytest.raises(UserError, match="too few for a validation split"):
        cut_validation(some_photos(6), 0.2, seed=0)
    with pytest.raises(UserError, match="lesions of one class"):
        cut_validation(some_photos(300, lesions=3), 0.2, seed=0)


def test_shared_lesions() -> None:
    photos = some_photos(6, lesions=3)
    assert photos.groups is not None
    assert shared_lesions(photos, [photos.groups[1]]).tolist() == [group == photos.groups[1] for group in photos.groups]
    assert not shared_lesions(some_photos(6), ["a"]).any()
