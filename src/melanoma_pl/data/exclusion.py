"""`data.exclude`: photos that training does without, such as the quarantine list of an audit."""

import logging
from collections.abc import Callable, Container, Sequence
from pathlib import Path

import numpy as np

from melanoma_pl.data.folder import Photos
from melanoma_pl.data.layout import check_exclusion
from melanoma_pl.data.metadata import read_table
from melanoma_pl.errors import UserError, first_of

logger = logging.getLogger(__name__)

IMAGE_COLUMN = "image"


def leave_out(photos: Photos, exclude: Path, test_paths: Callable[[], Container[str]]) -> Photos:
    """Return the training photos without those that a list names, and say how many they are.

    A list of an audit names photos of all splits. Those that training does not use anyway are no mistake.

    Args:
        photos: All training photos.
        exclude: CSV table whose column `image` names photos as `photos.paths` do.
        test_paths: Returns the paths of the test photos; asked only where the list names others than training photos.
            Those stay, because a test split that can be thinned out proves nothing.

    Raises:
        UserError: If there is no such list, or it names photos that are not there.
    """
    check_exclusion(exclude)
    named = read_table(exclude, IMAGE_COLUMN, "data.exclude", set(photos.paths))
    others = {path: named[path][IMAGE_COLUMN] for path in named.keys() - set(photos.paths)}
    tested = test_paths() if others else ()
    unused = [path for path, cell in others.items() if path not in tested and cell not in tested]
    _require_files(exclude, photos.root, [path for path in unused if not _is_there(photos.root, path, others[path])])
    stay = len(others) - len(unused)
    notes = f"; {stay} test photos that it names stay" if stay else ""
    notes += f"; {len(unused)} photos that it names are not trained on anyway" if unused else ""
    logger.info("left out    %d training photos that %s names%s", len(named) - len(others), exclude, notes)
    return photos.take(np.flatnonzero([path not in named for path in photos.paths]))


def _is_there(root: Path, *names: str) -> bool:
    return any((root / name).is_file() for name in names)


def _require_files(exclude: Path, root: Path, gone: Sequence[str]) -> None:
    if gone:
        message = f"data.exclude={exclude} names {len(gone)} photos that are not in {root} ({first_of(sorted(gone))})"
        raise UserError(message, "make the list anew, or take them out of it")
