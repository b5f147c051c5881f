"""What an image folder must look like; light, so that a command can say what is wrong before anything heavy starts."""

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
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")  # torchvision's
SPLIT_FILE = "split.csv"  # where each image of a folder came from, and its fold
DRAWN_FILE = "synthetic.json"  # marks images that were drawn
CUT_FOLDS = "cut folds: melanoma-data split <images> <target> --folds 5, then data.root=<target>"
LAYOUT = "<root>/{train,test}/{benign,malignant}"


def check_layout(
    root: Path,
    split: str,
    class_names: Sequence[str] = CLASS_NAMES,
    folder_names: Mapping[str, str] = FOLDER_NAMES,
) -> None:
    """Tell what to do about a folder that is not in the layout.

    Raises:
        UserError: If `root/split` is missing.
    """
    if not root.exists():
        raise UserError(f"data.root={root} does not exist", f"give the folder of your images, laid out as {LAYOUT}")
    if not root.is_dir():
        raise UserError(f"data.root={root} is a file", f"give a folder, laid out as {LAYOUT}")
    if (root / split).is_dir():
        return
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise UserError(f"data.root={root} holds no folders", f"lay your images out as {LAYOUT}")
    known = {*class_names, *folder_names}
    if any(name.lower() in known for name in folders):
        raise UserError(
            f"data.root={root} holds class folders ({', '.join(folders)}) but no '{split}' folder",
            f"move them into {root / 'train'}, and images kept for the final evaluation into {root / 'test'}",
        )
    if "train" in folders and split == "test":
        raise UserError(
            f"data.root={root} has no 'test' folder",
            f"move about a fifth of the images (all of a lesion's together) from {root / 'train'} to {root / 'test'}",
        )
    raise UserError(
        f"data.root={root} has no '{split}' folder, only {', '.join(folders[:5])}", f"lay your images out as {LAYOUT}"
    )


def check_table(table: Path) -> None:
    """Tell what to do about a table of images that is not there.

    Raises:
        UserError: If it is missing or a folder.
    """
    if table.is_dir():
        raise UserError(f"data.table={table} is a folder", f"name a CSV file, or take data=folder data.root={table}")
    if not table.is_file():
        raise UserError(f"data.table={table} does not exist", "name a CSV file with a row an image")


def check_exclusion(exclude: Path) -> None:
    """Tell what to do about a list of images to leave out that is not there.

    Raises:
        UserError: If it is missing.
    """
    if not exclude.is_file():
        raise UserError(
            f"data.exclude={exclude} does not exist", "name a CSV file with a column image, or leave it out"
        )


def check_folds(root: Path, fold: int) -> None:
    """Tell what to do about a folder whose images are in no folds.

    Raises:
        UserError: If it has no `split.csv`.
    """
    if not (root / SPLIT_FILE).is_file():
        raise UserError(f"data.fold={fold} needs {root / SPLIT_FILE}, which does not exist", CUT_FOLDS)


def is_image(path: Path) -> bool:
    """Tell by its name, relative to the folder it was found in, whether a file should hold an image."""
    is_hidden = any(part.startswith(".") for part in path.parts)
    return not is_hidden and path.suffix.lower() in ENDINGS
