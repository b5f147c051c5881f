"""Cutting photos into folds, training and validation, by class and lesion; which photos share a lesion with others."""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from melanoma_pl.errors import UserError

if TYPE_CHECKING:
    from melanoma_pl.data.folder import Photos

FINEST_SHARE = 20  # folds: a split is cut in steps of a twentieth at the finest


def cut_validation(photos: "Photos", fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the validation split from the training photos.

    Args:
        photos: All photos of the train folder.
        fraction: Share of the photos to validate on, in (0, 1).
        seed: Of the shuffle.

    Returns:
        Sorted positions of the training photos and of the validation photos.

    Raises:
        UserError: If a class has too few photos or lesions to be on both sides.
    """
    way_out = "add photos, or take a larger data.validation_fraction (0.5 needs two of each class)"
    is_held = cut_share(photos.targets, photos.groups, fraction, seed, "a validation split", way_out)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def cut_share(
    labels: ArrayLike, groups: Sequence[str] | None, fraction: float, seed: int, purpose: str, way_out: str
) -> NDArray[np.bool_]:
    """Choose a share of the photos: so many folds of as many as its nearest fraction says.

    Args:
        labels: As of `cut_folds`.
        groups: As of `cut_folds`.
        fraction: Share to choose, in (0, 1), rounded to what at most `FINEST_SHARE` folds can do.
        seed: Of the shuffle.
        purpose: What the share is for, as the error names it.
        way_out: What the error advises.

    Returns:
        bool `(N,)`, True where chosen.

    Raises:
        UserError: If a class has too few photos or lesions to be on both sides.
    """
    finest = Fraction(1, FINEST_SHARE)
    share = min(max(Fraction(fraction).limit_denominator(FINEST_SHARE), finest), 1 - finest)
    is_chosen = _cut(labels, groups, share.denominator, seed, purpose, way_out) < share.numerator
    _require_every_class(labels, is_chosen, 2, purpose, way_out)
    return is_chosen


def cut_folds(
    labels: ArrayLike, groups: Sequence[str] | None, folds: int, seed: int, purpose: str, way_out: str
) -> NDArray[np.int64]:
    """Cut photos into folds of about one size.

    Stratified by class and, where groups are known, with each group in one fold only. The folds depend on nothing but
    the arguments.

    Args:
        labels: Class of N photos: numbers or names.
        groups: Lesion of N photos, or None where unknown.
        folds: How many, 2 or more.
        seed: Of the shuffle.
        purpose: What the folds are for, as the error names it.
        way_out: What the error advises.

    Returns:
        int64 `(N,)`, each photo's fold, from 0.

    Raises:
        UserError: If a class has too few photos or lesions to be in every fold.
    """
    fold_of = _cut(labels, groups, folds, seed, purpose, way_out)
    _require_every_class(labels, fold_of, folds, purpose, way_out)
    return fold_of


def _cut(
    labels: ArrayLike, groups: Sequence[str] | None, folds: int, seed: int, purpose: str, way_out: str
) -> NDArray[np.int64]:
    labels = np.asarray(labels)
    _require_enough(labels, groups, folds, purpose, way_out)
    splitter_type = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = splitter_type(n_splits=folds, shuffle=True, random_state=seed)
    fold_of = np.empty(len(labels), dtype=np.int64)
    for fold, (_, held) in enumerate(splitter.split(labels, labels, groups)):
        fold_of[held] = fold
    return fold_of


def _require_enough(
    labels: NDArray[np.generic], groups: Sequence[str] | None, folds: int, purpose: str, way_out: str
) -> None:
    names, unit = (np.arange(len(labels)), "photos") if groups is None else (np.array(groups), "lesions")
    present = np.unique(labels)
    if len(present) < 2:
        raise UserError(f"photos of one class only are left for {purpose}", way_out)
    for label in present:
        count = len(np.unique(names[labels == label]))
        if count < folds:
            which = f"the class '{label}'" if isinstance(label, str) else "one class"
            raise UserError(f"{count} {unit} of {which} are too few for {purpose} in {folds} parts", way_out)


def _require_every_class(
    labels: ArrayLike, part_of: NDArray[np.generic], parts: int, purpose: str, way_out: str
) -> None:
    """Refuse parts that lack a class, which lesions with photos of two classes can bring about."""
    labels = np.asarray(labels)
    if any(len(np.unique(part_of[labels == label])) < parts for label in np.unique(labels)):
        raise UserError(f"lesions with photos of several classes leave a part of {purpose} without a class", way_out)


def shared_lesions(photos: "Photos", other_groups: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which photos show a lesion that is also among `other_groups`.

    Returns:
        bool `(N,)`; all False where the photos' groups are unknown.
    """
    if photos.groups is None:
        return np.zeros(len(photos), dtype=bool)
    return np.isin(np.array(photos.groups), np.array(list(other_groups)))
