"""Options of the data module, names in a dataset that they do not change, and checks of the paths. Light.

`conf/data/*.yaml` gives the same options with the same defaults, and `config/schema.py` checks them by this class.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from melanoma_pl.errors import UserError

Fraction = Annotated[float, Field(gt=0, lt=1)]
Proportion = Annotated[float, Field(ge=0, le=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Text = Annotated[str, BeforeValidator(lambda value: value if value is None else str(value))]
FilePath = Annotated[Path, BeforeValidator(lambda value: value if value is None else Path(str(value)))]

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
JPEG2000 = (".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c")
HEIC = (".heic", ".heif", ".hif")
NEEDED = {  # ending of a file → what reads it, beyond what every Pillow reads
    **dict.fromkeys(JPEG2000, "jpg_2000"),
    **dict.fromkeys((".avif", ".avifs"), "avif"),
    **dict.fromkeys(HEIC, "pi_heif"),
}
ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"),
    *(".jpe", ".jfif", ".mpo", ".gif", ".apng", ".dib", ".pbm", ".pnm", *NEEDED),
)
SPLIT_FILE = "split.csv"  # source and fold of each image of a folder
DRAWN_FILE = "synthetic.json"  # marks a folder of synthetic images

CUT_FOLDS = "cut folds: melanoma-data split <images> <target> --folds 5, then data.root=<target>"
LAYOUT = "<root>/{train,test}/{benign,malignant}"


def check_class_names(names: Any) -> Any:
    """Return the names of the two classes, if the one that means benign is not the positive one.

    Raises:
        ValueError: If there are not two, or their order is reversed.
    """
    if not isinstance(names, list | tuple) or len({str(name).lower() for name in names}) != 2 or len(names) != 2:
        raise ValueError(
            "name two classes, the positive one last; data.folder_names counts further names as one of them"
        )
    negative, positive = map(str, names)
    meanings = {**FOLDER_NAMES, **{name: name for name in CLASS_NAMES}}
    if meanings.get(negative.lower()) == "malignant" or meanings.get(positive.lower()) == "benign":
        raise ValueError(f"the positive class comes last: data.class_names=[{positive},{negative}]")
    return names


ClassNames = Annotated[tuple[Text, Text], BeforeValidator(check_class_names)]


def check_condition(text: str) -> str:
    """Return a condition on a column of the metadata.

    Raises:
        ValueError: If it is not of the form `column=value`.
    """
    column, equals, value = text.partition("=")
    if not (column.strip() and equals and value.strip()):
        raise ValueError("write column=value, such as in_ham10000=1")
    return text


Condition = Annotated[Text, AfterValidator(check_condition)]


def option(default: Any, meaning: str) -> Any:
    """Return a field of `DataOptions`."""
    return Field(default, description=meaning)


class DataOptions(BaseModel):
    """Options of `MoleDataModule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: FilePath | None = option(None, "CSV file with a row per image, instead of a folder.")
    label_column: Text = option("label", "Column of the table with the class.")
    split_column: Text = option("split", "Column of the table with `train`, `validation` or `test`.")
    class_names: ClassNames = option(CLASS_NAMES, "The two classes, the positive one last.")
    folder_names: dict[str, str] = option(FOLDER_NAMES, "Other names of classes → the class that they stand for.")
    batch_size: Count = option(32, "Images per training step and device.")
    drop_last: bool = option(False, "Whether to train on whole batches only.")
    num_workers: Literal["auto"] | Natural = option("auto", "Processes that read ahead; `auto`: 0 with a cache.")
    validation_fraction: Part = option(0.2, "Fraction of train to validate on, without a validation split; 0: none.")
    validate_on: Literal["validation", "test"] = option("validation", "With `test`, the test figures are worthless.")
    split_seed: Seed = option(0, "Seed of the cut between training and validation images.")
    fold: Natural | None = option(None, "Fold of `<root>/split.csv` or the table to validate on; None does not use it.")
    exclude: FilePath | None = option(None, "CSV file whose column `image` names images not to train or validate on.")
    where: Condition | None = option(
        None, "Condition `column=value` of the metadata that training and validation images fulfil."
    )
    balance: tuple[Text, ...] | None = option(
        None, "Columns of the metadata, or `label`, that the sampling of training images makes independent."
    )
    sampler: Literal["natural", "balanced"] = option(
        "natural", "`balanced`: an epoch has every malignant image, and benign ones drawn anew."
    )
    benign_per_malignant: Annotated[float, Field(gt=0, allow_inf_nan=False)] = option(
        1.0, "Benign images per malignant one in an epoch of the balanced sampler."
    )
    limit: Annotated[int, Field(ge=2)] | None = option(None, "Images to train on, of both classes; None is all.")
    metadata: Text | None = option("auto", "CSV file; `auto`: `<root>/metadata.csv` if it exists, or the table.")
    image_column: Text = option("image", "Column with the image's path relative to the root or the table's folder.")
    group_column: Text | None = option(None, "Column whose equal values mean one lesion; a cut keeps it on one side.")
    without_row: Literal["stop", "own_group"] = option("stop", "An image without metadata: an error, or a lesion.")
    on_broken: Literal["stop", "skip"] = option("stop", "An unreadable image: an error, or left out.")
    cache_fraction: Proportion = option(0.5, "Largest fraction of the memory for decoded pixels of all splits.")
    cache_folder: FilePath | None = option(Path("outputs/cache"), "For pixels beyond it; None reads the files again.")
    resident: Literal["auto"] | bool = option("auto", "Pixels lie on the training device; `auto`: on a GPU with room.")

    @property
    def trains_on_all(self) -> bool:
        """True if no image is held out for validation: the network is trained on every training image."""
        return self.validation_fraction == 0 and self.fold is None and self.validate_on == "validation"

    @property
    def known_names(self) -> dict[str, str]:
        """Every name of a class folder or label → the class that it stands for."""
        own = {name: name for name in self.class_names}
        return own | {name: meant for name, meant in self.folder_names.items() if meant in own}

    def class_of(self, name: str) -> str | None:
        """Return the class that a folder's name or a label stands for, in upper or lower case, or None."""
        return self.known_names.get(name.lower(), self.known_names.get(name))


Function = TypeVar("Function", bound=Callable[..., Any])


def takes_options(function: Function) -> Function:
    """Show the fields of `DataOptions` in the signature and docstring of a function that takes them as `**options`."""
    signature, fields = inspect.signature(function), DataOptions.model_fields.items()
    *own, _ = signature.parameters.values()
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
        for name, field in fields
    ]
    function.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    lines = [f"    {name}: {field.description}" for name, field in fields]
    function.__doc__ = "\n".join([function.__doc__ or "", "", "Options:", *lines])
    return function


def is_image(path: Path) -> bool:
    """Tell whether a file is an image by its name and its folders' names, which must not be hidden.

    Args:
        path: Relative to the folder that was searched.
    """
    is_hidden = any(part.startswith(".") for part in path.parts)
    ending = path.suffix.lower()
    return not is_hidden and ending in ENDINGS and is_readable(ending)


@cache
def is_readable(ending: str) -> bool:
    """Tell whether this machine reads images whose files have an ending of `ENDINGS`."""
    needed = NEEDED.get(ending)
    if needed is None or needed == "pi_heif":
        return needed is None or find_spec(needed) is not None
    from PIL import features

    return bool(features.check(needed))


def split_of(name: str) -> str:
    """Return `train`, `validation` or `test` for a folder's name or a table's cell, empty if it names no split."""
    return SPLIT_NAMES.get(name.lower(), "")


def split_folders(root: Path, split: str) -> list[Path]:
    """Return the folders of a split, sorted: `root/train`, or `root/val` and `root/valid`."""
    return sorted(entry for entry in root.iterdir() if split_of(entry.name) == split and entry.is_dir())


def check_image_paths(root: Path | None, options: DataOptions, splits: Sequence[str]) -> None:
    """Refuse folders, tables and lists that do not exist, before anything heavy is imported.

    Args:
        root: The image folder; None for a table, or for synthetic images that are drawn later.
        options: The options that name the other paths.
        splits: Those of `train` and `test` that will be needed.

    Raises:
        UserError: If one does not exist.
    """
    exclude, table = options.exclude, options.table
    if exclude is not None and not exclude.is_file():
        way_out = "name a CSV file with a column image, or leave it out"
        raise UserError(f"data.exclude={exclude} does not exist", way_out)
    if table is not None and table.is_dir():
        raise UserError(f"data.table={table} is a folder", f"name a CSV file, or take data=folder data.root={table}")
    if table is not None and not table.is_file():
        raise UserError(f"data.table={table} does not exist", "name a CSV file with a row per image")
    if table is None and root is not None:
        for split in splits:
            check_layout(root, split, options)
        if options.fold is not None and "train" in splits and not (root / SPLIT_FILE).is_file():
            raise UserError(f"data.fold={options.fold} needs {root / SPLIT_FILE}, which does not exist", CUT_FOLDS)


def check_layout(root: Path, split: str, options: DataOptions) -> None:
    """Refuse a folder without a folder for the split, and say how to lay it out.

    Raises:
        UserError: If `root/<split>` does not exist.
    """
    if not root.is_dir():
        problem = "is a file" if root.exists() else "does not exist"
        raise UserError(f"data.root={root} {problem}", f"give the folder of your images, laid out as {LAYOUT}")
    if split_folders(root, split):
        return
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise UserError(f"data.root={root} holds no folders", f"lay your images out as {LAYOUT}")
    if any(options.class_of(name) for name in folders):
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
