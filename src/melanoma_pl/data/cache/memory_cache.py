"""All images of a split, decoded once before training: the check for broken files and the cache of pixels at once."""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from melanoma_pl.data.cache.cache_files import bytes_per_image
from melanoma_pl.data.cache.disk_cache import open_or_build, read_ahead
from melanoma_pl.data.decoding import decode_file, decode_images, stack
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.image_files import THREADS, pillow_warnings
from melanoma_pl.machine_limits import usable_memory
from melanoma_pl.messages import readable
from melanoma_pl.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

LISTED = 10  # broken images named on screen


@dataclass(frozen=True)
class LoadedImages:
    """Images that were all decoded once.

    Attributes:
        images: The images that can be read.
        sha256: Hash of each image's file.
        broken: Path → reason, of the images that were left out.
        preprocessing: What made the pixels.
        cache: uint8 `(N, S, S, 3)`, in memory or mapped from a file; None if neither has room, so that the images'
            files are read again.
        mapped: The file that the cache is mapped from, or None.
    """

    images: LabelledImages
    sha256: tuple[str, ...]
    broken: dict[str, str]
    preprocessing: Preprocessing
    cache: Tensor | None
    mapped: Path | None = None

    def pixels(self, positions: Tensor) -> Tensor:
        """Return images by their indices: uint8 `(len(positions), 3, S, S)` in channels-last memory."""
        if self.cache is None:
            return self._read([self.images.root / self.images.paths[position] for position in positions.tolist()])
        if self.mapped is not None:
            read_ahead(self.mapped, positions, self.cache[0].numel())
        return self.cache.index_select(0, positions).permute(0, 3, 1, 2)  # eight times as fast as cache[positions]

    def _read(self, files: list[Path]) -> Tensor:
        """Decode files on all cores, which the workers of a loader divide among themselves."""
        worker = get_worker_info()
        threads = max(1, THREADS // (worker.num_workers if worker else 1))
        with pillow_warnings.ignored(), ThreadPoolExecutor(threads) as pool:
            return stack(list(pool.map(self._read_file, files)))

    def _read_file(self, file: Path) -> Tensor:
        decoded = decode_file(file, self.preprocessing)
        if decoded.pixels is None:
            raise UserError(f"{file} was readable when the run started and no longer is ({decoded.reason})")
        return decoded.pixels

    def fingerprint(self) -> str:
        """Return a hash of every image's path, class, lesion and content, 16 hexadecimal digits."""
        groups = self.images.groups or ("",) * len(self.images)
        lines = zip(self.images.paths, self.images.targets.tolist(), groups, self.sha256, strict=True)
        text = "\n".join("\t".join(map(str, line)) for line in lines)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


in_memory: WeakValueDictionary[int, LoadedImages] = WeakValueDictionary()  # all that hold decoded pixels in memory


def load_images(
    images: LabelledImages,
    preprocessing: Preprocessing,
    on_broken: str = "stop",
    cache_fraction: float = 0.5,
    title: str = "images",
    cache_folder: Path | None = None,
    processes: int = 1,
) -> LoadedImages:
    """Decode every image once.

    Args:
        images: The images to read.
        preprocessing: What makes the pixels.
        on_broken: `stop` raises an error with the list of broken images, `skip` leaves them out with a warning.
        cache_fraction: Largest fraction of the memory that the pixels of all images in memory may take, these and those
            that were loaded before; beyond it they are kept on disk.
        title: Name of the images in messages.
        cache_folder: Folder for pixels on disk; None reads the images' files again.
        processes: Number of processes on this machine that each load the images.

    Raises:
        UserError: If images are broken and `on_broken` is `stop`, or none can be read.
    """
    side = preprocessing.image_size
    held = sum(each.cache.nbytes for each in in_memory.values() if each.cache is not None)
    fits = held + len(images) * bytes_per_image(side) <= cache_fraction * usable_memory() / processes
    on_disk = None if fits or cache_folder is None else open_or_build(images, preprocessing, cache_folder, title)
    cache, mapped = None, None
    if on_disk is not None:
        cache, record, mapped = on_disk
        sha256, broken = record.sha256, record.broken
    elif fits:
        cache = torch.empty((len(images), side, side, 3), dtype=torch.uint8)
        array = cache.numpy()  # NumPy copies in this thread; PyTorch's threads would wait for those that decode
        sha256, broken = decode_images(
            images, preprocessing, title, lambda index, pixels: array.__setitem__(index, pixels.numpy())
        )
    else:
        sha256, broken = decode_images(images, preprocessing, title, lambda index, pixels: None)
    _report_broken(broken, images, on_broken)
    if cache is None:
        limit = f"{100 * cache_fraction:.0f} %"
        logger.info("%s: %d images do not fit %s of memory and are read again each epoch", title, len(images), limit)
    else:
        cache = cache[: len(sha256)]
    loaded = LoadedImages(images.without(broken), sha256, broken, preprocessing, cache, mapped)
    if cache is not None and mapped is None:
        in_memory[id(loaded)] = loaded
    return loaded


def _report_broken(broken: dict[str, str], images: LabelledImages, on_broken: str) -> None:
    if not broken:
        return
    lines = [f"  {readable(images.root / path)}: {readable(reason)}" for path, reason in list(broken.items())[:LISTED]]
    if len(broken) > LISTED:
        lines.append(f"  … and {len(broken) - LISTED} more")
    problem = f"{len(broken)} of {len(images)} images cannot be read"
    if on_broken == "stop" or len(broken) == len(images):
        way_out = "replace or remove them, or leave them out with data.on_broken=skip"
        raise UserError(problem, way_out, lines)
    logger.warning("%s and are left out:\n%s", problem, "\n".join(lines))
