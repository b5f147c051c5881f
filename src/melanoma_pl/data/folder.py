"""`root/{train,test}/{benign,malignant}` → a list of photos, by torchvision's ImageFolder but with classes by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import ImageFolder

from melanoma_pl.data.layout import CLASS_NAMES, ENDINGS, FOLDER_NAMES, check_layout, is_photo
from melanoma_pl.errors import UserError, did_you_mean
from melanoma_pl.overrides import class_word


@dataclass(frozen=True)
class Photos:
    """Photos of one split: where they are, what they show, and which belong to one lesion.

    Attributes:
        root: The folder that `paths` are relative to.
        paths: N paths with `/`, sorted within a class.
        targets: int64 `(N,)`, 1 for the positive class, which is the last of `class_names`.
        groups: N names of lesions (photos of one lesion share one), or None where unknown.
    """

    root: Path
    paths: tuple[str, ...]
    targets: NDArray[np.int64]
    groups: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[Path]:
        """The photos' files."""
        return [self.root / path for path in self.paths]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "Photos":
        """Return some of the photos, in the order of `indices`."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            paths=tuple(self.paths[index] for index in chosen),
            targets=self.targets[chosen],
            groups=None if self.groups is None else tuple(self.groups[index] for index in chosen),
        )


def class_numbers(class_names: Sequence[str], folder_names: Mapping[str, str]) -> dict[str, int]:
    """Return every name that a class goes by, with the number of that class."""
    numbers = {name: number for number, name in enumerate(class_names)}
    return numbers | {name: numbers[meant] for name, meant in folder_names.items() if meant in numbers}


def number_of(name: str, numbers: Mapping[str, int]) -> int | None:
    """Return the number of the class that a name stands for, in upper or lower case; None if it stands for none."""
    return numbers.get(name.lower(), numbers.get(name))


class MoleFolder(ImageFolder):  # type: ignore[misc]
    """ImageFolder whose class numbers come from the class names, never from the alphabet.

    Args:
        directory: One split: a folder of class folders.
        class_names: In the order of their numbers, the positive class last.
        folder_names: Other names of class folders → the class they stand for.
        every_class: Whether each class needs a photo; without, one is enough in all.

    Raises:
        UserError: If a class has no photo or a folder stands for no class.
    """

    def __init__(
        self,
        directory: Path,
        class_names: Sequence[str] = CLASS_NAMES,
        folder_names: Mapping[str, str] = FOLDER_NAMES,
        *,
        every_class: bool = True,
    ) -> None:
        self._class_names = tuple(class_names)
        self._numbers = class_numbers(class_names, folder_names)
        super().__init__(
            str(directory), is_valid_file=lambda path: is_photo(Path(path).relative_to(directory)), allow_empty=True
        )
        if every_class or not self.targets:
            self._refuse_missing_class(directory)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the class names, and each class folder's number."""
        numbers: dict[str, int] = {}
        for folder in sorted(Path(directory).iterdir()):
            if not folder.is_dir() or folder.name.startswith((".", "__")):
                continue
            number = number_of(folder.name, self._numbers)
            if number is None:
                message = f"{directory} holds the folder '{folder.name}', which is no class"
                word = class_word(folder.name, "<class>")
                raise UserError(
                    f"{message}; {did_you_mean(folder.name, self._numbers)}",
                    f"move it away, rename it, or name its class: {word}" if word else "move it away, or rename it",
                )
            numbers[folder.name] = number
        return list(self._class_names), numbers

    def _refuse_missing_class(self, directory: Path) -> None:
        for number, name in enumerate(self._class_names):
            if number not in self.targets:
                raise UserError(
                    f"{directory} has no photo of the class '{name}'",
                    f"put photos ({', '.join(ENDINGS)}) into {directory / name}",
                )


def list_photos(
    root: Path,
    split: str,
    class_names: Sequence[str] = CLASS_NAMES,
    folder_names: Mapping[str, str] = FOLDER_NAMES,
    *,
    every_class: bool = True,
) -> Photos:
    """List one split of a photo folder.

    Args:
        root: Folder in the layout `root/{train,test}/{benign,malignant}`.
        split: `train` or `test`.
        class_names: In the order of their numbers, the positive class last.
        folder_names: Other names of class folders → the class they stand for.
        every_class: Whether each class needs a photo: it does for training.

    Raises:
        UserError: If the folder is missing or laid out otherwise; the message says what to do.
    """
    check_layout(root, split, class_names, folder_names)
    folder = MoleFolder(root / split, class_names, folder_names, every_class=every_class)
    relative = [Path(path).relative_to(root).as_posix() for path, _ in folder.samples]
    order = sorted(range(len(relative)), key=lambda index: (folder.targets[index], relative[index]))
    targets = np.array([folder.targets[index] for index in order], dtype=np.int64)
    return Photos(root, tuple(relative[index] for index in order), targets)
