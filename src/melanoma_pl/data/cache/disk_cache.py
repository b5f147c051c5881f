"""Images that do not fit into memory: decoded once into a file, which the system then pages in as it is needed."""

import errno
import hashlib
import json
import logging
import mmap
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import PIL
import torch
from filelock import Timeout
from torch import Tensor

from melanoma_pl.data.cache.cache_files import BROKEN, FORMAT, CachedDataset, CacheRecord, bytes_per_image, hold
from melanoma_pl.data.decoding import Learnt, decode_file, first_pass
from melanoma_pl.data.image_set import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.files import flush_to_disk
from melanoma_pl.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

CHECKED = 8  # images that are decoded again when a set is opened
SPARED = 2**29  # bytes that are left free on the disk, for checkpoints and reports
PATIENCE = 2.0  # seconds of waiting for another process that need no explanation: it is opening the set
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
AFTER_DECODING = ("mean", "std")  # values of the preprocessing that change no cached pixel


def open_or_build(
    images: LabelledImages, preprocessing: Preprocessing, folder: Path, title: str
) -> tuple[Tensor, Learnt, Path] | None:
    """Return the images' pixels from the cache on disk, where they are written at the first call.

    Args:
        images: What to read.
        preprocessing: What makes the pixels.
        folder: Of all cached sets; made if need be.
        title: What the images are called.

    Returns:
        Pixels of those that can be read, uint8 `(N, S, S, 3)`, mapped from a file and not to be written to, what is
        known of all, and the file; None, after a warning, where the disk has no room for them.

    Raises:
        UserError: If the folder cannot be written to.
    """
    place = CachedDataset(folder / cache_key(images, preprocessing))
    with _alone(place, title):
        learnt = _check(place, images, preprocessing, title) or _build(place, images, preprocessing, title)
        if learnt is None:
            return None
        os.utime(place.record)
        pixels = _map(place.pixels, len(learnt.sha256), preprocessing.image_size)
        return pixels, learnt, place.pixels.resolve()


def cache_key(images: LabelledImages, preprocessing: Preprocessing) -> str:
    """Return a hash of all that decides the pixels: the files' paths, sizes and times of change, and the decoder."""
    values = {name: value for name, value in preprocessing.to_dict().items() if name not in AFTER_DECODING}
    digest = hashlib.sha256(json.dumps([FORMAT, PIL.__version__, values]).encode())
    for path in images.paths:
        try:
            status = (images.root / path).stat()
            facts = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            facts = "missing"
        digest.update(f"\n{path}\0{facts}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


@contextmanager
def _alone(place: CachedDataset, title: str) -> Iterator[None]:
    """Hold the set's lock; where another process builds the set, say so and wait."""
    try:
        place.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with place.lock(PATIENCE):
                yield
                return
        except Timeout:
            logger.info("cache       another process is writing the %s to %s: waiting for it", title, place.folder)
        with place.lock():
            yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise UserError(
            f"data.cache_folder={place.folder.parent} cannot be written to ({error.strerror})",
            "name another folder, or null to read the files again each epoch",
        ) from error


def _check(place: CachedDataset, images: LabelledImages, preprocessing: Preprocessing, title: str) -> Learnt | None:
    """Return what is known of a set that is whole and whose images are still the same; else None."""
    if not place.record.exists():
        return None
    try:
        record = place.read()
        learnt = Learnt(record.sha256, record.broken)
        if stale := _first_stale(place, images, learnt, preprocessing):
            raise ValueError(f"{stale} decodes to something else now")
    except BROKEN as error:
        logger.warning("the %s in %s cannot be used (%s): they are decoded anew", title, place.folder, error)
        place.record.unlink(missing_ok=True)
        return None
    logger.info("cache       %d %s taken from %s", len(record.sha256), title, place.folder)
    return learnt


def _first_stale(
    place: CachedDataset, images: LabelledImages, learnt: Learnt, preprocessing: Preprocessing
) -> str | None:
    """Return the first image of a few, spread over the set, that decodes to other pixels; also one that is whole now.

    What could not be read may have become readable without a change of the file, by its permissions for instance.
    """
    readable = learnt.readable(images)
    if len(readable) != len(learnt.sha256):
        raise ValueError("it lists other images")
    cached = _map(place.pixels, len(readable), preprocessing.image_size)
    chosen = np.unique(np.linspace(0, len(readable) - 1, CHECKED, dtype=np.int64)) if len(readable) else ()
    for index in map(int, chosen):
        path = readable.paths[index]
        decoded = decode_file(images.root / path, preprocessing)
        same = decoded.pixels is not None and torch.equal(decoded.pixels.permute(1, 2, 0), cached[index])
        if not same or decoded.sha256 != learnt.sha256[index]:
            return path
    for path in learnt.broken:
        if decode_file(images.root / path, preprocessing).pixels is not None:
            return path
    return None


def _build(place: CachedDataset, images: LabelledImages, preprocessing: Preprocessing, title: str) -> Learnt | None:
    """Decode all images into the set's files; None where the disk has no room."""
    place.folder.mkdir(exist_ok=True)
    for left in (place.part, place.pixels):  # by a process that was killed, or damaged
        left.unlink(missing_ok=True)
    size = len(images) * bytes_per_image(preprocessing.image_size)
    try:
        if (missing := size + SPARED - shutil.disk_usage(place.folder).free) > 0:
            raise OSError(errno.ENOSPC, f"{missing / 1e9:.2f} GB are missing")
        with place.part.open("wb") as file:
            learnt = first_pass(
                images, preprocessing, title, lambda _, pixels: file.write(pixels.contiguous().numpy().data)
            )
        flush_to_disk(place.part)
        place.part.replace(place.pixels)
        place.write(
            CacheRecord(str(images.root.resolve()), len(images), preprocessing.image_size, learnt.sha256, learnt.broken)
        )
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        logger.warning(
            "%s: no room for %.2f GB in %s (%s), so files are read again each epoch; make room "
            "(melanoma-data cache clean), or name another folder with data.cache_folder",
            title, size / 1e9, place.folder.parent, error.strerror,
        )  # fmt: skip
        return None
    finally:
        place.part.unlink(missing_ok=True)
    logger.info("cache       %d %s kept in %s", len(learnt.sha256), title, place.folder)
    return learnt


def _map(path: Path, images: int, side: int) -> Tensor:
    """Map a file of pixels: it takes memory of the system's cache, and none of the process's own.

    Returns:
        uint8 `(images, side, side, 3)`, read-only.
    """
    if not images:
        return torch.empty((0, side, side, 3), dtype=torch.uint8)
    with path.open("rb") as file:
        hold(file)
        # read-only and shared: a private mapping larger than the memory would be refused
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        return torch.frombuffer(mapped, dtype=torch.uint8).view(images, side, side, 3)


def read_ahead(path: Path, positions: Tensor, size: int) -> None:
    """Have the system fetch images that are about to be used, all at once.

    Asked page by page it waits for each, and reads around it what nobody needs: several times as much.

    Args:
        path: The file that their pixels are mapped from.
        positions: Of the images in it, int64 `(M,)`.
        size: Bytes of one image.
    """
    if sys.platform == "linux":
        with suppress(OSError), path.open("rb") as file:  # whoever moved the file has it read more slowly
            for position in positions.tolist():
                os.posix_fadvise(file.fileno(), position * size, size, os.POSIX_FADV_WILLNEED)
