"""A few photos of each class, to look at."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.data.layout import CLASS_NAMES


def first_of_each(targets: NDArray[np.int64], count: int = 1) -> dict[str, Tensor]:
    """Return where the first photos of each class are: class name → positions, int64 `(count,)` or fewer.

    Args:
        targets: int64 `(N,)`, 1 for malignant.
        count: Of each class.
    """
    return {
        name: torch.from_numpy(np.flatnonzero(targets == target)[:count]) for target, name in enumerate(CLASS_NAMES)
    }


def clearest_of_each(probabilities: NDArray[np.floating], targets: NDArray[np.int64]) -> dict[str, int]:
    """Return where the benign photo with the lowest and the malignant one with the highest probability are.

    Args:
        probabilities: Of malignant, float `(N,)`.
        targets: int64 `(N,)`, 1 for malignant, both classes.

    Returns:
        Class name → position.
    """
    wrongness = np.where(targets == 1, 1 - probabilities, probabilities)
    return {name: int(np.where(targets == target, wrongness, 2).argmin()) for target, name in enumerate(CLASS_NAMES)}


def as_pictures(pixels: Tensor) -> NDArray[np.uint8]:
    """Return photos as a network takes them, uint8 `(N, 3, S, S)`, as one looks at them, uint8 `(N, S, S, 3)`."""
    pictures: NDArray[np.uint8] = pixels.permute(0, 2, 3, 1).numpy()
    return pictures
