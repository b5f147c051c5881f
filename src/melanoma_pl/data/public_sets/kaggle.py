"""Zip files from elsewhere: whole, and with no member that could land outside the folder it is meant for.

Kaggle's fanconic/skin-cancer-malignant-vs-benign: the zip as downloaded, or the folder it was extracted to.

The archive holds every image twice: below `data/` and again at its top.
"""

import hashlib
import lzma
import shutil
import stat
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import ZipFile

from melanoma_pl.data.layout import CLASS_NAMES, is_image
from melanoma_pl.data.public_sets.download import About, Download, ImageFacts, LeftOut, Save, SourceImage, saver
from melanoma_pl.data.public_sets.source_tables import archives_hint
from melanoma_pl.errors import UserError

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


@contextmanager
def whole_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose every member has been read once and agrees with its checksum.

    Raises:
        UserError: If it is cut short, damaged, encrypted, or holds a link or a member that leads elsewhere.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.infolist())
            _read_members(archive)
            yield archive
    except DAMAGED as error:
        raise UserError(f"{path} is cut short or no zip ({error})", "download it anew") from error
    except NotImplementedError as error:
        raise UserError(
            f"{path} cannot be read ({error})", "extract it with another program, give the folder"
        ) from error


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names: set[str] = set()
    for member in members:
        if problem := _problem(member, names):
            raise UserError(f"{path}: its member '{member.filename}' {problem}", "download the set from its own page")
        names.add(member.filename)


def _read_members(archive: zipfile.ZipFile) -> None:
    """Read every member once; `BadZipFile` for what damaged bzip2 raises too."""
    try:
        damaged = archive.testzip()
    except OSError as error:
        if error.errno is not None:  # of the disk: bzip2's own error has no number
            raise
        raise zipfile.BadZipFile(f"a member is damaged: {error}") from error
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} is damaged")


def _problem(member: zipfile.ZipInfo, names: set[str]) -> str:
    name = member.orig_filename.replace("\\", "/")
    if name.startswith("/") or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
        return "leads out of its folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    return "is there twice" if member.filename in names else ""


SPLITS = ("train", "test")
TOP = "the top folder"
WANTED = "{train,test}/{benign,malignant}"
KAGGLE = About(
    "C. Fanconi, Skin Cancer: Malignant vs. Benign, Kaggle 2019; the images: ISIC archive, isic-archive.com",
    (
        "its benign images are HAM10000's, most malignant ones are not: a network may tell them apart by their source",
        "it does not say which images show one lesion: some lesions may be in train and test",
        "malignant is not always melanoma, and some labels are wrong (docs/public_sets.md)",
    ),
)
FACTS = ImageFacts(source="Kaggle fanconic/skin-cancer-malignant-vs-benign", licence="as in the ISIC archive")

Root = dict[str, str]  # `train/benign/1.jpg` → the image's path in the download


def read_kaggle(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the zip or the folder.

    Args:
        source: The zip or the folder.
        missing: Of no meaning here: the set has no table.
        opened: Closes the zip in the end.

    Raises:
        UserError: If it is damaged, holds no such folders, or two sets of them that differ.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist", f"give the zip, or its folder with {WANTED}")
    if source.is_dir():
        paths = sorted(file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file())
        return _download(source, paths, lambda path: _digest(source / path), saver(source), source)
    archive = opened.enter_context(whole_zip(source))
    paths = sorted(member.filename for member in archive.infolist() if not member.is_dir())
    return _download(source, paths, lambda path: str(archive.getinfo(path).CRC), _unpacker(archive), None)


def _download(
    source: Path, paths: list[str], content: Callable[[str], str], save: Save, folder: Path | None
) -> Download:
    roots = _find_roots(paths)
    root, notes = _choose_root(source, roots, content)
    placed = {original for images in roots.values() for original in images.values()}
    stray = [path for path in paths if is_image(Path(path)) and path not in placed]
    left_out = tuple(LeftOut(path, "", "in no class folder") for path in stray)
    return Download(KAGGLE, _entries(source, root), save, folder, left_out, notes)


def _digest(image: Path) -> str:
    return hashlib.sha256(image.read_bytes()).hexdigest()


def _entries(source: Path, root: Root) -> tuple[SourceImage, ...]:
    return tuple(
        SourceImage(
            original, f"{source}, {original}", FACTS, label=PurePosixPath(path).parts[1], split=path.partition("/")[0]
        )
        for path, original in root.items()
    )


def _unpacker(archive: ZipFile) -> Save:
    def save(entry: SourceImage, file: Path, copy: bool) -> str:
        file.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry.original) as packed, file.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        return "written"

    return save


def _choose_root(source: Path, roots: dict[str, Root], content: Callable[[str], str]) -> tuple[Root, tuple[str, ...]]:
    """Return the images of the one folder with `WANTED`, the highest of several that hold the same images."""
    if not roots:
        raise UserError(
            f"{source} holds no folder with images in {WANTED}",
            f"give the zip as downloaded, or the folder it was extracted to{archives_hint(source)}",
        )
    first, *others = sorted(roots, key=lambda name: (name.count("/"), name))
    for other in others:
        if not _same_images(roots[first], roots[other], content):
            raise UserError(
                f"{source} holds two sets of {WANTED} that differ, in {first or TOP} and {other or TOP}",
                "extract it, and give the folder of one of them",
            )
    twice = f"the download holds every image {len(roots)} times, the same in every byte; {first or TOP} is taken"
    return roots[first], ("its own split is kept", *((twice,) if others else ()))


def _same_images(one: Root, other: Root, content: Callable[[str], str]) -> bool:
    return one.keys() == other.keys() and all(content(one[path]) == content(other[path]) for path in one)


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
