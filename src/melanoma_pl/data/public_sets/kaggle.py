"""Kaggle's fanconic/skin-cancer-malignant-vs-benign: the zip as downloaded, or the folder it was extracted to.

The archive holds every photo twice: below `data/` and again at its top.
"""

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from melanoma_pl.data.layout import CLASS_NAMES, is_photo
from melanoma_pl.data.public_sets.archives import whole_zip
from melanoma_pl.data.public_sets.folder_set import archives_hint
from melanoma_pl.data.public_sets.record import About, Download, Entry, Facts, LeftOut, Save, saver
from melanoma_pl.errors import UserError

SPLITS = ("train", "test")
TOP = "the top folder"
WANTED = "{train,test}/{benign,malignant}"
ABOUT = About(
    "C. Fanconi, Skin Cancer: Malignant vs. Benign, Kaggle 2019; the photos: ISIC archive, isic-archive.com",
    (
        "its benign photos are HAM10000's, most malignant ones are not: a network may tell them apart by their source",
        "it does not say which photos show one lesion: some lesions may be in train and test",
        "malignant is not always melanoma, and some labels are wrong (docs/public_sets.md)",
    ),
)
FACTS = Facts(source="Kaggle fanconic/skin-cancer-malignant-vs-benign", licence="as in the ISIC archive")

Root = dict[str, str]  # `train/benign/1.jpg` → the photo's path in the download


def read(source: Path, missing: str, opened: ExitStack) -> Download:
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
    placed = {original for photos in roots.values() for original in photos.values()}
    stray = [path for path in paths if is_photo(Path(path)) and path not in placed]
    left_out = tuple(LeftOut(path, "", "in no class folder") for path in stray)
    return Download(ABOUT, _entries(source, root), save, folder, left_out, notes)


def _digest(photo: Path) -> str:
    return hashlib.sha256(photo.read_bytes()).hexdigest()


def _entries(source: Path, root: Root) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            original, f"{source}, {original}", FACTS, label=PurePosixPath(path).parts[1], split=path.partition("/")[0]
        )
        for path, original in root.items()
    )


def _unpacker(archive: ZipFile) -> Save:
    def save(entry: Entry, file: Path, copy: bool) -> str:
        file.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry.original) as packed, file.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        return "written"

    return save


def _choose_root(source: Path, roots: dict[str, Root], content: Callable[[str], str]) -> tuple[Root, tuple[str, ...]]:
    """Return the photos of the one folder with `WANTED`, the highest of several that hold the same photos."""
    if not roots:
        raise UserError(
            f"{source} holds no folder with photos in {WANTED}",
            f"give the zip as downloaded, or the folder it was extracted to{archives_hint(source)}",
        )
    first, *others = sorted(roots, key=lambda name: (name.count("/"), name))
    for other in others:
        if not _same_photos(roots[first], roots[other], content):
            raise UserError(
                f"{source} holds two sets of {WANTED} that differ, in {first or TOP} and {other or TOP}",
                "extract it, and give the folder of one of them",
            )
    twice = f"the download holds every photo {len(roots)} times, the same in every byte; {first or TOP} is taken"
    return roots[first], ("its own split is kept", *((twice,) if others else ()))


def _same_photos(one: Root, other: Root, content: Callable[[str], str]) -> bool:
    return one.keys() == other.keys() and all(content(one[path]) == content(other[path]) for path in one)


def _find_roots(paths: list[str]) -> dict[str, Root]:
    """Return each folder that has photos of both classes in both splits, with these photos; `""` is the top."""
    roots: dict[str, Root] = defaultdict(dict)
    for original in paths:
        path = PurePosixPath(original)
        folders = [folder.lower() for folder in path.parts[:-1]]
        for depth in range(len(folders) - 1):
            split, label = folders[depth : depth + 2]
            if split in SPLITS and label in CLASS_NAMES and is_photo(Path(path)):
                inside = "/".join((split, label, *path.parts[depth + 2 :]))
                roots["/".join(path.parts[:depth])][inside] = original
                break
    complete = {(split, label) for split in SPLITS for label in CLASS_NAMES}
    return {
        name: photos for name, photos in roots.items() if {PurePosixPath(path).parts[:2] for path in photos} == complete
    }
