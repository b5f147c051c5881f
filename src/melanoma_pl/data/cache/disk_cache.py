"""The cache on disk for images that do not fit into memory: decoded once into a file, which is mapped into memory."""

import errno
import hashlib
import json
import logging
import mmap
import os
import shutil
import sys
import warnings
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import numpy as np
import PIL
import torch
from filelock import Timeout
from torch import Tensor

from melanoma_pl.data.cache.cache_files import (
    BROKEN,
    FORMAT,
    CachedDataset,
    CacheRecord,
    UnfinishedDataset,
    bytes_per_image,
    hold,
)
from melanoma_pl.data.decoding import decode_each, decode_file
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.errors import UserError
from melanoma_pl.files import NO_SPACE
from melanoma_pl.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

CHECKED = 8  # images that are decoded again when a cached dataset is opened
SPARED = 2**29  # bytes that are left free on the disk, for checkpoints and reports
PATIENCE = 2.0  # seconds: another process that only opens the dataset holds the lock for less
AFTER_DECODING = ("mean", "std")  # values of the preprocessing that change no cached pixel


def open_or_build(
    images: LabelledImages, preprocessing: Preprocessing, folder: Path, title: str
) -> tuple[Tensor, CacheRecord, Path] | None:
    """Return the images' pixels from the cache on disk, which is written at the first call.

    Args:
        images: The images to read.
        preprocessing: What makes the pixels.
        folder: Folder of all cached datasets; made if it does not exist.
        title: Name of the images in messages.

    Returns:
        Pixels of the images that can be read, uint8 `(N, S, S, 3)`, read-only; the record of all images; and the file
        that the pixels are mapped from. None, after a warning, if the disk lacks room.

    Raises:
        UserError: If the folder cannot be written to.
    """
    cached = CachedDataset(folder / cache_key(images, preprocessing))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(cached, title):
            record, origin = _open(cached, images, preprocessing), "taken from"
            if record is None:
                record, origin = _build(cached, images, preprocessing, title), "kept in"
            if record is None:
                return None
            os.utime(cached.record)
            logger.info("cache       %d %s %s %s", len(record.sha256), title, origin, cached.folder)
            pixels = _map(cached.pixels, len(record.sha256), record.image_size)
            return pixels, record, cached.pixels.resolve()
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise UserError(
            f"data.cache_folder={folder} cannot be written to ({error.strerror})",
            "name another folder, or null to read the files again each epoch",
        ) from error


def cache_key(images: LabelledImages, preprocessing: Preprocessing) -> str:
    """Return a hash of all that decides the pixels: the decoder, and the files' paths, sizes and modification times."""
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


def _locked(cached: CachedDataset, title: str) -> AbstractContextManager[object]:
    """Take the dataset's lock, which the context releases, and say so if another process makes this one wait."""
    lock = cached.lock()
    try:
        return lock.acquire(PATIENCE)
    except Timeout:
        logger.info("cache       another process is writing the %s to %s: waiting for it", title, cached.folder)
        return lock.acquire()


def _open(cached: CachedDataset, images: LabelledImages, preprocessing: Preprocessing) -> CacheRecord | None:
    """Return the record of a cached dataset that is complete and up to date, else None."""
    if not cached.record.exists():
        return None
    try:
        record = cached.read()
        _require_current(cached.pixels, record, images, preprocessing)
    except BROKEN as error:
        logger.warning("%s cannot be used (%s): its images are decoded anew", cached.folder, error)
        cached.record.unlink(missing_ok=True)
        return None
    return record


def _require_current(file: Path, record: CacheRecord, images: LabelledImages, preprocessing: Preprocessing) -> None:
    """Decode a few images that are spread over the dataset, and the broken ones, and compare them with the cache.

    A broken image may have become readable without a change of its file, by its permissions for instance.

    Raises:
        ValueError: If an image changed, or the dataset has other images.
    """
    paths = images.without(record.broken).paths
    if len(paths) != len(record.sha256):
        raise ValueError("it lists other images")
    pixels = _map(file, len(paths), record.image_size)
    for index in np.unique(np.linspace(0, len(paths) - 1, min(CHECKED, len(paths)), dtype=np.int64)).tolist():
        decoded = decode_file(images.root / paths[index], preprocessing)
        is_same = decoded.pixels is not None and torch.equal(decoded.pixels.permute(1, 2, 0), pixels[index])
        if not is_same or decoded.sha256 != record.sha256[index]:
            raise ValueError(f"{paths[index]} decodes to something else now")
    for path in record.broken:
        if decode_file(images.root / path, preprocessing).pixels is not None:
            raise ValueError(f"{path} decodes to something else now")


