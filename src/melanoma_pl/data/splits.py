"""Which training photos become the validation split, and which test photos share a lesion with training."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from melanoma_pl.data.folder import Photos
from melanoma_pl.errors import UserError

FINEST_SHARE = 20  # folds: a validation split is cut in steps of a twentieth at the finest


def cut_validation(photos: Photos, fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the validation split from the training photos.

    Stratified by class and, where `photos.groups` is known, with each lesion on one side only. The split depends on
    nothing but its arguments.

    Args:
        photos: All photos of the train folder.
        fraction: Share of the photos to validate on, in (0, 1).
        seed: Of the shuffle.

    Returns:
        Sorted positions of the training photos and of the validation photos.

    Raises:
        UserError: If a class has too few photos or lesions to be on both sides.
    """
    share = Fraction(fraction).limit_denominator(FINEST_SHARE)
    share = max(share, Fraction(1, FINEST_SHARE))
    _require_enough(photos, share.denominator)
    splitter_type = StratifiedKFold if photos.groups is None else StratifiedGroupKFold
    splitter = splitter_type(n_splits=share.denominator, shuffle=True, random_state=seed)
    folds = [held for _, held in splitter.split(photos.targets, photos.targets, photos.groups)]
    validation = np.sort(np.concatenate(folds[: share.numerator])).astype(np.int64)
    training = np.setdiff1d(np.arange(len(photos)), validation).astype(np.int64)
    return training, validation


def _require_enough(photos: Photos, folds: int) -> None:
    names = np.arange(len(photos)).astype(str) if photos.groups is None else np.array(photos.groups)
    for target in (0, 1):
        lesions = len(np.unique(names[photos.targets == target]))
        if lesions < folds:
            unit = "photos" if photos.groups is None else "lesions"
            raise UserError(
                f"{lesions} training {unit} of one class are too few for a validation split in {folds} parts",
                "add photos, or take a larger data.validation_fraction (0.5 needs two of each class)",
            )


def shared_lesions(photos: Photos, other_groups: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which photos show a lesion that is also among `other_groups`.

    Returns:
        bool `(N,)`; all False where the photos' groups are unknown.
    """
    if photos.groups is None:
        return np.zeros(len(photos), dtype=bool)
    return np.isin(np.array(photos.groups), np.array(list(other_groups)))
