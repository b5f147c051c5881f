"""Images that a copy of this process decodes while the process itself imports PyTorch. Light: no PyTorch.

The imports keep one core busy for seconds, and decoding needs nothing of what they bring.
"""

import hashlib
import io
import mmap
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.options import DataOptions
from melanoma_pl.errors import STOPPING, UserError
from melanoma_pl.image_files import BrokenImageError, draft, open_image, read_file, to_array
from melanoma_pl.machine_limits import usable_cores, usable_memory

MOST_BYTES, MOST_OF_MEMORY = 2**30, 0.1  # of the pixels: twice what two seconds of imports leave time for
RECORD = np.dtype([("is_whole", "?"), ("file", "S64"), ("sha256", "S64"), ("size", "i8"), ("changed", "i8")])

Found = tuple[NDArray[np.uint8], str]


class EarlyImages:
    """Decodes the images of a dataset in a copy of this process, into memory that both share.

    Images that cannot be read, or that there was no time or room for, are left out: whoever wants them reads them.

    Args:
        source: The image folder or the table.
        options: Options of the data module.
        image_size: Side of the decoded images in pixels.
        folders: `train` and `test`, or one of them.
    """

    def __init__(self, source: Path, options: DataOptions, image_size: int, folders: Iterable[str]) -> None:
        self.image_size = image_size
        count = max(1, int(min(MOST_BYTES, MOST_OF_MEMORY * usable_memory()) // (3 * image_size**2)))
        shape = (count, image_size, image_size, 3)
        self._pixels = np.frombuffer(mmap.mmap(-1, count * 3 * image_size**2), np.uint8).reshape(shape)
        self._records = np.frombuffer(mmap.mmap(-1, count * RECORD.itemsize), RECORD)
        self._places: dict[bytes, int] = {}
        self._copy = multiprocessing.get_context("fork").Process(
            target=self._decode, args=(_list(source, options, folders), os.getpid()), daemon=True
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of locks that other threads may hold; what decodes takes none of theirs
            warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
            self._copy.start()

    def _decode(self, files: Iterator[Path], parent: int) -> None:
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        for place, file in zip(range(len(self._records)), files, strict=False):
            if os.getppid() != parent:  # it was killed; this copy holds its locks, too
                return
            with suppress(BrokenImageError, OSError):
                state, content = file.stat(), read_file(file)
                with open_image(io.BytesIO(content)) as image:
                    draft(image, self.image_size)
                    self._pixels[place] = to_array(image, self.image_size)
                names = _digest(os.fsencode(file)), _digest(content)
                self._records[place] = (True, *names, state.st_size, state.st_mtime_ns)

    def stop(self) -> None:
        """Stop decoding; `find` then knows what was decoded."""
        self._copy.kill()
        self._copy.join()
        whole = np.flatnonzero(self._records["is_whole"])
        self._places = dict(zip(self._records["file"][whole].tolist(), whole.tolist(), strict=True))

    def find(self, file: Path) -> Found | None:
        """Return the pixels of a file, uint8 `(S, S, 3)`, and its hash; None if it was not decoded or has changed."""
        place = self._places.get(_digest(os.fsencode(file)))
        if place is None:
            return None
        record = self._records[place]
        with suppress(OSError):
            state = file.stat()
            if (state.st_size, state.st_mtime_ns) == (record["size"], record["changed"]):
                return self._pixels[place], record["sha256"].decode()
        return None


def _list(source: Path, options: DataOptions, folders: Iterable[str]) -> Iterator[Path]:
    for folder in folders:
        with_validation = folder == "train" and options.validate_on == "validation"
        with suppress(UserError):  # whoever reads the images tells it
            yield from list_split(source, folder, options, with_validation=with_validation, every_class=False).files


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


_begun: list[EarlyImages] = []


def begin_early(source: Path, options: DataOptions, image_size: int, folders: Iterable[str]) -> None:
    """Begin to decode images, on Linux, if PyTorch is yet to be imported and there is a second core.

    Args:
        source: The image folder or the table.
        options: Options of the data module.
        image_size: Side of the decoded images in pixels.
        folders: `train` and `test`, or one of them.
    """
    if sys.platform == "linux" and usable_cores() > 1 and "torch" not in sys.modules:
        with suppress(OSError):  # no memory, or no further process
            _begun.append(EarlyImages(source, options, image_size, folders))


def early_images(image_size: int) -> EarlyImages | None:
    """Stop decoding early, and return the decoded images if they have this size."""
    for early in _begun:
        early.stop()
    return next((early for early in _begun if early.image_size == image_size), None)


def end_early() -> None:
    """Stop decoding early, and give the memory back."""
    while _begun:
        _begun.pop().stop()
