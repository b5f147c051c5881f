"""The images of one split as a torchvision dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder

from melanoma_pl.data.labelled_images import class_folders, find_images
from melanoma_pl.data.layout import CLASS_NAMES, FOLDER_NAMES


class MoleFolder(ImageFolder):  # type: ignore[misc]
    """torchvision's `ImageFolder` with the classes, images and order that training uses.

    The classes are numbered by `class_names` instead of the alphabet, and hidden files are left out. Image `i` is the
    image `i` of `MoleDataModule.list_split`. Training itself reads whole batches, see `data/loader.py`.

    Args:
        directory: One split, a folder of class folders such as `images/train`.
        class_names: The two classes, the positive one last.
        folder_names: Other names of class folders → the class that they stand for.
        **options: `transform`, `target_transform` and `loader` of `ImageFolder`.

    Raises:
        UserError: If a folder stands for no class.
    """

    def __init__(
        self,
        directory: str | Path,
        class_names: Sequence[str] = CLASS_NAMES,
        folder_names: Mapping[str, str] = FOLDER_NAMES,
        **options: Any,
    ) -> None:
        self._names = class_names, folder_names
        super().__init__(str(directory), allow_empty=True, **options)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names and the index of each class folder's class."""
        class_names, folder_names = self._names
        return list(class_names), class_folders(Path(directory), class_names, folder_names)

    @staticmethod
    def make_dataset(directory: str | Path, class_to_idx: dict[str, int], *_: Any, **__: Any) -> list[tuple[str, int]]:
        """Return each image's file and target, sorted by class, then by path."""
        root = Path(directory)
        labels = [(file.relative_to(root).parts[0], str(file)) for file in find_images(root)]
        return sorted(((file, class_to_idx[name]) for name, file in labels if name in class_to_idx), key=lambda s: s[1])
