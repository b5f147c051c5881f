"""`MoleFolder`: torchvision's dataset with the images, targets and order of training."""

from pathlib import Path

import pytest
from tests.conftest import draw_image
from torchvision.datasets import ImageFolder

from melanoma_pl.data import MoleFolder
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.options import DataOptions
from melanoma_pl.errors import UserError


def test_samples_are_the_images_of_training(own_image_folder: Path) -> None:
    for name in ("train/Nevus/b/1.png", "train/melanoma/1.png", "train/benign/.hidden.png", "train/__old/1.png"):
        draw_image(own_image_folder / name, malignant=False, seed=1)
    images = list_split(own_image_folder, "train")
    folder = MoleFolder(own_image_folder, transform=lambda image: image.size)
    assert isinstance(folder, ImageFolder)
    assert folder.classes == ["benign", "malignant"]
    assert [Path(file) for file, _ in folder.samples] == images.files
    assert folder.targets == images.targets.tolist()
    assert folder[0] == ((32, 32), 0)


def test_classes_are_numbered_by_their_names(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_image(tmp_path / "train" / name / "1.png", malignant=False, seed=1)
    assert MoleFolder(tmp_path, options=DataOptions(class_names=("b", "a"))).targets == [0, 1]
    with pytest.raises(UserError, match="the folder 'a', which is not a class"):
        MoleFolder(tmp_path)
