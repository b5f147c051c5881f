"""The choice of training and validation images: by a stratified cut, by a fold of a table, and without excluded images.

A cut keeps all images of a lesion on one side.
"""

import logging
import math
import shlex
from collections import Counter
from collections.abc import Callable, Container, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.data.metadata import read_table, require_column
from melanoma_pl.data.options import CUT_FOLDS
from melanoma_pl.errors import UserError, first_of

logger = logging.getLogger(__name__)

FINEST_FRACTION = 20  # a split is cut in steps of a twentieth at the finest
FOLD_COLUMN = "fold"
IMAGE_COLUMN = "image"

Indices = NDArray[np.int64]


def cut_validation(images: LabelledImages, fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Cut the validation split from the training images.

    Args:
        images: All training images.
        fraction: Fraction of the images to validate on, in (0, 1).
        seed: Seed of the shuffle.

    Returns:
        Sorted indices of the training images and of the validation images.

    Raises:
        UserError: If a class has too few images or lesions to be on both sides.
    """
    way_out = "add images, or take a larger data.validation_fraction (0.5 needs two of each class)"
    is_held_out = cut_fraction(images.targets, images.groups, fraction, seed, "a validation split", way_out)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def cut_fraction(
    labels: ArrayLike, groups: Sequence[str] | None, fraction: float, seed: int, purpose: str, way_out: str
) -> NDArray[np.bool_]:
    """Choose a fraction of the images, stratified by class and without dividing a group.

    Args:
        labels: Class of N images, numbers or names.
        groups: Lesion of N images, or None where unknown.
        fraction: Fraction to choose, in (0, 1), rounded to k of n folds with n up to `FINEST_FRACTION`.
        seed: Seed of the shuffle.
        purpose: What the chosen images are for, for errors.
        way_out: Advice of the error.

    Returns:
        bool `(N,)`, True where chosen.

    Raises:
        UserError: If a class has too few images or lesions to be on both sides.
    """
    finest = Fraction(1, FINEST_FRACTION)
    rounded = min(max(Fraction(fraction).limit_denominator(FINEST_FRACTION), finest), 1 - finest)
    is_chosen = _cut(labels, groups, rounded.denominator, seed, purpose, way_out) < rounded.numerator
    _require_every_class(labels, is_chosen, 2, purpose, way_out)
    return is_chosen


def cut_folds(
    labels: ArrayLike, groups: Sequence[str] | None, folds: int, seed: int, purpose: str, way_out: str
) -> Indices:
    """Cut images into folds of about equal size, stratified by class and without dividing a group.

    The folds depend on the arguments alone.

    Args:
        labels: Class of N images, numbers or names.
        groups: Lesion of N images, or None where unknown.
        folds: Number of folds, 2 or more.
        seed: Seed of the shuffle.
        purpose: What the folds are for, for errors.
        way_out: Advice of the error.

    Returns:
        int64 `(N,)`, each image's fold, from 0.

    Raises:
        UserError: If a class has too few images or lesions to be in every fold.
    """
    fold_of = _cut(labels, groups, folds, seed, purpose, way_out)
    _require_every_class(labels, fold_of, folds, purpose, way_out)
    return fold_of


def _cut(labels: ArrayLike, groups: Sequence[str] | None, folds: int, seed: int, purpose: str, way_out: str) -> Indices:
    labels = np.asarray(labels)
    names, unit = (np.arange(len(labels)), "images") if groups is None else (np.array(groups), "lesions")
    present = np.unique(labels)
    if len(present) < 2:
        raise UserError(f"images of one class only are left for {purpose}", way_out)
    for label in present:
        count = len(np.unique(names[labels == label]))
        if count < folds:
            which = f"the class '{label}'" if isinstance(label, str) else "one class"
            raise UserError(f"{count} {unit} of {which} are too few for {purpose} in {folds} parts", way_out)
    splitter_type = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = splitter_type(n_splits=folds, shuffle=True, random_state=seed)
    fold_of = np.empty(len(labels), dtype=np.int64)
    for fold, (_, held_out) in enumerate(splitter.split(labels, labels, groups)):
        fold_of[held_out] = fold
    return fold_of


def _require_every_class(
    labels: ArrayLike, part_of: NDArray[np.generic], parts: int, purpose: str, way_out: str
) -> None:
    """Refuse parts that lack a class, which can happen if lesions have images of two classes."""
    labels = np.asarray(labels)
    if any(len(np.unique(part_of[labels == label])) < parts for label in np.unique(labels)):
        raise UserError(f"lesions with images of several classes leave a part of {purpose} without a class", way_out)


def cut_fold(
    images: LabelledImages, table: Path, fold: int, image_column: str = "image", group_column: str | None = None
) -> tuple[Indices, Indices]:
    """Take one fold of the training images as the validation split.

    Args:
        images: All training images.
        table: CSV file with each image's fold, such as `split.csv`.
        fold: The fold to validate on.
        image_column: Column with the image's path, as in `images.paths`.
        group_column: Column that the images' groups come from, for errors.

    Returns:
        Sorted indices of the training images and of the validation images.

    Raises:
        UserError: If the fold does not exist, an image or a class is missing, or a lesion is in other folds too.
    """
    rows = read_table(table, image_column, listed=set(images.paths))
    require_column(table, list(next(iter(rows.values()), {})), FOLD_COLUMN, "data.fold")
    cells = {path: rows[path][FOLD_COLUMN] for path in images.paths if path in rows}
    without_fold = [path for path in images.paths if not cells.get(path)]
    folds = sorted(set(cells.values()) - {""}, key=lambda name: (len(name), name))
    if not folds:
        raise UserError(f"data.fold={fold}: {table} has no folds", CUT_FOLDS)
    if without_fold:
        counts = f"{len(without_fold)} of {len(images)} images ({first_of(without_fold)})"
        raise UserError(f"{table} has no fold for {counts}", CUT_FOLDS)
    if str(fold) not in folds:
        raise UserError(f"data.fold={fold} does not exist: {table} has {', '.join(folds)}")
    is_held_out = np.array([cells[path] == str(fold) for path in images.paths])
    for part, name in ((is_held_out, f"fold {fold}"), (~is_held_out, f"the folds other than {fold}")):
        if len(np.unique(images.targets[part])) < 2:
            raise UserError(f"in {table} images of one class only are in {name}", CUT_FOLDS)
    if images.groups is not None:  # figures on a lesion that was also trained on would be too good
        groups = np.array(images.groups)
        divided = np.intersect1d(groups[is_held_out], groups[~is_held_out]).tolist()
        if divided:
            column = shlex.quote(group_column or "<column>")
            raise UserError(
                f"in {table} {len(divided)} group{'s' * (len(divided) != 1)} ({first_of(divided)}) of fold {fold} have "
                "images in other folds too",
                "cut the folds anew: melanoma-data split <images> <target> --folds "
                f"{len(folds)} --group-column {column}",
            )
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def leave_out(images: LabelledImages, exclude: Path, test_paths: Callable[[], Container[str]]) -> LabelledImages:
    """Return the training images without those that a list names, and log how many they are.

    The list of an audit names images of all splits, so names of images that training does not use are accepted.

    Args:
        images: All training images.
        exclude: CSV table whose column `image` names images as `images.paths` do.
        test_paths: Returns the paths of the test images, and is called only if the list names other images than
            training images. Test images are never left out: a test split that can be thinned out proves nothing.

    Raises:
        UserError: If the list names images that do not exist.
    """
    named = read_table(exclude, IMAGE_COLUMN, "data.exclude", set(images.paths))
    others = {path: named[path][IMAGE_COLUMN] for path in named.keys() - set(images.paths)}
    tested = test_paths() if others else ()
    unused = {path: cell for path, cell in others.items() if path not in tested and cell not in tested}
    missing = [
        path for path, cell in unused.items() if not any((images.root / name).is_file() for name in (path, cell))
    ]
    if missing:
        gone = f"{len(missing)} images that are not in {images.root} ({first_of(sorted(missing))})"
        raise UserError(f"data.exclude={exclude} names {gone}", "make the list anew, or delete these rows")
    stay = len(others) - len(unused)
    notes = f"; {stay} test images that it names stay" if stay else ""
    notes += f"; {len(unused)} images that it names are not trained on anyway" if unused else ""
    logger.info("left out    %d training images that %s names%s", len(named) - len(others), exclude, notes)
    return images.without(named)


def keep_where(images: LabelledImages, condition: str, table: Path, image_column: str) -> LabelledImages:
    """Return the images whose row of the metadata fulfils a condition, and log how many do not.

    Args:
        images: All training images.
        condition: `column=value`.
        table: The metadata.
        image_column: Its column with the image's path.

    Raises:
        UserError: If the column is missing, or no image of a class is left.
    """
    is_kept, values = fulfilling(images, condition, table, image_column, "data.where")
    kept = images.take(np.flatnonzero(is_kept))
    for name in set(images.labels) - set(kept.labels):
        problem = f"data.where={condition} leaves no training image of the class {name}"
        raise UserError(problem, f"the values of this column are {first_of(values)}")
    logger.info("left out    %d training images that do not fulfil %s", len(images) - len(kept), condition)
    return kept


def fulfilling(
    images: LabelledImages, condition: str, table: Path, image_column: str, key: str
) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which images fulfil a condition `column=value` of the metadata, `(N,)`, and all values of the column.

    Args:
        images: The images.
        condition: `column=value`.
        table: The metadata.
        image_column: Its column with the image's path.
        key: The key that the user typed for the condition, for errors.

    Raises:
        UserError: If the column is missing.
    """
    column, _, value = (part.strip() for part in condition.partition("="))
    values = _column_of(images, column, table, image_column, key)
    return np.array([own == value for own in values], dtype=bool), sorted(set(values))


def balancing_weights(
    images: LabelledImages, columns: Sequence[str], table: Path, image_column: str
) -> NDArray[np.float64]:
    """Return how often each image is drawn in an epoch so that columns of the metadata become independent.

    The distribution of each column stays: an image has the product of the frequencies of its values, divided by the
    frequency of their combination. A combination without any image cannot be drawn, which is logged.

    Args:
        images: The training images.
        columns: Two or more columns of the metadata; `label` is the class.
        table: The metadata.
        image_column: Its column with the image's path.

    Returns:
        float64 `(N,)`, positive, with mean 1.

    Raises:
        UserError: If fewer than two columns are named, or one is missing.
    """
    if len(set(columns)) < 2:
        raise UserError(f"data.balance={list(columns)} makes nothing independent", "name two or more: [label,<column>]")
    values = [
        images.labels if name == "label" else _column_of(images, name, table, image_column, "data.balance")
        for name in columns
    ]
    combined = list(zip(*values, strict=True))
    weights = np.ones(len(images))
    for own in values:
        counts = Counter(own)
        weights *= [counts[value] / len(images) for value in own]
    together = Counter(combined)
    weights /= [together[each] / len(images) for each in combined]
    possible = math.prod(len(set(own)) for own in values)
    if len(together) < possible:
        logger.warning(
            "balance     %d of the %d combinations of %s have no image, so they cannot become independent",
            possible - len(together), possible, " and ".join(columns),
        )  # fmt: skip
    mean_one: NDArray[np.float64] = weights / weights.mean()
    return mean_one


def _column_of(images: LabelledImages, column: str, table: Path, image_column: str, option: str) -> tuple[str, ...]:
    """Return the cells of a column in the order of the images, empty for images without a row."""
    rows = read_table(table, image_column, listed=set(images.paths))
    require_column(table, list(next(iter(rows.values()), {})), column, option)
    return tuple(rows.get(path, {}).get(column, "").strip() for path in images.paths)
