"""One pass over all images before training: the check for broken files and the cache of pixels at once."""

import hashlib
import logging
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from melanoma_pl.data.cache.cache_files import bytes_per_image
from melanoma_pl.data.cache.disk_cache import open_or_build, read_ahead
from melanoma_pl.data.decoding import decode_file, first_pass, stack
from melanoma_pl.data.image_set import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.image_files import THREADS
from melanoma_pl.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

LISTED = 10  # broken images named on screen
UNKNOWN_MEMORY = 8 * 2**30  # bytes, where the system does not tell


@dataclass(frozen=True)
class LoadedImages:
    """Images that were all decoded once.

    Attributes:
        images: Those that can be read.
        sha256: Of each image's file.
        broken: Path → reason, of those left out.
        preprocessing: What made the pixels.
        cache: uint8 `(N, S, S, 3)`, in memory or mapped from a file; None where neither has room: then read from the
            images' files.
        mapped: The file that the cache is mapped from; None where it is not.
    """

    images: LabelledImages
    sha256: tuple[str, ...]
    broken: dict[str, str]
    preprocessing: Preprocessing
    cache: Tensor | None
    mapped: Path | None = None

    def pixels(self, positions: Tensor) -> Tensor:
        """Return images by position: uint8 `(len(positions), 3, S, S)` in channels-last memory."""
        if self.cache is not None:
            if self.mapped is not None:
                read_ahead(self.mapped, positions, self.cache[0].numel())
            return self.cache.index_select(0, positions).permute(0, 3, 1, 2)  # eight times as fast as cache[positions]
        return stack(
            self._read_all([self.images.root / self.images.paths[position] for position in positions.tolist()])
        )

    def _read_all(self, files: Sequence[Path]) -> list[Tensor]:
        """Decode files on all cores, or on a loader's worker's share of them, in their order."""
        worker = get_worker_info()
        threads = max(1, THREADS // (worker.num_workers if worker else 1))
        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            # each image is opened with warnings off, and threads that do so at once put back each other's filters
            warnings.simplefilter("ignore")
            return list(pool.map(self._read, files))

    def _read(self, file: Path) -> Tensor:
        decoded = decode_file(file, self.preprocessing)
        if decoded.pixels is None:
            raise UserError(f"{file} was readable when the run started and no longer is ({decoded.reason})")
        return decoded.pixels

    def fingerprint(self) -> str:
        """Return a hash of every image's path, class, lesion and content."""
        groups = self.images.groups or ("",) * len(self.images)
        lines = zip(self.images.paths, self.images.targets.tolist(), groups, self.sha256, strict=True)
        return hashlib.sha256("\n".join("\t".join(map(str, line)) for line in lines).encode()).hexdigest()[:16]


def load_images(
    images: LabelledImages,
    preprocessing: Preprocessing,
    on_broken: str = "stop",
    cache_fraction: float = 0.5,
    title: str = "images",
    cache_folder: Path | None = None,
) -> LoadedImages:
    """Decode every image once.

    Args:
        images: What to read.
        preprocessing: What makes the pixels.
        on_broken: `stop` (an error with the list) or `skip` (left out and counted).
        cache_fraction: Largest share of the machine's memory that the pixels may take; above it they are kept on disk.
        title: What the images are called.
        cache_folder: Where they are kept on disk; None: nowhere, they are read from their files again.

    Raises:
        UserError: If images are broken and `on_broken` is `stop`, or none can be read.
    """
    side = preprocessing.image_size
    fits = len(images) * bytes_per_image(side) <= cache_fraction * machine_memory()
    on_disk = None if fits or cache_folder is None else open_or_build(images, preprocessing, cache_folder, title)
    cache, mapped = None, None
    if on_disk is not None:
        cache, learnt, mapped = on_disk
    elif fits:
        cache = torch.empty((len(images), side, side, 3), dtype=torch.uint8)
        learnt = first_pass(images, preprocessing, title, cache.__setitem__)
    else:
        learnt = first_pass(images, preprocessing, title, lambda place, pixels: None)
    _handle_broken(learnt.broken, images, on_broken)
    if cache is None:
        logger.info(
            "%s: %d images do not fit %.0f %% of memory and are read again each epoch",
            title,
            len(images),
            100 * cache_fraction,
        )
    kept = None if cache is None else cache[: len(learnt.sha256)]
    return LoadedImages(learnt.readable(images), learnt.sha256, learnt.broken, preprocessing, kept, mapped)


def _handle_broken(broken: dict[str, str], images: LabelledImages, on_broken: str) -> None:
    if not broken:
        return
    lines = [f"  {images.root / path}: {reason}" for path, reason in list(broken.items())[:LISTED]]
    if len(broken) > LISTED:
        lines.append(f"  … and {len(broken) - LISTED} more")
    listing = "\n".join(lines)
    if on_broken == "stop" or len(broken) == len(images):
        raise UserError(
            f"{len(broken)} of {len(images)} images cannot be read",
            f"replace or remove them, or leave them out with data.on_broken=skip\n{listing}",
        )
    logger.warning("%d of %d images cannot be read and are left out:\n%s", len(broken), len(images), listing)


def machine_memory() -> int:
    """Return the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY
