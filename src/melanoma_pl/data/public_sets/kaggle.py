"""Kaggle's fanconic/skin-cancer-malignant-vs-benign: the zip file as downloaded, or the folder of its contents.

The archive holds every image twice: below `data/` and again at its top.
"""

import hashlib
import lzma
import shutil
import stat
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from melanoma_pl.data.options import CLASS_NAMES, is_image
from melanoma_pl.data.public_sets.download import (
    Download,
    ImageFacts,
    LeftOut,
    SourceImage,
    Writer,
    archives_hint,
    check_unpacked_size,
)
from melanoma_pl.errors import UserError

DAMAGED = (BadZipFile, zlib.error, lzma.LZMAError, EOFError)
SPLITS = ("train", "test")
TOP = "the top folder"
WANTED = "{train,test}/{benign,malignant}"
CITATION = "C. Fanconi, Skin Cancer: Malignant vs. Benign, Kaggle 2019; the images: ISIC archive, isic-archive.com"
WARNINGS = (
    "its benign images come from HAM10000, most malignant ones do not: a network may tell them apart by source",
    "it does not say which images show one lesion: some lesions may be in both train and test",
    "malignant is not always melanoma, and some labels are wrong (docs/public_sets.md)",
)
FACTS = ImageFacts(source="Kaggle fanconic/skin-cancer-malignant-vs-benign", licence="as in the ISIC archive")

Root = dict[str, str]  # `train/benign/1.jpg` → the image's path in the download


def read_kaggle(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the zip file or the folder.

    Args:
        source: The zip file or the folder.
        missing: Not used: the dataset has no table.
        opened: Closes the zip file in the end.

    Raises:
        UserError: If it is damaged, holds no folders of classes, or two groups of them that differ.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist", f"give the zip file, or the folder with {WANTED}")
    if source.is_dir():
        images: Path | Writer = source
        paths = sorted(file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file())

        def content(path: str) -> str:
            return hashlib.sha256((source / path).read_bytes()).hexdigest()

    else:
        archive = opened.enter_context(whole_zip(source))
        images = partial(_unpack, archive)
        paths = sorted(member.filename for member in archive.infolist() if not member.is_dir())

        def content(path: str) -> str:
            return str(archive.getinfo(path).CRC)

    roots = _find_roots(paths)
    root, notes = _choose_root(source, roots, content)
    used = {original for own in roots.values() for original in own.values()}
    left_out = [LeftOut(path, "", "in no class folder") for path in paths if is_image(Path(path)) and path not in used]
    entries = []
    for path, original in root.items():
        split, label, *_ = path.split("/")
        entries.append(SourceImage(original, f"{source}, {original}", FACTS, label, split))
    return Download(CITATION, WARNINGS, tuple(entries), images, tuple(left_out), notes)


def _unpack(archive: ZipFile, entry: SourceImage, file: Path) -> None:
    with archive.open(entry.original) as packed, file.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)


def _find_roots(paths: list[str]) -> dict[str, Root]:
    """Return each folder that has images of both classes in both splits, with these images; `""` is the top."""
    roots: dict[str, Root] = defaultdict(dict)
    for original in paths:
        path = PurePosixPath(original)
        folders = [folder.lower() for folder in path.parts[:-1]]
        for depth in range(len(folders) - 1):
            split, label = folders[depth : depth + 2]
            if split in SPLITS and label in CLASS_NAMES and is_image(Path(path)):
                inside = "/".join((split, label, *path.parts[depth + 2 :]))
                roots["/".join(path.parts[:depth])][inside] = original
                break
    complete = {(split, label) for split in SPLITS for label in CLASS_NAMES}
    return {
        name: images for name, images in roots.items() if {PurePosixPath(path).parts[:2] for path in images} == complete
    }


def _choose_root(source: Path, roots: dict[str, Root], content: Callable[[str], str]) -> tuple[Root, tuple[str, ...]]:
    """Return the images of the only folder with `WANTED`, or of the highest of several with the same images."""
    if not roots:
        raise UserError(
            f"{source} holds no folder with images in {WANTED}",
            f"give the zip file as downloaded, or the folder of its contents{archives_hint(source)}",
        )
    first, *others = sorted(roots, key=lambda name: (name.count("/"), name))
    one = roots[first]
    for name in others:
        other = roots[name]
        if one.keys() != other.keys() or any(content(one[path]) != content(other[path]) for path in one):
            raise UserError(
                f"{source} holds two groups of {WANTED} that differ, in {first or TOP} and {name or TOP}",
                "extract it, and give the folder of one of them",
            )
    copies = f"the download holds every image {len(roots)} times, with equal bytes; {first or TOP} is taken"
    return one, ("the dataset's own split is kept", *((copies,) if others else ()))


@contextmanager
def whole_zip(path: Path) -> Iterator[ZipFile]:
    """Open a zip file after every member has been read once and agrees with its checksum.

    Raises:
        UserError: If it is cut short, damaged, encrypted or packed suspiciously small, or holds a link or a member that
            leads out of its folder.
    """
    try:
        with ZipFile(path) as archive:
            names: set[str] = set()
            for member in archive.infolist():
                if problem := _problem(member, names):
                    raise UserError(
                        f"{path}: its member '{member.filename}' {problem}", "download the dataset from its own page"
                    )
                names.add(member.filename)
            check_unpacked_size(path, archive.infolist())
            _read_members(archive)
            yield archive
    except DAMAGED as error:
        raise UserError(f"{path} is cut short or not a zip file ({error})", "download it again") from error
    except NotImplementedError as error:
        way_out = "extract it with another program, and give the folder"
        raise UserError(f"{path} cannot be read ({error})", way_out) from error


def _problem(member: ZipInfo, names: set[str]) -> str:
    name = member.orig_filename.replace("\\", "/")
    if name.startswith("/") or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        return "leads out of its folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    return "is there twice" if member.filename in names else ""


def _read_members(archive: ZipFile) -> None:
    """Read every member once; raise `BadZipFile` for any damage, also where bzip2 raises another error."""
    try:
        damaged = archive.testzip()
    except OSError as error:
        if error.errno is not None:  # an error of the disk: bzip2's own error has no number
            raise
        raise BadZipFile(f"a member is damaged: {error}") from error
    if damaged:
        raise BadZipFile(f"{damaged} is damaged")
