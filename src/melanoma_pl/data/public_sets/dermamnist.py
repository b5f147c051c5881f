"""DermaMNIST: HAM10000 reduced in size, as arrays in one npz file.

The file comes from elsewhere: it must be whole, and hold the needed arrays without pickled objects, which could run
code.
"""

import lzma
import re
import zipfile
import zlib
from collections import Counter
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from melanoma_pl.data.public_sets.download import Download, ImageFacts, SourceImage, Writer, check_unpacked_size
from melanoma_pl.errors import UserError, first_of

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError, RuntimeError, MemoryError)
SPLITS = {"train": "train", "val": "train", "test": "test"}  # each training cuts its own validation images
LABELS = (  # names of MedMNIST v2, in the order of their numbers
    "actinic keratoses and intraepithelial carcinoma",
    "basal cell carcinoma",
    "benign keratosis-like lesions",
    "dermatofibroma",
    "melanoma",
    "melanocytic nevi",
    "vascular lesions",
)
NEEDED = tuple(f"{split}_{kind}" for split in SPLITS for kind in ("images", "labels"))
PUBLISHED = {"train": 7007, "val": 1003, "test": 2005}  # images
OWN_FILE = "give DermaMNIST's own file"
CITATION = (
    "J. Yang et al., MedMNIST v2, Scientific Data 10:41 (2023), doi.org/10.1038/s41597-022-01721-8; and P. Tschandl et "
    "al., HAM10000, Scientific Data 5:180161 (2018)"
)
WARNING = (
    "its official split has lesions on both sides, 641 of 7,470 in train and test (Abhishek et al., Scientific "
    "Data 12:196, 2025), and does not say which: test figures are too good; prepare ham10000 instead"
)


def read_dermamnist(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the labels of the npz file, or of the only one in a folder.

    Args:
        source: The file or the folder.
        missing: Not used: images and labels come together.
        opened: Closes the file in the end.

    Raises:
        UserError: If it is another dataset of MedMNIST, is damaged, lacks an array, or has an unknown label.
    """
    file = _find(source)
    archive = open_npz(file, opened)
    entries = [entry for split in SPLITS for entry in _entries(file, archive, split)]
    warnings = [WARNING]
    found = Counter(entry.original.partition("_")[0] for entry in entries)
    if found != PUBLISHED:
        counts, published = (", ".join(f"{sizes[split]:,}" for split in SPLITS) for sizes in (found, PUBLISHED))
        warnings.insert(
            0,
            f"its splits (train, val, test) have {counts} images, those of DermaMNIST {published}: is it a part, or "
            "another dataset?",
        )
    note = "the dataset's own split is kept; its val split becomes part of train (the column original shows it)"
    return Download(CITATION, tuple(warnings), tuple(entries), _writer(file, archive), notes=(note,))


def open_npz(file: Path, opened: ExitStack) -> NpzFile:
    """Open a file that has the arrays `NEEDED`.

    Raises:
        UserError: If it is damaged, a single array, or lacks one of them.
    """
    try:
        archive = np.load(opened.enter_context(file.open("rb")))
    except DAMAGED as error:
        raise UserError(f"{file} is cut short or not an npz file{_why(error)}", "download it again") from error
    if not isinstance(archive, NpzFile):
        raise UserError(f"{file} is a single array", "give the whole npz file")
    opened.enter_context(archive)
    if archive.zip is not None:
        check_unpacked_size(file, archive.zip.infolist())
    if absent := [name for name in NEEDED if name not in archive.files]:
        raise UserError(f"{file} has no {first_of(absent)}", f"it has {first_of(archive.files)}; {OWN_FILE}")
    return archive


def read_array(file: Path, archive: NpzFile, name: str) -> NDArray[Any]:
    """Read one of its arrays.

    Raises:
        UserError: If it is damaged, or holds objects instead of numbers.
    """
    try:
        return np.asarray(archive[name])
    except DAMAGED as error:
        raise UserError(f"{file}: {name} is damaged{_why(error)}", "download it again") from error


def _why(error: Exception) -> str:
    """Return NumPy's reason, unless it advises to allow pickled objects."""
    return "" if "pickle" in str(error) else f" ({error})"


def _find(source: Path) -> Path:
    if not source.exists():
        raise UserError(f"{source} does not exist", "give dermamnist_224.npz, or the folder it is in")
    if source.is_file():
        # the other datasets of MedMNIST have arrays of the same names, whose labels mean something else
        dataset = re.match("[a-z]*mnist", source.name.lower())
        if dataset and dataset[0] != "dermamnist":
            raise UserError(f"{source} is {dataset[0]}, not dermamnist", "give dermamnist.npz, or dermamnist_224.npz")
        return source
    found = sorted(source.glob("dermamnist*.npz"))
    if len(found) != 1:
        names = f": {first_of([file.name for file in found])}" if found else ""
        raise UserError(f"{source} holds {len(found)} files dermamnist*.npz{names}", "give the file itself")
    return found[0]


def _entries(file: Path, archive: NpzFile, split: str) -> list[SourceImage]:
    name = f"{split}_labels"
    labels = read_array(file, archive, name)
    if labels.ndim == 0 or labels.shape not in ((len(labels),), (len(labels), 1)):
        raise UserError(f"{file}: {name} has the shape {labels.shape}, not (N, 1)", OWN_FILE)
    labels = labels.reshape(-1)  # (N, 1) → (N,)
    wrong = np.flatnonzero(~np.isin(labels, range(len(LABELS))))
    if len(wrong):
        value = labels[wrong[0]]
        raise UserError(f"{file}, {name}[{wrong[0]}] is {value}, not 0 to {len(LABELS) - 1}", OWN_FILE)
    return [
        SourceImage(
            original=f"{split}_images/{index}",
            where=f"{file}, {name}[{index}]",
            facts=ImageFacts((LABELS[int(label)],), source="DermaMNIST, from HAM10000", licence="CC BY-NC 4.0"),
            split=SPLITS[split],
            name=f"{split}_{index:04d}.png",
        )
        for index, label in enumerate(labels)
    ]


def _writer(file: Path, archive: NpzFile) -> Writer:
    """Return a function that writes images as PNG; it keeps one split in memory, so write them split by split."""

    @lru_cache(maxsize=1)
    def images(name: str) -> NDArray[np.uint8]:
        pixels = read_array(file, archive, name)  # (N, H, W, 3)
        count = archive[name.replace("images", "labels")].shape[0]
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3 or len(pixels) != count:
            message = f"{file}: {name} is {pixels.dtype} {pixels.shape}, not uint8 ({count}, H, W, 3)"
            raise UserError(message, OWN_FILE)
        return pixels

    def write(entry: SourceImage, target: Path) -> None:
        from PIL import Image

        name, _, index = entry.original.partition("/")
        Image.fromarray(images(name)[int(index)]).save(target)

    return write
