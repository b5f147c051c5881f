"""Whether the photos that a configuration names are there; light, so that it is said before anything heavy starts."""

from collections.abc import Sequence
from pathlib import Path

from melanoma_pl.data.layout import check_exclusion, check_folds, check_layout, check_table
from melanoma_pl.settings import DataSettings


def check_photo_places(data: DataSettings, splits: Sequence[str]) -> None:
    """Refuse folders and tables that are not there; synthetic photos are drawn when they are needed.

    Args:
        data: What the configuration names.
        splits: Those of `train` and `test` that will be needed.

    Raises:
        UserError: Saying what is missing and what to do.
    """
    if data.exclude is not None:
        check_exclusion(Path(data.exclude))
    if data.table is not None:
        check_table(Path(data.table))
    elif data.root is not None:
        for split in splits:
            check_layout(Path(data.root), split, data.class_names, data.folder_names)
        if data.fold is not None and "train" in splits:
            check_folds(Path(data.root), data.fold)