def _build(
    cached: CachedDataset, images: LabelledImages, preprocessing: Preprocessing, title: str
) -> CacheRecord | None:
    """Decode all images into the dataset's files; return None if the disk lacks room.

    A process that was killed or interrupted leaves what it has decoded, and the next one goes on from there.
    """
    cached.folder.mkdir(exist_ok=True)
    cached.pixels.unlink(missing_ok=True)  # damaged
    side = preprocessing.image_size
    size = len(images) * bytes_per_image(side)
    progress = None
    try:
        there = cached.part.stat().st_size if cached.part.is_file() else 0
        if (missing := size - there + SPARED - shutil.disk_usage(cached.folder).free) > 0:
            raise OSError(errno.ENOSPC, f"{missing / 1e9:.2f} GB are missing")
        progress = _begin(cached, images, preprocessing, title)
        rest = images.take(range(len(progress), len(images)))
        for path, image in decode_each(rest, preprocessing, title):
            pixels = None if image.pixels is None else image.pixels.permute(1, 2, 0).contiguous().numpy().data
            progress.add(path, image.sha256, pixels, image.reason)
        progress.flush()
        cached.part.replace(cached.pixels)
        record = CacheRecord(str(images.root.resolve()), len(images), side, tuple(progress.sha256), progress.broken)
        cached.write(record)
        cached.progress.unlink()
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        _remove_progress(cached)
        logger.warning(
            "%s: no room for %.2f GB in %s (%s), so files are read again each epoch; make room "
            "(melanoma-data cache clean), or name another folder with data.cache_folder",
            title, size / 1e9, cached.folder.parent, error.strerror,
        )  # fmt: skip
        return None
    finally:
        if progress is not None:
            progress.close()
        if not progress:  # nothing to go on from
            _remove_progress(cached)
    return record


def _begin(
    cached: CachedDataset, images: LabelledImages, preprocessing: Preprocessing, title: str
) -> UnfinishedDataset:
    """Return the progress of an earlier process, if a few of its images are as they decode now, or a new one."""
    progress = UnfinishedDataset(cached, preprocessing.image_size)
    if not progress:
        return progress
    done = images.take(range(min(len(progress), len(images))))
    found = CacheRecord("", len(done), preprocessing.image_size, tuple(progress.sha256), progress.broken)
    try:
        if len(done) < len(progress):
            raise ValueError("it lists other images")
        _require_current(cached.part, found, done, preprocessing)
    except BROKEN as error:
        logger.warning("what an earlier process left in %s cannot be used (%s)", cached.folder, error)
        progress.close()
        _remove_progress(cached)
        return UnfinishedDataset(cached, preprocessing.image_size)
    logger.info("cache       an earlier process left %d of %d %s there", len(done), len(images), title)
    return progress


def _remove_progress(cached: CachedDataset) -> None:
    for file in (cached.part, cached.progress):
        file.unlink(missing_ok=True)


def _map(path: Path, images: int, side: int) -> Tensor:
    """Map a file of pixels, which then occupies the system's page cache instead of the memory of the process.

    Returns:
        uint8 `(images, side, side, 3)`, read-only.
    """
    if not images:
        return torch.empty((0, side, side, 3), dtype=torch.uint8)
    with path.open("rb") as file:
        hold(file)
        # read-only and shared: the system would refuse a private mapping larger than the memory
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable")
        return torch.frombuffer(mapped, dtype=torch.uint8).view(images, side, side, 3)


def read_ahead(path: Path, positions: Tensor, size: int) -> None:
    """Ask the system to read images that will be used next, all at once.

    Without this, the system waits for each page and reads several times as much around it.

    Args:
        path: The file that the pixels are mapped from.
        positions: Indices of the images in the file, int64 `(M,)`.
        size: Bytes of one image.
    """
    if sys.platform == "linux":
        with suppress(OSError), path.open("rb") as file:  # if the file was moved, reading is only slower
            for position in positions.tolist():
                os.posix_fadvise(file.fileno(), position * size, size, os.POSIX_FADV_WILLNEED)
