"""What every function of this package asks of its arrays, checked in one place.

When images are too few for a figure, in words.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def check_images(probabilities: ArrayLike, targets: ArrayLike) -> tuple[Floats, Integers]:
    """Return the two arrays in one precision, or say in one line what is wrong with them.

    Args:
        probabilities: float `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 0 (benign) or 1 (malignant).

    Returns:
        probabilities: float64 `(N,)`, and targets: int64 `(N,)`; N is at least 1.

    Raises:
        ValueError: if there are no images, the shapes differ, or a value is not allowed.
    """
    values, labels = _check_pair("probabilities", probabilities, targets)
    outside = values[(values < 0) | (values > 1)]
    if outside.size:
        raise ValueError(f"probabilities must lie in [0, 1], but {outside.size} of {values.size} do not: {outside[0]}")
    return values, labels


def check_logits(logits: ArrayLike, targets: ArrayLike) -> tuple[Floats, Integers]:
    """Return logits and targets in one precision, or say in one line what is wrong with them.

    Args:
        logits: float `(N,)`, finite; positive speaks for malignant.
        targets: int `(N,)`, 0 (benign) or 1 (malignant).

    Returns:
        logits: float64 `(N,)`, and targets: int64 `(N,)`; N is at least 1.

    Raises:
        ValueError: if there are no images, the shapes differ, or a value is not allowed.
    """
    return _check_finite("logits", logits, targets)


def check_scores(scores: ArrayLike, targets: ArrayLike) -> tuple[Floats, Integers]:
    """Return scores and targets in one precision, or say in one line what is wrong with them.

    Args:
        scores: float `(N,)`, finite; only their order counts: logits or probabilities.
        targets: int `(N,)`, 0 (benign) or 1 (malignant).

    Returns:
        scores: float64 `(N,)`, and targets: int64 `(N,)`; N is at least 1.

    Raises:
        ValueError: if there are no images, the shapes differ, or a value is not allowed.
    """
    return _check_finite("scores", scores, targets)


def check_no_nan(name: str, values: Floats) -> None:
    """Refuse NaN: every comparison with it is false, so that it would pass for benign.

    Raises:
        ValueError: if `values`, of any shape, hold NaN.
    """
    missing = int(np.isnan(values).sum())
    if missing:
        raise ValueError(f"{name} must be numbers, but {missing} of {values.size} are NaN")


def check_groups(groups: ArrayLike, n: int) -> NDArray[Any]:
    """Return the group of each image, `(n,)`.

    Raises:
        ValueError: if there are not as many groups as images.
    """
    members = np.asarray(groups)
    if members.shape != (n,):
        raise ValueError(f"groups must have shape ({n},), one for each image, not {members.shape}")
    return members


def check_unit(name: str, value: float, *, open_ends: bool = False) -> float:
    """Return `value` if it lies in [0, 1], or in (0, 1) with `open_ends`.

    Raises:
        ValueError: if it does not; NaN never does.
    """
    inside = 0 < value < 1 if open_ends else 0 <= value <= 1
    if not inside:
        raise ValueError(f"{name} must lie in {'(0, 1)' if open_ends else '[0, 1]'}, not be {value}")
    return float(value)


def _check_finite(name: str, numbers: ArrayLike, targets: ArrayLike) -> tuple[Floats, Integers]:
    values, labels = _check_pair(name, numbers, targets)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise ValueError(f"{name} must be finite, but {infinite} of {values.size} are not")
    return values, labels


def _check_pair(name: str, values: ArrayLike, targets: ArrayLike) -> tuple[Floats, Integers]:
    """Check what probabilities, logits and scores have in common."""
    numbers, labels = np.asarray(values, dtype=np.float64), np.asarray(targets)
    if numbers.ndim != 1 or numbers.shape != labels.shape:
        raise ValueError(f"{name} and targets must both have shape (N,), not {numbers.shape} and {labels.shape}")
    if numbers.size == 0:
        raise ValueError(f"{name} must hold at least one image, but they are empty")
    check_no_nan(name, numbers)
    allowed = (labels == 0) | (labels == 1)
    if not np.all(allowed):
        raise ValueError(f"targets must be 0 (benign) or 1 (malignant), not {labels[~allowed][0]}")
    return numbers, labels.astype(np.int64)


SMALLEST = 10  # of one class: with fewer, one image more or less moves a share by a tenth


def missing_class(targets: Integers) -> str:
    """Return "no malignant images" or "no benign images"; nothing where targets, int64 `(N,)`, hold both classes."""
    if not targets.any():
        return "no malignant images"
    return "no benign images" if targets.all() else ""


def too_small(size: int, name: str, smallest: int = SMALLEST) -> str:
    """Return such as "too small: 4 malignant images"; nothing for `smallest` images or more.

    Args:
        size: number of images of a class.
        name: of the class.
        smallest: number that is enough.
    """
    return f"too small: {_images(size, name)}" if size < smallest else ""


def warnings_of(targets: ArrayLike, class_names: tuple[str, str] = ("benign", "malignant")) -> tuple[str, ...]:
    """Return what must be said beside figures of so few images, a line each; nothing for 10 of each class or more.

    Args:
        targets: int `(N,)`, 1 is malignant.
        class_names: of 0 and of 1.
    """
    _, labels = check_images(np.zeros(np.shape(targets)), targets)
    malignant, (negative, positive) = int(labels.sum()), class_names
    lines = (
        _warning(malignant, positive, "neither sensitivity nor ranking can be computed"),
        _warning(labels.size - malignant, negative, "neither specificity nor ranking can be computed"),
    )
    return tuple(line for line in lines if line)


def _warning(size: int, name: str, consequence: str) -> str:
    if size == 0:
        return f"no {name} images: {consequence}"
    return f"only {_images(size, name)}: the intervals say little" if size < SMALLEST else ""


def _images(size: int, name: str) -> str:
    return f"{size or 'no'} {name} image{'' if size == 1 else 's'}"
