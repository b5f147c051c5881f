"""`data.exclude`: photos that training does without, such as the quarantine list of an audit."""

import logging
from collections.abc import Callable, Container
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

    Args:
        photos: All training photos.
        exclude: CSV table whose column `image` names photos as `photos.paths` do.
        test_paths: Returns the paths of the test photos; asked only where the list names others than training photos.
            Those stay, because a test split that can be thinned out proves nothing.

    Raises:
        UserError: If there is no such list, or it names photos that are not there.
    """
    check_exclusion(exclude)
    named = read_table(exclude, IMAGE_COLUMN, "data.exclude").keys()
    others = sorted(named - set(photos.paths))
    tested = test_paths() if others else ()
    unknown = [path for path in others if path not in tested]
    if unknown:
        message = f"data.exclude={exclude} names photos that are in neither split, {len(unknown)} of them"
        raise UserError(f"{message} ({first_of(unknown)})", "make the list anew, or take them out of it")
    stay = f"; {len(others)} test photos that it names stay" if others else ""
    logger.info("left out    %d training photos that %s names%s", len(named) - len(others), exclude, stay)
    return photos.take(np.flatnonzero([path not in named for path in photos.paths]))
