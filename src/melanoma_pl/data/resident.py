"""A split's decoded photos on the device that trains: a batch is then gathered there, and nothing is sent in a step."""

from typing import Literal

import torch
from torch import Tensor

from melanoma_pl.data.loader import Batch, PhotoBatches

Residence = Literal["auto"] | bool

MOST_OF_FREE_MEMORY = 0.5  # of a GPU: the network and its activations need the rest
_PHOTOS_AT_ONCE = 1024  # sent to the device, so that the processor's memory holds no second copy of all


class ResidentBatches(PhotoBatches):
    """Whole batches by (epoch, indices), the same as those of `PhotoBatches`, on a device.

    Args:
        split: Photos whose pixels are kept.
        device: Where to.
    """

    def __init__(self, split: PhotoBatches, device: torch.device) -> None:
        super().__init__(split.loaded, split.positions)
        self.pixels = _send(split, device)  # uint8 (M, S, S, 3)
        self.positions, self.targets = self.positions.to(device), self.targets.to(device)

    @property
    def device(self) -> torch.device:
        """Where the photos lie."""
        return self.pixels.device

    def __getitem__(self, key: tuple[int, Tensor]) -> Batch:
        epoch, indices = key
        pixels = self.pixels.index_select(0, indices).permute(0, 3, 1, 2)  # channels-last memory
        # the epoch stays on the processor: the augmentation asks for its value, and would wait for the device
        return Batch(pixels, self.targets[indices], self.positions[indices], torch.tensor(epoch))


def _send(split: PhotoBatches, device: torch.device) -> Tensor:
    assert split.loaded.cache is not None
    side = split.loaded.preprocessing.image_size
    pixels = torch.empty((len(split), side, side, 3), dtype=torch.uint8, device=device)
    for places in torch.split(torch.arange(len(split)), _PHOTOS_AT_ONCE):
        pixels[places[0] : places[-1] + 1] = split.loaded.cache.index_select(0, split.positions[places]).to(device)
    return pixels


def is_resident(split: PhotoBatches, device: torch.device, wanted: Residence) -> bool:
    """Tell whether a split's photos are to lie on the device.

    Args:
        split: The photos.
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
