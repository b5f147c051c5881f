"""The order of the images in each epoch, from random numbers that are a pure function of their purpose.

A number depends on (seed, stream, epoch, index, column) alone. So no generator state needs saving, all workers and
devices get the same numbers, and a new release of a library cannot change them. The hash is SplitMix64: Steele, Lea and
Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, https://doi.org/10.1145/2660193.2660195, with the
constants of Vigna's public-domain reference, https://prng.di.unimi.it/splitmix64.c.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.utils.data import Sampler

ORDER_STREAM = 0
AUGMENTATION_STREAM = 1
SYMMETRY_STREAM = 2
SAMPLING_STREAM = 3
CPU = torch.device("cpu")

# The unsigned 64-bit constants of the reference as int64 of the same bits, because torch cannot multiply uint64
_GOLDEN_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_FIRST_MULTIPLIER = 0xBF58476D1CE4E5B9 - 2**64
_SECOND_MULTIPLIER = 0x94D049BB133111EB - 2**64


def splitmix64(state: Tensor, number: Tensor) -> Tensor:
    """Return one output of the SplitMix64 generator that starts at `state`, without computing the earlier ones.

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
        indices: Indices of the images, int64 `(N,)`.
        count: Number of columns; a larger number does not change the first columns.
        stream: Purpose of the numbers; different streams are independent.

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
        indices: Indices of the images, int64 `(N,)`. The device must support float64, which Apple's MPS does not.
        count: Number of columns.
        stream: Purpose of the numbers.

    Returns:
        float64 `(N, count)` in [0, 1), on the device of `indices`.
    """
    return _shift_right(hashes(seed, epoch, indices, count, stream), 11).to(torch.float64) * 2.0**-53


def _shift_right(value: Tensor, bits: int) -> Tensor:
    """Shift int64 to the right and fill with zeros; torch's own shift repeats the sign bit."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def epoch_order(count: int, seed: int, epoch: int) -> Tensor:
    """Return the order of `count` images in one epoch, which sorts their indices by their hashes.

    Returns:
        int64 `(count,)`, a permutation of 0 to `count - 1`.
    """
    keys = hashes(seed, epoch, torch.arange(count), count=1, stream=ORDER_STREAM)
    return torch.argsort(keys[:, 0], stable=True)


def weighted_order(weights: Tensor, seed: int, epoch: int) -> Tensor:
    """Return the images of one epoch, as many as there are, drawn by their weights, in the order of `epoch_order`.

    Systematic sampling (Madow, Annals of Mathematical Statistics 20, 1949): an image of weight w, where the mean is 1,
    comes w times, rounded up or down.

    Args:
        weights: float64 `(count,)`, positive.
        seed: The run's seed.
        epoch: Epoch from 0.

    Returns:
        int64 `(count,)`, indices of 0 to `count - 1`.
    """
    count = len(weights)
    edges = weights.cumsum(0) * (count / weights.sum())
    points = torch.arange(count) + uniform(seed, epoch, torch.zeros(1), count=1, stream=SAMPLING_STREAM)[0]
    drawn = torch.searchsorted(edges, points, right=True).clamp(max=count - 1)
    return drawn[epoch_order(count, seed, epoch)]


def balanced_order(targets: Tensor, benign_per_malignant: float, seed: int, epoch: int) -> Tensor:
    """Return the images of one epoch: every malignant one once, and benign ones that are drawn anew in each epoch.

    The benign images drawn are those with the smallest hashes, so none comes twice in an epoch.

    Args:
        targets: int64 `(N,)`, 1 for malignant.
        benign_per_malignant: Number of benign images per malignant one, above 0; at most all of them come.
        seed: The run's seed.
        epoch: Epoch from 0.

    Returns:
        int64 `(balanced_count(targets, benign_per_malignant),)`, indices of 0 to `N - 1`, each at most once.
    """
    malignant, benign = (torch.nonzero(targets == target)[:, 0] for target in (1, 0))
    number = balanced_count(targets, benign_per_malignant) - len(malignant)
    keys = hashes(seed, epoch, benign, count=1, stream=SAMPLING_STREAM)[:, 0]
    chosen = torch.cat([malignant, benign[torch.argsort(keys, stable=True)[:number]]])
    return chosen[epoch_order(len(chosen), seed, epoch)]


def balanced_count(targets: Tensor, benign_per_malignant: float) -> int:
    """Return the number of images in an epoch of `balanced_order`."""
    malignant, benign = (int((targets == target).sum()) for target in (1, 0))
    return malignant + min(benign, max(1, round(benign_per_malignant * malignant)))


@dataclass(eq=False)
class EpochBatches(Sampler[tuple[int, Tensor]]):
    """A sampler that yields `(epoch, indices)`: the epoch's number and the int64 indices of one batch.

    It is made for `DataLoader(dataset, sampler=EpochBatches(...), batch_size=None)`. The dataset then gets a whole
    batch at once, and the epoch that its augmentation depends on. Lightning calls `set_epoch`.

    Each rank takes every `world_size`-th image, and all ranks have equally many, so that none waits for a batch that
    another lacks. If the number of images is not a multiple of `world_size`, the first images of the order come again
    at its end, or with `drop_last` the last ones are left out. So an evaluation on several ranks must count each index
    once.

    Args:
        count: Number of images in an epoch, at least 1.
        batch_size: Images per batch and rank, at least 1.
        seed: The run's seed.
        shuffle: Whether each epoch has an order of its own; otherwise it is 0 to `count - 1`.
        drop_last: Whether to leave out a smaller last batch.
        rank: This process, 0 to `world_size - 1`.
        world_size: Number of processes that share the images.
        draw: Returns the images of a shuffled epoch from (seed, epoch), int64 `(count,)`, such as `weighted_order` with
            its first argument; None for each of 0 to `count - 1` once.
        device: Device of the indices. Those of an epoch are moved there at once, so that no step waits for its own.

    Attributes:
        skip: Number of batches to leave out at the start of this epoch, because they came before an interruption. A new
            epoch sets it to 0; an iteration does not, because a DataLoader with workers begins two.

    Raises:
        ValueError: If an argument is out of its range, or no batch would be left.
    """

    count: int
    batch_size: int
    seed: int
    shuffle: bool = True
    drop_last: bool = False
    rank: int = 0
    world_size: int = 1
    device: torch.device = CPU
    draw: Callable[[int, int], Tensor] | None = None
    epoch: int = field(default=0, init=False)
    skip: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for name in ("count", "batch_size", "world_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: allowed are 1 and more")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank is {self.rank}: allowed are 0 to {self.world_size - 1}")
        if len(self) == 0:
            most = self._per_rank
            raise ValueError(f"batch_size is {self.batch_size}: allowed are 1 to {most} where drop_last is on")

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration, from 0."""
        if epoch != self.epoch:
            self.skip = 0
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self._per_rank, self.batch_size)
        return whole if self.drop_last else whole + (rest > 0)

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        order = self._order() if self.shuffle else torch.arange(self.count)
        positions = self.rank + self.world_size * torch.arange(self._per_rank)
        batches = torch.split(order[positions % self.count].to(self.device), self.batch_size)
        # a list, not a generator: a later set_epoch must not change an iteration that has begun
        return iter([(self.epoch, indices) for indices in batches[self.skip : len(self)]])

    def _order(self) -> Tensor:
        if self.draw is None:
            return epoch_order(self.count, self.seed, self.epoch)
        return self.draw(self.seed, self.epoch)

    @property
    def _per_rank(self) -> int:
        whole, rest = divmod(self.count, self.world_size)
        return whole if self.drop_last else whole + (rest > 0)
