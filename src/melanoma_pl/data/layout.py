"""Names in a dataset: of classes, splits, image files, and of the files that the program writes beside them."""

from pathlib import Path

CLASS_NAMES = ("benign", "malignant")
FOLDER_NAMES = {  # other names of class folders → the class that they stand for
    **dict.fromkeys(("nevus", "nevi", "naevus", "naevi", "mole", "normal"), "benign"),
    **dict.fromkeys(("melanoma", "melanome"), "malignant"),
}
SPLIT_NAMES = {  # names of folders and cells of tables, in upper or lower case → the split
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")  # torchvision's
SPLIT_FILE = "split.csv"  # source and fold of each image of a folder
DRAWN_FILE = "synthetic.json"  # marks a folder of synthetic images


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
