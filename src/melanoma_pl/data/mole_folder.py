"""The images of one split as a torchvision dataset."""

from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder

from melanoma_pl.data.labelled_images import DEFAULT_OPTIONS, list_split
from melanoma_pl.data.options import DataOptions


class MoleFolder(ImageFolder):  # type: ignore[misc]
    """torchvision's `ImageFolder` with the classes, the images and the order that training uses.

    Classes are numbered by `class_names` instead of the alphabet, and hidden files are left out. Sample `i` is the
    image `i` of `MoleDataModule.list_split`. Training itself reads whole batches, see `data/loader.py`.

    Args:
        root: The image folder, laid out as `{train,test}/{benign,malignant}`, or a CSV table of images.
        split: `train`, `validation` or `test`.
        options: Names of the classes, and of the columns of a table.
        **others: `transform`, `target_transform` and `loader` of `ImageFolder`.

    Raises:
        UserError: If the images are laid out otherwise.
    """

    def __init__(
        self, root: str | Path, split: str = "train", options: DataOptions = DEFAULT_OPTIONS, **others: Any
    ) -> None:
        self.images = list_split(Path(root), split, options)
        super().__init__(str(root), **others)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names and the target of each."""
        names = self.images.class_names
        return list(names), {name: target for target, name in enumerate(names)}

    def make_dataset(self, *_: Any, **__: Any) -> list[tuple[str, int]]:
        """Return each image's file and target."""
        return list(zip(map(str, self.images.files), self.images.targets.tolist(), strict=True))
