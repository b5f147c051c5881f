"""Options of the data module: the name, type, range, default and meaning of each. Light: no PyTorch.

`conf/data/*.yaml` gives the same options with the same defaults, and `config/schema.py` checks them by this class.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES

Fraction = Annotated[float, Field(gt=0, lt=1)]
Proportion = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Text = Annotated[str, BeforeValidator(lambda value: value if value is None else str(value))]
FilePath = Annotated[Path, BeforeValidator(lambda value: value if value is None else Path(str(value)))]


class DataOptions(BaseModel):
    """Options of `MoleDataModule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: FilePath | None = Field(
        None, description="CSV file with a row per image, instead of a folder; its paths start from its own folder."
    )
    label_column: Text = Field("label", description="Column of the table with the class.")
    split_column: Text = Field(
        "split", description="Column of the table with `train` or `test`; `validation` counts as `train`."
    )
    class_names: tuple[Text, Text] = Field(CLASS_NAMES, description="The two classes, the positive one last.")
    folder_names: dict[str, str] = Field(
        FOLDER_NAMES, description="Other names of class folders or labels → the class that they stand for."
    )
    batch_size: Count = Field(32, description="Images per training step and device.")
    drop_last: bool = Field(False, description="Whether to train on whole batches only.")
    num_workers: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto", description="Processes that read ahead; `auto` is 0 if decoded pixels are kept, else one per CPU core."
    )
    validation_fraction: Fraction = Field(0.2, description="Fraction of the train split to validate on.")
    validate_on: Literal["validation", "test"] = Field(
        "validation", description="The split to validate on; with `test` the test figures are worthless."
    )
    split_seed: Seed = Field(0, description="Seed of the cut between training and validation images.")
    fold: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Fold of `<root>/split.csv`, or of the table's column `fold`, to validate on; the other folds "
        "train. None cuts by `validation_fraction`.",
    )
    exclude: FilePath | None = Field(
        None, description="CSV file whose column `image` names images to leave out of training and validation."
    )
    limit: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Number of images to train on, spread over both classes; None is all."
    )
    metadata: Text | None = Field(
        "auto",
        description="CSV file with a row per image; `auto` is `<root>/metadata.csv` if it exists, or the table; None "
        "is no metadata.",
    )
    image_column: Text = Field("image", description="Column with the image's path relative to the root.")
    group_column: Text | None = Field(
        None, description="Column whose equal values mean one lesion; the cut keeps a lesion on one side."
    )
    without_row: Literal["stop", "own_group"] = Field(
        "stop", description="What happens to an image without metadata: an error, or it counts as a lesion of its own."
    )
    on_broken: Literal["stop", "skip"] = Field(
        "stop", description="What happens to an image that cannot be read: an error, or it is left out."
    )
    cache_fraction: Proportion = Field(
        0.5, description="Largest fraction of the machine's memory that decoded pixels may take."
    )
    cache_folder: FilePath | None = Field(
        Path("outputs/cache"),
        description="Folder for decoded pixels that exceed `cache_fraction`; None reads the files again each epoch.",
    )
    resident: Literal["auto"] | bool = Field(
        "auto", description="Whether decoded pixels lie on the training device; `auto` on a GPU with room for them."
    )


Function = TypeVar("Function", bound=Callable[..., Any])


def takes_options(function: Function) -> Function:
    """Show the fields of `DataOptions` in the signature and docstring of a function that takes them as `**options`."""
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    fields = DataOptions.model_fields.items()
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
        for name, field in fields
    ]
    function.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
    lines = [f"    {name}: {field.description}" for name, field in fields]
    function.__doc__ = "\n".join([function.__doc__ or "", "", "Options:", *lines])
    return function
