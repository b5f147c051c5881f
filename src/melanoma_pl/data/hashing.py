"""Random numbers that are a pure function of what they are for: (seed, stream, epoch, index, column).

No generator state needs saving, no worker or device sees other numbers than the rest, and no release of a library
can change them. The hash is SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
OOPSLA 2014, https://doi.org/10.1145/2660193.2660195, with the constants of Vigna's public-domain reference,
https://prng.di.unimi.it/splitmix64.c.
"""

import torch
from torch import Tensor

ORDER_STREAM = 0
AUGMENTATION_STREAM = 1

# The reference's unsigned 64-bit constants, as the int64 of the same bits: torch multiplies no uint64.
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_FIRST_MULTIPLIER = 0xBF58476D1CE4E5B9 - 2**64
_SECOND_MULTIPLIER = 0x94D049BB133111EB - 2**64


def splitmix64(state: Tensor, number: Tensor) -> Tensor:
    """Return one output of the SplitMix64 generator that starts at `state`, without computing those before it.

    Args:
        state: int64, any shape; the generator's seed.
        number: int64, broadcast against `state`; 0 for the first output.

    Returns:
        int64 of the broadcast shape, all 64 bits uniform.
    """
    mixed = state + (number + 1) * _GOLDEN_GAMMA
    mixed = (mixed ^ _shift_right(mixed, 30)) * _FIRST_MULTIPLIER
    mixed = (mixed ^ _shift_right(mixed, 27)) * _SECOND_MULTIPLIER
    return mixed ^ _shift_right(mixed, 31)


def hashes(seed: int, epoch: int, indices: Tensor, count: int, stream: int = 0) -> Tensor:
    """Return `count` independent hashes for each index, the same bits on every device.

    Each level seeds a generator of its own: seed → stream → epoch → index → column (the splittable hash of Claessen
    and Pałka, "Splittable Pseudorandom Number Generators using Cryptographic Hashing", Haskell 2013).

    Args:
        seed: The run's seed, any int64.
        epoch: Epoch from 0.
        indices: int64 `(N,)`; which photo.
        count: Number of columns; asking for more leaves the first ones as they are.
        stream: What the numbers are for; users of different streams share nothing.

    Returns:
        int64 `(N, count)` on the device of `indices`.
    """
    indices = indices.to(torch.int64)
    state = indices.new_full((), seed)
    for number in (stream, epoch):
        state = splitmix64(state, indices.new_full((), number))
    columns = torch.arange(count, device=indices.device)
    return splitmix64(splitmix64(state, indices)[:, None], columns)  # (N, count)


def uniform(seed: int, epoch: int, indices: Tensor, count: int, stream: int = 0) -> Tensor:
    """Return `count` independent uniform numbers for each index: the upper 53 bits of its hashes.

    Args:
        seed: The run's seed, any int64.
        epoch: Epoch from 0.
        indices: int64 `(N,)`; which photo. On a device that knows float64 (Apple's MPS does not).
        count: Number of columns.
        stream: What the numbers are for.

    Returns:
        float64 `(N, count)` in [0, 1), on the device of `indices`.
    """
    return _shift_right(hashes(seed, epoch, indices, count, stream), 11).to(torch.float64) * 2.0**-53


def _shift_right(value: Tensor, bits: int) -> Tensor:
    """Shift int64 right and fill with zeros, where torch's own shift repeats the sign bit."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)
