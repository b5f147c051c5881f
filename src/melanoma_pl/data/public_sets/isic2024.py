"""ISIC 2024 (SLICE-3D): 401,059 crops of whole-body images as JPEGs in one HDF5 file, and one table.

`train-image.hdf5` holds a scalar dataset for each image, named by its `isic_id`, which is the content of the JPEG file.
The images are read one at a time, and only when they are written, so that memory holds the table alone.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from sys import intern
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.data.public_sets.download import (
    Download,
    ImageFacts,
    LeftOut,
    SourceImage,
    TableRow,
    read_each_row,
    sex,
    years,
)
from melanoma_pl.data.public_sets.kaggle import DAMAGED
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.files import NO_SPACE, replacement, sha256_of

if TYPE_CHECKING:
    import h5py

IMAGES, TABLE = "train-image.hdf5", "train-metadata.csv"
KEY, TARGET = "isic_id", "target"
ID = re.compile(r"ISIC_[0-9]{7}")
IN_A_FOLDER = 8  # letters of the id that name an image's folder: about 400 images each, which any program can list
DIAGNOSES = tuple(f"iddx_{level}" for level in (5, 4, 3, 2, 1))  # the finest first
GET_H5PY = "pip install 'melanoma-pl[isic2024]'"
CITATION = (
    "N. R. Kurtansky et al., The SLICE-3D dataset: 400,000 skin lesion image crops extracted from 3D TBP for skin "
    "cancer detection, Scientific Data 11:884 (2024), doi.org/10.1038/s41597-024-03743-w"
)
WARNINGS = (
    "about 0.1 % of its images are malignant: train with data.sampler=balanced, and read the partial AUROC first",
    "most of its lesions were not biopsied and count as benign, and so do lesions of uncertain malignancy",
)
WAY_OUT = "download it again from kaggle.com/competitions/isic-2024-challenge"


def read_isic2024(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the table and the names of the images in the HDF5 file.

    Args:
        source: The folder with both files, or Kaggle's zip file, from which they are extracted beside it meanwhile.
        missing: What happens to a row without an image or an image without a row: `stop` (an error) or `leave-out`.
        opened: Closes the HDF5 file, and removes what was extracted, in the end.

    Raises:
        UserError: If h5py is not installed; a file is missing or damaged; or, with `stop`, an image or row is missing.
    """
    _require_h5py()
    images, table = _find(source, opened)
    archive = opened.enter_context(open_hdf5(images, source))
    names = _names_in(archive, source)
    entries: list[SourceImage] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    first_without = ""
    for row in read_each_row(table, (KEY, TARGET, "patient_id")):
        name = _checked_id(row, seen)
        if name in names:
            entries.append(_entry(row, name))
        else:
            first_without = first_without or f"{row.where}: {source} holds no image {name}"
            left_out.append(LeftOut(name, "", "no image"))
    if left_out and missing == "stop":
        message = f"{first_without}; rows without an image: {len(left_out)}"
        raise UserError(message, f"{WAY_OUT}, or leave them out with --missing leave-out")
    without_row = sorted(names - seen)
    if without_row and missing == "stop":
        message = f"{source}: {without_row[0]} has no row in {TABLE}; images without a row: {len(without_row)}"
        raise UserError(message, f"{WAY_OUT}, or leave them out with --missing leave-out")
    left_out += [LeftOut(name, "", f"no row in {TABLE}") for name in without_row]
    status = (source if source.is_file() else images).stat()
    identity = f"{status.st_size} {status.st_mtime_ns} {sha256_of(table)}"
    note = "the labels are those of the challenge's column target"
    return Download(
        CITATION, WARNINGS, tuple(entries), partial(_write, archive, source), tuple(left_out), (note,), identity
    )


@contextmanager
def open_hdf5(file: Path, source: Path) -> "Iterator[h5py.File]":
    """Open an HDF5 file.

    Args:
        file: The file.
        source: What the user named, for errors.

    Raises:
        UserError: If it is cut short, or not an HDF5 file.
    """
    import h5py

    try:
        archive = h5py.File(file, "r")
    except OSError as error:
        raise _damaged(source, error) from error
    with archive:
        yield archive


def _require_h5py() -> None:
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise UserError("isic2024 is an HDF5 file, and h5py, which reads it, is not installed", GET_H5PY) from error


def _damaged(source: Path, error: Exception | str) -> UserError:
    reason = " ".join(str(error).strip("'\"").split())
    return UserError(f"{source}: {IMAGES} is cut short or damaged ({reason})", WAY_OUT)


