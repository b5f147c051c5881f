"""When photos are too few for a figure, in words."""

import numpy as np
from numpy.typing import ArrayLike

from melanoma_pl.evaluation.checks import Integers, check_photos

SMALLEST = 10  # of one class: with fewer, one photo more or less moves a share by a tenth


def missing_class(targets: Integers) -> str:
    """Return "no malignant photos" or "no benign photos"; nothing where targets, int64 `(N,)`, hold both classes."""
    if not targets.any():
        return "no malignant photos"
    return "no benign photos" if targets.all() else ""


def too_small(size: int, name: str, smallest: int = SMALLEST) -> str:
    """Return such as "too small: 4 malignant photos"; nothing for `smallest` photos or more.

    Args:
        size: number of photos of a class.
        name: of the class.
        smallest: number that is enough.
    """
    return f"too small: {_photos(size, name)}" if size < smallest else ""


def warnings_of(targets: ArrayLike, class_names: tuple[str, str] = ("benign", "malignant")) -> tuple[str, ...]:
    """Return what must be said beside figures of so few photos, a line each; nothing for 10 of each class or more.

    Args:
        targets: int `(N,)`, 1 is malignant.
        class_names: of 0 and of 1.
    """
    _, labels = check_photos(np.zeros(np.shape(targets)), targets)
    malignant, (negative, positive) = int(labels.sum()), class_names
    lines = (
        _warning(malignant, positive, "neither sensitivity nor ranking can be computed"),
        _warning(labels.size - malignant, negative, "neither specificity nor ranking can be computed"),
    )
    return tuple(line for line in lines if line)


def _warning(size: int, name: str, consequence: str) -> str:
    if size == 0:
        return f"no {name} photos: {consequence}"
    return f"only {_photos(size, name)}: the intervals say little" if size < SMALLEST else ""


def _photos(size: int, name: str) -> str:
    return f"{size or 'no'} {name} photo{'' if size == 1 else 's'}"
