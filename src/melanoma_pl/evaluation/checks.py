"""Checks of the arrays and numbers that this package takes, and sentences about classes with too few images."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
SMALLEST = 10  # images of a class: with fewer, one image more or less moves a proportion by a tenth
NO_POSITIVES, NO_NEGATIVES = "no positive images", "no negative images"


def check_probabilities(probabilities: ArrayLike, targets: ArrayLike) -> tuple[Floats, Integers]:
    """Return probabilities and targets in double precision, or refuse them.

    Args:
        probabilities: float `(N,)` in [0, 1], of being malignant.
        targets: int `(N,)`, 0 (benign) or 1 (malignant).

    Returns:
        probabilities: float64 `(N,)`, and targets: int64 `(N,)`; N is at least 1.

    Raises:
        ValueError: If there are no images, the shapes differ, or a value is not allowed.
    """
    values, labels = _check_pair("probabilities", probabilities, targets)
    outside = values[(values < 0) | (values > 1)]
    if outside.size:
        raise ValueError(f"probabilities must lie in [0, 1], but {outside.size} of {values.size} do not: {outside[0]}")
    return values, labels


def check_scores(scores: ArrayLike, targets: ArrayLike, name: str = "scores") -> tuple[Floats, Integers]:
    """Return scores and targets in double precision, or refuse them.

    Args:
        scores: float `(N,)`, finite, such as logits: the higher, the more suspicious.
        targets: int `(N,)`, 0 (benign) or 1 (malignant).
        name: Name of the scores in an error message.

    Returns:
        scores: float64 `(N,)`, and targets: int64 `(N,)`; N is at least 1.

    Raises:
        ValueError: If there are no images, the shapes differ, or a value is not allowed.
    """
    values, labels = _check_pair(name, scores, targets)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise ValueError(f"{name} must be finite, but {infinite} of {values.size} are not")
    return values, labels


def check_no_nan(name: str, values: Floats) -> None:
    """Refuse NaN: every comparison with NaN is false, so it would pass for benign.

    Raises:
        ValueError: If `values`, of any shape, contain NaN.
    """
    missing = int(np.isnan(values).sum())
    if missing:
        raise ValueError(f"{name} must be numbers, but {missing} of {values.size} are NaN")


def check_groups(groups: ArrayLike, n: int) -> NDArray[Any]:
    """Return the group of each image, `(n,)`.

    Raises:
        ValueError: If there are not as many groups as images.
    """
    members = np.asarray(groups)
    if members.shape != (n,):
        raise ValueError(f"groups must have shape ({n},), one for each image, not {members.shape}")
    return members


def check_unit(name: str, value: float, interval: Literal["[0, 1]", "(0, 1)", "(0, 1]"] = "[0, 1]") -> float:
    """Return a number that lies in an interval, whose ends are excluded where it has round brackets.

    Raises:
        ValueError: If the number lies outside; NaN always does.
    """
    inside = (value >= 0 if interval[0] == "[" else value > 0) and (value <= 1 if interval[-1] == "]" else value < 1)
    if not inside:
        raise ValueError(f"{name} must lie in {interval}, not be {value}")
    return float(value)


def check_positive(name: str, value: float) -> float:
    """Return a number above 0.

    Raises:
        ValueError: If it is not positive and finite.
    """
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, not {value}")
    return float(value)


def missing_class(targets: Integers) -> str:
    """Return "no positive images" or "no negative images"; nothing if targets, int64 `(N,)`, contain both classes."""
    if not targets.any():
        return NO_POSITIVES
    return NO_NEGATIVES if targets.all() else ""


def too_small(size: int, name: str, smallest: int = SMALLEST) -> str:
    """Return a reason such as "too small: 4 positive images"; nothing for `smallest` images or more.

    Args:
        size: Number of images of a class.
        name: Name of the class, such as "positive".
        smallest: Number of images that suffices.
    """
    return f"too small: {_images(size, name)}" if size < smallest else ""


def scarcity_warnings(targets: ArrayLike, class_names: tuple[str, str] = ("benign", "malignant")) -> tuple[str, ...]:
    """Return a warning for each class with fewer than 10 images.

    Args:
        targets: int `(N,)`, 1 is malignant.
        class_names: Names of the negative and the positive class.
    """
    _, labels = check_probabilities(np.zeros(np.shape(targets)), targets)
    positives = int(labels.sum())
    warnings = []
    for size, name, rate in (
        (positives, class_names[1], "sensitivity"),
        (labels.size - positives, class_names[0], "specificity"),
    ):
        if size == 0:
            warnings.append(f"no {name} images: neither {rate} nor AUROC can be computed")
        elif size < SMALLEST:
            warnings.append(f"only {_images(size, name)}: the estimates are imprecise")
    return tuple(warnings)


def _check_pair(name: str, values: ArrayLike, targets: ArrayLike) -> tuple[Floats, Integers]:
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


def _images(size: int, name: str) -> str:
    return f"{size or 'no'} {name} image{'' if size == 1 else 's'}"
