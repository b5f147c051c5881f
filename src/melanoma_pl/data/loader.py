"""Datasets of whole batches and of single images, and a DataLoader that continues in the middle of an epoch."""

import signal
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder

from melanoma_pl.data.cache.memory_cache import LoadedImages
from melanoma_pl.data.labelled_images import DEFAULT_OPTIONS, LabelledImages, list_split
from melanoma_pl.data.options import DataOptions
from melanoma_pl.data.order import EpochBatches

MOST_OF_FREE_MEMORY = 0.5  # fraction of a GPU's free memory: the network and its activations need the rest
_IMAGES_AT_ONCE = 1024  # sent to the device together, so that the CPU's memory holds no second copy of all images


class Batch(NamedTuple):
    """One batch as the network gets it.

    Attributes:
        pixels: uint8 `(N, 3, S, S)`.
        targets: int64 `(N,)`, 1 for malignant.
        positions: int64 `(N,)`, each image's index among all images of its folder.
        epoch: int64 scalar on the CPU, which decides the augmentation.
    """

    pixels: Tensor
    targets: Tensor
    positions: Tensor
    epoch: Tensor


class ImageBatches(Dataset[Batch]):
    """A dataset of whole batches, indexed by (epoch, indices), from the cache or from files.

    Args:
        loaded: All images of a folder.
        positions: Indices of the split's images among them, int64 `(M,)`.
    """

    def __init__(self, loaded: LoadedImages, positions: Tensor) -> None:
        self.loaded = loaded
        self.positions = positions
        self.targets = torch.from_numpy(loaded.images.targets)[positions]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def device(self) -> torch.device:
        """The device that batches are made on."""
        return self.positions.device

    @property
    def images(self) -> LabelledImages:
        """The split's images."""
        return self.loaded.images.take(self.positions.cpu().numpy())

    @property
    def contents(self) -> list[str]:
        """The hash of each image's file, in the order of the split."""
        return [self.loaded.sha256[position] for position in self.positions.tolist()]

    def is_resident(self, device: torch.device, wanted: Literal["auto"] | bool) -> bool:
        """Tell whether the pixels of the split are to lie on the training device.

        Args:
            device: The training device.
            wanted: True if the pixels are cached; `auto` if also the device is a GPU with room for them.
        """
        cache = self.loaded.cache
        if cache is None or wanted is False:
            return False
        if wanted is True or device.type != "cuda":
            return wanted is True
        free, _ = torch.cuda.mem_get_info(device)
        return len(self) * cache[0].numel() <= MOST_OF_FREE_MEMORY * free

    def __getitem__(self, key: tuple[int, Tensor]) -> Batch:
        epoch, indices = key
        positions = self.positions[indices]
        # the epoch stays on the CPU: the augmentation reads its value, and would wait for the device
        return Batch(self._pixels(indices), self.targets[indices], positions, torch.tensor(epoch))

    def _pixels(self, indices: Tensor) -> Tensor:
        return self.loaded.pixels(self.positions[indices])


class ResidentBatches(ImageBatches):
    """The same batches made on a device that holds the pixels of the split, so that no step sends pixels to it.

    Args:
        split: Images whose pixels are cached.
        device: The device.
    """

    def __init__(self, split: ImageBatches, device: torch.device) -> None:
        super().__init__(split.loaded, split.positions)
        cache, side = split.loaded.cache, split.loaded.preprocessing.image_size
        assert cache is not None
        self.pixels = torch.empty((len(split), side, side, 3), dtype=torch.uint8, device=device)
        for indices in torch.split(torch.arange(len(split)), _IMAGES_AT_ONCE):
            self.pixels[indices[0] : indices[-1] + 1] = cache.index_select(0, split.positions[indices]).to(device)
        self.positions, self.targets = self.positions.to(device), self.targets.to(device)

    def _pixels(self, indices: Tensor) -> Tensor:
        return self.pixels.index_select(0, indices).permute(0, 3, 1, 2)  # channels-last memory


def ignore_interrupts(worker: int) -> None:
    """Let a worker survive Ctrl-C, which a terminal sends to all processes: the main one saves and then ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class ResumableLoader(DataLoader[Batch]):
    """A DataLoader that can start in the middle of an epoch.

    It counts batches that were trained on, not those that workers had read ahead when a run was killed.

    Args:
        dataset: Whole batches.
        batches: The order, as (epoch, indices).
        num_workers: Processes that read ahead.
        epoch: The epoch to start in, from 0.
        trained: Number of batches of that epoch that were already trained on. If all were, the next epoch starts.
    """

    def __init__(
        self, dataset: ImageBatches, batches: EpochBatches, num_workers: int, epoch: int = 0, trained: int = 0
    ) -> None:
        super().__init__(
            dataset,
            sampler=batches,
            batch_size=None,
            num_workers=num_workers,
            worker_init_fn=ignore_interrupts,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available() and dataset.device.type == "cpu",
        )
        batches.set_epoch(epoch)
        batches.skip = trained if trained < len(batches) else 0

    def state_dict(self) -> dict[str, int]:
        """Return an empty state. Lightning stores the progress, and takes a loader with this method for resumable."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Do nothing: the constructor gets the position to start from."""


class MoleFolder(ImageFolder):  # type: ignore[misc]
    """torchvision's `ImageFolder` with the classes, the images and the order that training uses.

    Classes are numbered by `class_names` instead of the alphabet, and hidden files are left out. Sample `i` is the
    image `i` of `MoleDataModule.list_split`. Training itself reads whole batches, see
    `ImageBatches`.

    Args:
        root: The image folder, laid out as `{train,test}/{benign,malignant}`, or a CSV table of images.
        split: `train`, `validation` or `test`.
        options: Names of the classes, and of the columns of a table.
        **others: `transform`, `target_transform` and `loader` of `ImageFolder`.

    Raises:
        UserError: If the images are laid out otherwise.
    """

    def __init__(
        self, root: str | Path, split: str = "train", options: DataOptions = DEFAULT_OPTIONS, **others: Any
    ) -> None:
        self.images = list_split(Path(root), split, options)
        super().__init__(str(root), **others)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names and the target of each."""
        names = self.images.class_names
        return list(names), {name: target for target, name in enumerate(names)}

    def make_dataset(self, *_: Any, **__: Any) -> list[tuple[str, int]]:
        """Return each image's file and target."""
        return list(zip(map(str, self.images.files), self.images.targets.tolist(), strict=True))
