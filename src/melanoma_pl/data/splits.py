"""Cutting images into folds, training and validation, by class and lesion; which images share a lesion with others.

`data.fold`: one fold of a table to validate on, the others to train on.

`data.exclude`: images that training does without, such as the quarantine list of an audit.
"""

import logging
import shlex
from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from melanoma_pl.data.image_set import LabelledImages
from melanoma_pl.data.layout import CUT_FOLDS, check_exclusion
from melanoma_pl.data.metadata import read_table, require_column
from melanoma_pl.errors import UserError, first_of

if TYPE_CHECKING:
    from melanoma_pl.data.image_set import LabelledImages

FINEST_FRACTION = 20  # folds: a split is cut in steps of a twentieth at the finest


def cut_validation(images: "LabelledImages", fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the validation split from the training images.

    Args:
        images: All images of the train folder.
        fraction: Share of the images to validate on, in (0, 1).
        seed: Of the shuffle.

    Returns:
        Sorted positions of the training images and of the validation images.

    Raises:
        UserError: If a class has too few images or lesions to be on both sides.
    """
    way_out = "add images, or take a larger data.validation_fraction (0.5 needs two of each class)"
    is_held = cut_fraction(images.targets, images.groups, fraction, seed, "a validation split", way_out)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def cut_fraction(
    labels: ArrayLike, groups: Sequence[str] | None, fraction: float, seed: int, purpose: str, way_out: str
) -> NDArray[np.bool_]:
    """Choose a share of the images: so many folds of as many as its nearest fraction says.

    Args:
        labels: As of `cut_folds`.
        groups: As of `cut_folds`.
        fraction: Share to choose, in (0, 1), rounded to what at most `FINEST_FRACTION` folds can do.
        seed: Of the shuffle.
        purpose: What the share is for, as the error names it.
        way_out: What the error advises.

    Returns:
        bool `(N,)`, True where chosen.

    Raises:
        UserError: If a class has too few images or lesions to be on both sides.
    """
    finest = Fraction(1, FINEST_FRACTION)
    share = min(max(Fraction(fraction).limit_denominator(FINEST_FRACTION), finest), 1 - finest)
    is_chosen = _cut(labels, groups, share.denominator, seed, purpose, way_out) < share.numerator
    _require_every_class(labels, is_chosen, 2, purpose, way_out)
    return is_chosen


def cut_folds(
    labels: ArrayLike, groups: Sequence[str] | None, folds: int, seed: int, purpose: str, way_out: str
) -> NDArray[np.int64]:
    """Cut images into folds of about one size.

    Stratified by class and, where groups are known, with each group in one fold only. The folds depend on nothing but
    the arguments.

    Args:
        labels: Class of N images: numbers or names.
        groups: Lesion of N images, or None where unknown.
        folds: How many, 2 or more.
        seed: Of the shuffle.
        purpose: What the folds are for, as the error names it.
        way_out: What the error advises.

    Returns:
        int64 `(N,)`, each image's fold, from 0.

    Raises:
        UserError: If a class has too few images or lesions to be in every fold.
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
    names, unit = (np.arange(len(labels)), "images") if groups is None else (np.array(groups), "lesions")
    present = np.unique(labels)
    if len(present) < 2:
        raise UserError(f"images of one class only are left for {purpose}", way_out)
    for label in present:
        count = len(np.unique(names[labels == label]))
        if count < folds:
            which = f"the class '{label}'" if isinstance(label, str) else "one class"
            raise UserError(f"{count} {unit} of {which} are too few for {purpose} in {folds} parts", way_out)


def _require_every_class(
    labels: ArrayLike, part_of: NDArray[np.generic], parts: int, purpose: str, way_out: str
) -> None:
    """Refuse parts that lack a class, which lesions with images of two classes can bring about."""
    labels = np.asarray(labels)
    if any(len(np.unique(part_of[labels == label])) < parts for label in np.unique(labels)):
        raise UserError(f"lesions with images of several classes leave a part of {purpose} without a class", way_out)


def shared_lesions(images: "LabelledImages", other_groups: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which images show a lesion that is also among `other_groups`.

    Returns:
        bool `(N,)`; all False where the images' groups are unknown.
    """
    if images.groups is None:
        return np.zeros(len(images), dtype=bool)
    return np.isin(np.array(images.groups), np.array(list(other_groups)))


FOLD_COLUMN = "fold"


def cut_fold(
    images: LabelledImages, table: Path, fold: int, image_column: str = "image", group_column: str | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take one fold of the training images as validation split.

    Args:
        images: All training images.
        table: CSV file with each image's fold, such as `split.csv`.
        fold: Which to validate on.
        image_column: Column with the image's path, as in `images.paths`.
        group_column: Column that the images' groups come from, as the error names it.

    Returns:
        Sorted positions of the training images and of the validation images.

    Raises:
        UserError: If there is no such fold, an image or a class is missing, or lesions of it are in other folds too.
    """
    rows = read_table(table, image_column, listed=set(images.paths))
    require_column(table, list(next(iter(rows.values()), {})), FOLD_COLUMN, "data.fold")
    cells = {path: rows[path][FOLD_COLUMN] for path in images.paths if path in rows}
    lost = [path for path in images.paths if not cells.get(path)]
    folds = sorted(set(cells.values()) - {""}, key=lambda name: (len(name), name))
    if not folds:
        raise UserError(f"data.fold={fold}: {table} has no folds", CUT_FOLDS)
    if lost:
        raise UserError(f"{table} has no fold for {len(lost)} of {len(images)} images ({first_of(lost)})", CUT_FOLDS)
    if str(fold) not in folds:
        raise UserError(f"data.fold={fold} does not exist: {table} has {', '.join(folds)}")
    is_held = np.array([cells[path] == str(fold) for path in images.paths])
    _require_both_classes(images, is_held, table, fold)
    _require_whole_groups(images, is_held, table, fold, _cut_again(len(folds), group_column))
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def _require_both_classes(images: LabelledImages, is_held: NDArray[np.bool_], table: Path, fold: int) -> None:
    for part, name in ((is_held, f"fold {fold}"), (~is_held, f"the folds other than {fold}")):
        if len(np.unique(images.targets[part])) < 2:
            raise UserError(f"in {table} images of one class only are in {name}", CUT_FOLDS)


def _require_whole_groups(
    images: LabelledImages, is_held: NDArray[np.bool_], table: Path, fold: int, way_out: str
) -> None:
    """Refuse a fold whose lesions also train: its figures would be too good."""
    if images.groups is None:
        return
    groups = np.array(images.groups)
    shared = np.intersect1d(groups[is_held], groups[~is_held]).tolist()
    if shared:
        count = f"{len(shared)} group{'s' * (len(shared) != 1)} ({first_of(shared)})"
        raise UserError(f"in {table} {count} of fold {fold} have images in other folds too", way_out)


def _cut_again(folds: int, group_column: str | None) -> str:
    column = shlex.quote(group_column or "<column>")
    return f"cut the folds anew: melanoma-data split <images> <target> --folds {folds} --group-column {column}"


logger = logging.getLogger(__name__)

IMAGE_COLUMN = "image"


def leave_out(images: LabelledImages, exclude: Path, test_paths: Callable[[], Container[str]]) -> LabelledImages:
    """Return the training images without those that a list names, and say how many they are.

    A list of an audit names images of all splits. Those that training does not use anyway are no mistake.

    Args:
        images: All training images.
        exclude: CSV table whose column `image` names images as `images.paths` do.
        test_paths: Returns the paths of the test images; asked only where the list names others than training images.
            Those stay, because a test split that can be thinned out proves nothing.

    Raises:
        UserError: If there is no such list, or it names images that are not there.
    """
    check_exclusion(exclude)
    named = read_table(exclude, IMAGE_COLUMN, "data.exclude", set(images.paths))
    others = {path: named[path][IMAGE_COLUMN] for path in named.keys() - set(images.paths)}
    tested = test_paths() if others else ()
    unused = [path for path, cell in others.items() if path not in tested and cell not in tested]
    _require_files(exclude, images.root, [path for path in unused if not _is_there(images.root, path, others[path])])
    stay = len(others) - len(unused)
    notes = f"; {stay} test images that it names stay" if stay else ""
    notes += f"; {len(unused)} images that it names are not trained on anyway" if unused else ""
    logger.info("left out    %d training images that %s names%s", len(named) - len(others), exclude, notes)
    return images.take(np.flatnonzero([path not in named for path in images.paths]))


def _is_there(root: Path, *names: str) -> bool:
    return any((root / name).is_file() for name in names)


def _require_files(exclude: Path, root: Path, gone: Sequence[str]) -> None:
    if gone:
        message = f"data.exclude={exclude} names {len(gone)} images that are not in {root} ({first_of(sorted(gone))})"
        raise UserError(message, "make the list anew, or take them out of it")