def _names_in(archive: "h5py.File", source: Path) -> set[str]:
    """Return the names of the images, which are the names of all datasets."""
    try:
        names = set(archive)
    except (OSError, RuntimeError, KeyError) as error:
        raise _damaged(source, error) from error
    if not names:
        raise UserError(f"{source}: {IMAGES} holds no image", WAY_OUT)
    return names


def _checked_id(row: TableRow, seen: set[str]) -> str:
    """Return the id of a row, which becomes the name of a file, and add it to those that were seen."""
    name = row.cells[KEY]
    if not ID.fullmatch(name):
        raise UserError(f"{row.where}: '{name}' is not an {KEY} such as ISIC_0015670", WAY_OUT)
    if name in seen:
        raise UserError(f"{row.where}: '{name}' has two rows", "delete one of them")
    seen.add(name)
    return name


def _entry(row: TableRow, name: str) -> SourceImage:
    target = row.cells[TARGET]
    if target not in ("0", "1"):
        raise UserError(f"{row.where}: {TARGET} is '{target}'", "allowed are 0 (benign) and 1 (malignant)")
    facts = ImageFacts(
        written=tuple(intern(each) for column in DIAGNOSES if (each := row.known(column))),
        lesion=row.known("lesion_id"),
        patient=intern(row.known("patient_id")),
        age=intern(years(row.known("age_approx"))),
        sex=sex(row.known("sex")),
        site=intern(row.known("anatom_site_general").lower()),
        source=intern(row.known("attribution") or "SLICE-3D, ISIC 2024"),
        licence=intern(row.known("copyright_license") or "CC BY-NC 4.0"),
    )
    return SourceImage(
        f"{IMAGES}/{name}", row.where, facts, CLASS_NAMES[int(target)], name=f"{name}.jpg", folder=name[:IN_A_FOLDER]
    )


def _write(archive: Mapping[str, Any], source: Path, entry: SourceImage, file: Path) -> None:
    """Write the file of an image."""
    name = PurePosixPath(entry.original).name
    try:
        value = archive[name][()]
    except (OSError, RuntimeError, KeyError, AttributeError, TypeError) as error:
        raise _damaged(source, f"{name}: {error}") from error
    if not isinstance(value, bytes | np.void) and getattr(value, "dtype", None) != np.uint8:
        raise _damaged(source, f"{name} is not the content of a file")
    file.write_bytes(value if isinstance(value, bytes) else value.tobytes())


# Where the files are


def _find(source: Path, opened: ExitStack) -> tuple[Path, Path]:
    """Return the paths of the HDF5 file and the table, extracted from a zip file if need be."""
    if not source.exists():
        raise UserError(f"{source} does not exist", f"give the folder with {IMAGES} and {TABLE}, or Kaggle's zip file")
    if source.is_file():
        images, table = (_extract(source, name, opened) for name in (IMAGES, TABLE))
        return images, table
    found = [sorted(source.rglob(name)) for name in (IMAGES, TABLE)]
    for name, files in zip((IMAGES, TABLE), found, strict=True):
        if len(files) != 1:
            which = f" ({first_of([str(file) for file in files])})" if files else ""
            raise UserError(
                f"{source} holds {len(files)} files {name}{which}", f"give the folder with {IMAGES} and {TABLE}"
            )
    return found[0][0], found[1][0]


def _extract(archive: Path, name: str, opened: ExitStack) -> Path:
    """Extract one file of a zip file beside it, until the end: HDF5 is read in leaps, which a zip cannot do."""
    target = archive.with_name(f".{archive.name}.{name}")
    try:
        with ZipFile(archive) as zipped:
            members = [each for each in zipped.infolist() if PurePosixPath(each.filename).name == name]
            if len(members) != 1:
                raise UserError(f"{archive} holds {len(members)} files {name}", "give the zip file as Kaggle names it")
            opened.callback(target.unlink, missing_ok=True)
            with replacement(target) as part, zipped.open(members[0]) as packed, part.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 2**20)
    except (*DAMAGED, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{archive} is cut short or not a zip file ({error})", "download it again") from error
    except OSError as error:
        problem = "no space is left" if error.errno in NO_SPACE else error.strerror
        raise UserError(
            f"{archive}: {name} cannot be extracted beside it ({problem})", "extract it, and give the folder"
        ) from error
    return target
