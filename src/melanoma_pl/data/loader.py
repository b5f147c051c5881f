"""Batches of pixels, and a loader that goes on in the middle of an epoch.

A split's decoded images on the device that trains: a batch is then gathered there, and nothing is sent in a step.
"""

import signal
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from melanoma_pl.data.cache.memory_cache import LoadedImages
from melanoma_pl.data.order import EpochBatches


class Batch(NamedTuple):
    """What the network is fed with.

    Attributes:
        pixels: uint8 `(N, 3, S, S)`.
        targets: int64 `(N,)`, 1 for malignant.
        positions: int64 `(N,)`, each image's place in its folder's list.
        epoch: int64 scalar, which decides the augmentation.
    """

    pixels: Tensor
    targets: Tensor
    positions: Tensor
    epoch: Tensor


class ImageBatches(Dataset[Batch]):
    """Whole batches by (epoch, indices), from the cache or from files.

    Args:
        loaded: All images of a folder.
        positions: Which of them belong to this split, int64 `(M,)`.
    """

    def __init__(self, loaded: LoadedImages, positions: Tensor) -> None:
        self.loaded = loaded
        self.positions = positions
        self.targets = torch.from_numpy(loaded.images.targets)[positions]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return torch.device("cpu")

    @property
    def contents(self) -> list[str]:
        """The hash of each image's file, in the order of the split."""
        return [self.loaded.sha256[position] for position in self.positions.tolist()]

    def __getitem__(self, key: tuple[int, Tensor]) -> Batch:
        epoch, indices = key
        positions = self.positions[indices]
        return Batch(self.loaded.pixels(positions), self.targets[indices], positions, torch.tensor(epoch))


def leave_signals_alone(worker: int) -> None:
    """Let a worker survive Ctrl-C, which a terminal sends to all processes: the main one saves, then ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class ResumableLoader(DataLoader[Batch]):
    """A DataLoader that starts in the middle of an epoch.

    What workers had read ahead when a run was killed is of no account: only batches that were trained on count.

    Args:
        dataset: Whole batches.
        batches: The order, as (epoch, indices).
        num_workers: Processes that read ahead.
        epoch: To start with, from 0.
        trained: Batches of that epoch that were trained on already; all of them is none.
    """

    def __init__(
        self, dataset: ImageBatches, batches: EpochBatches, num_workers: int, epoch: int = 0, trained: int = 0
    ) -> None:
        super().__init__(
            dataset,
            sampler=batches,
            batch_size=None,
            num_workers=num_workers,
            worker_init_fn=leave_signals_alone,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available() and dataset.device.type == "cpu",
        )
        batches.set_epoch(epoch)
        batches.skip = trained if trained < len(batches) else 0

    def state_dict(self) -> dict[str, int]:
        """Return nothing: Lightning saves its progress itself; by this method it knows that the loader can resume."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take nothing: where to start was said when the loader was made."""


Residence = Literal["auto"] | bool

MOST_OF_FREE_MEMORY = 0.5  # of a GPU: the network and its activations need the rest
_IMAGES_AT_ONCE = 1024  # sent to the device, so that the processor's memory holds no second copy of all


class ResidentBatches(ImageBatches):
    """Whole batches by (epoch, indices), the same as those of `ImageBatches`, on a device.

    Args:
        split: Images whose pixels are kept.
        device: Where to.
    """

    def __init__(self, split: ImageBatches, device: torch.device) -> None:
        super().__init__(split.loaded, split.positions)
        self.pixels = _send(split, device)  # uint8 (M, S, S, 3)
        self.positions, self.targets = self.positions.to(device), self.targets.to(device)

    @property
    def device(self) -> torch.device:
        """Where the images lie."""
        return self.pixels.device

    def __getitem__(self, key: tuple[int, Tensor]) -> Batch:
        epoch, indices = key
        pixels = self.pixels.index_select(0, indices).permute(0, 3, 1, 2)  # channels-last memory
        # the epoch stays on the processor: the augmentation asks for its value, and would wait for the device
        return Batch(pixels, self.targets[indices], self.positions[indices], torch.tensor(epoch))


def _send(split: ImageBatches, device: torch.device) -> Tensor:
    assert split.loaded.cache is not None
    side = split.loaded.preprocessing.image_size
    pixels = torch.empty((len(split), side, side, 3), dtype=torch.uint8, device=device)
    for places in torch.split(torch.arange(len(split)), _IMAGES_AT_ONCE):
        pixels[places[0] : places[-1] + 1] = split.loaded.cache.index_select(0, split.positions[places]).to(device)
    return pixels


def is_resident(split: ImageBatches, device: torch.device, wanted: Residence) -> bool:
    """Tell whether a split's images are to lie on the device.

    Args:
        split: The images.
        device: What trains.
        wanted: True where their pixels are kept at all; `auto` on a GPU that has room for them.
    """
    if split.loaded.cache is None or wanted is False:
        return False
    if wanted is True:
        return True
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(split) * split.loaded.cache[0].numel() <= MOST_OF_FREE_MEMORY * free
