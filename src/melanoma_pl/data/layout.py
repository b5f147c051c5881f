"""The layout of an image folder, and refusals of what is missing before anything heavy is imported."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from melanoma_pl.errors import UserError

CLASS_NAMES = ("benign", "malignant")
FOLDER_NAMES = {
    "nevus": "benign",
    "nevi": "benign",
    "naevus": "benign",
    "naevi": "benign",
    "mole": "benign",
    "normal": "benign",
    "melanoma": "malignant",
    "melanome": "malignant",
}
SPLIT_NAMES = {  # of folders and in tables, in upper or lower case
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")  # torchvision's
SPLIT_FILE = "split.csv"  # source and fold of each image of a folder
DRAWN_FILE = "synthetic.json"  # marks a folder of synthetic images
CUT_FOLDS = "cut folds: melanoma-data split <images> <target> --folds 5, then data.root=<target>"
LAYOUT = "<root>/{train,test}/{benign,malignant}"


def is_image(path: Path) -> bool:
    """Tell whether a file is an image by its name and its folders' names, which must not be hidden.

    Args:
        path: Relative to the folder that was searched.
    """
    is_hidden = any(part.startswith(".") for part in path.parts)
    return not is_hidden and path.suffix.lower() in ENDINGS


def split_of(name: str) -> str:
    """Return `train`, `validation` or `test` for a folder's name or a table's cell, empty if it names no split."""
    return SPLIT_NAMES.get(name.lower(), "")


def split_folders(root: Path, split: str) -> list[Path]:
    """Return the folders of a split, sorted: `root/train`, or `root/val` and `root/valid`."""
    return sorted(entry for entry in root.iterdir() if split_of(entry.name) == split and entry.is_dir())


def check_layout(
    root: Path,
    split: str,
    class_names: Sequence[str] = CLASS_NAMES,
    folder_names: Mapping[str, str] = FOLDER_NAMES,
) -> None:
    """Refuse a folder without a folder for the split, and say how to lay it out.

    Raises:
        UserError: If `root/<split>` does not exist.
    """
    if not root.exists():
        raise UserError(f"data.root={root} does not exist", f"give the folder of your images, laid out as {LAYOUT}")
    if not root.is_dir():
        raise UserError(f"data.root={root} is a file", f"give a folder, laid out as {LAYOUT}")
    if split_folders(root, split):
        return
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise UserError(f"data.root={root} holds no folders", f"lay your images out as {LAYOUT}")
    if any(name.lower() in {*class_names, *folder_names} for name in folders):
        raise UserError(
            f"data.root={root} holds class folders ({', '.join(folders)}) but no '{split}' folder",
            f"move them into {root / 'train'}, and images kept for the final evaluation into {root / 'test'}",
        )
    if split == "test" and (train := split_folders(root, "train")):
        raise UserError(
            f"data.root={root} has no 'test' folder",
            f"move about a fifth of the images (all images of a lesion together) from {train[0]} to {root / 'test'}",
        )
    raise UserError(
        f"data.root={root} has no '{split}' folder, only {', '.join(folders[:5])}", f"lay your images out as {LAYOUT}"
    )


def check_table(table: Path) -> None:
    """Refuse a table of images that does not exist.

    Raises:
        UserError: If it is missing or a folder.
    """
    if table.is_dir():
        raise UserError(f"data.table={table} is a folder", f"name a CSV file, or take data=folder data.root={table}")
    if not table.is_file():
        raise UserError(f"data.table={table} does not exist", "name a CSV file with a row per image")


def check_exclusion(exclude: Path) -> None:
    """Refuse a list of images to leave out that does not exist.

    Raises:
        UserError: If it is missing.
    """
    if not exclude.is_file():
        raise UserError(
            f"data.exclude={exclude} does not exist", "name a CSV file with a column image, or leave it out"
        )


def check_folds(root: Path, fold: int) -> None:
    """Refuse a fold of a folder whose images are not in folds.

    Raises:
        UserError: If the folder has no `split.csv`.
    """
    if not (root / SPLIT_FILE).is_file():
        raise UserError(f"data.fold={fold} needs {root / SPLIT_FILE}, which does not exist", CUT_FOLDS)
