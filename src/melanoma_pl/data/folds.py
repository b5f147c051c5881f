"""`data.fold`: one fold of a table to validate on, the others to train on."""

import shlex
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.data.folder import Photos
from melanoma_pl.data.layout import CUT_FOLDS
from melanoma_pl.data.metadata import read_table, require_column
from melanoma_pl.errors import UserError, first_of

FOLD_COLUMN = "fold"


def cut_fold(
    photos: Photos, table: Path, fold: int, image_column: str = "image", group_column: str | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take one fold of the training photos as validation split.

    Args:
        photos: All training photos.
        table: CSV file with each photo's fold, such as `split.csv`.
        fold: Which to validate on.
        image_column: Column with the photo's path, as in `photos.paths`.
        group_column: Column that the photos' groups come from, as the error names it.

    Returns:
        Sorted positions of the training photos and of the validation photos.

    Raises:
        UserError: If there is no such fold, a photo or a class is missing, or lesions of it are in other folds too.
    """
    rows = read_table(table, image_column, listed=set(photos.paths))
    require_column(table, list(next(iter(rows.values()), {})), FOLD_COLUMN, "data.fold")
    cells = {path: rows[path][FOLD_COLUMN] for path in photos.paths if path in rows}
    lost = [path for path in photos.paths if not cells.get(path)]
    folds = sorted(set(cells.values()) - {""}, key=lambda name: (len(name), name))
    if not folds:
        raise UserError(f"data.fold={fold}: {table} has no folds", CUT_FOLDS)
    if lost:
        raise UserError(f"{table} has no fold for {len(lost)} of {len(photos)} photos ({first_of(lost)})", CUT_FOLDS)
    if str(fold) not in folds:
        raise UserError(f"data.fold={fold} does not exist: {table} has {', '.join(folds)}")
    is_held = np.array([cells[path] == str(fold) for path in photos.paths])
    _require_both_classes(photos, is_held, table, fold)
    _require_whole_groups(photos, is_held, table, fold, _cut_again(len(folds), group_column))
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)


def _require_both_classes(photos: Photos, is_held: NDArray[np.bool_], table: Path, fold: int) -> None:
    for part, name in ((is_held, f"fold {fold}"), (~is_held, f"the folds other than {fold}")):
        if len(np.unique(photos.targets[part])) < 2:
            raise UserError(f"in {table} photos of one class only are in {name}", CUT_FOLDS)


def _require_whole_groups(photos: Photos, is_held: NDArray[np.bool_], table: Path, fold: int, way_out: str) -> None:
    """Refuse a fold whose lesions also train: its figures would be too good."""
    if photos.groups is None:
        return
    groups = np.array(photos.groups)
    shared = np.intersect1d(groups[is_held], groups[~is_held]).tolist()
    if shared:
        count = f"{len(shared)} group{'s' * (len(shared) != 1)} ({first_of(shared)})"
        raise UserError(f"in {table} {count} of fold {fold} have photos in other folds too", way_out)


def _cut_again(folds: int, group_column: str | None) -> str:
    column = shlex.quote(group_column or "<column>")
    return f"cut the folds anew: melanoma-data split <photos> <target> --folds {folds} --group-column {column}"
