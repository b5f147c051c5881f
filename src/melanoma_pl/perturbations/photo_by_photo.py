"""One photo after the other: what becomes of a photo cannot depend on those beside it in the batch."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from melanoma_pl.data.mole_drawing import Field, generator

SEED = 0  # all evaluations meet the same noise and hairs, so that networks can be compared
# Of random numbers; apart from those that synthetic moles are drawn with.
DIRECTION, NOISE, HAIRS, RULER, INK, RIM = range(101, 107)

Level = TypeVar("Level")


def level(levels: tuple[Level, Level, Level], strength: int) -> Level:
    """Return what a strength means.

    Raises:
        ValueError: If the strength is not 1, 2 or 3.
    """
    if strength not in (1, 2, 3):
        raise ValueError(f"strength is {strength}: allowed are 1, 2 and 3")
    return levels[strength - 1]


def change_each(pixels: Tensor, indices: Tensor, change: Callable[[Field, int], Field]) -> Tensor:
    """Return the photos, each changed by itself on the CPU.

    Args:
        pixels: uint8 `(N, 3, S, S)`; left as they are.
        indices: int64 `(N,)`; each photo's place in its split.
        change: Takes a photo, float32 `(3, S, S)`, 0 to 255, and its index; returns it changed, any range.

    Returns:
        uint8 `(N, 3, S, S)`, rounded and clamped, where and as `pixels` lie in memory.
    """
    changed = torch.empty_like(pixels, device="cpu")
    for place, (photo, index) in enumerate(zip(pixels.cpu(), indices.tolist(), strict=True)):
        picture = change(np.ascontiguousarray(photo.numpy(), dtype=np.float32), index)
        changed[place] = torch.from_numpy(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
    return changed.to(pixels.device)


def directions(indices: Tensor, seed: int = SEED) -> Tensor:
    """Return -1 or 1 for each photo, by chance: every second one would split a set whose classes alternate by class.

    Args:
        indices: int64 `(N,)`; each photo's place in its split.
        seed: Of the chance.

    Returns:
        float32 `(N,)`, on the device of `indices`.
    """
    signs = [1.0 if generator(seed, index, DIRECTION).random() < 0.5 else -1.0 for index in indices.tolist()]
    return torch.tensor(signs, dtype=torch.float32, device=indices.device)
