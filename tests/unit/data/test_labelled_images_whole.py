"""All images of a folder as one set, whatever its layout: what external sets are evaluated on."""

from pathlib import Path

import pytest
from tests.conftest import draw_image, write_image_folder

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.options import FOLDER_NAMES, DataOptions
from melanoma_pl.errors import UserError


@pytest.mark.parametrize("prefix", ["", "test/", "train/"])
def test_folders_with_and_without_splits(prefix: str, tmp_path: Path) -> None:
    for index, name in enumerate(("benign/1.png", "benign/more/2.png", "melanoma/1.png")):
        draw_image(tmp_path / f"{prefix}{name}", malignant="mel" in name, seed=index)
    images = list_split(tmp_path, "test", whole=True)
    assert images.paths == (f"{prefix}benign/1.png", f"{prefix}benign/more/2.png", f"{prefix}melanoma/1.png")
    assert images.targets.tolist() == [0, 0, 1] and set(images.splits) == {"test"}


def test_every_split_counts(tmp_path: Path) -> None:
    data = MoleDataModule(write_image_folder(tmp_path, train=6, test=4), whole=True)
    assert len(data.split("test")) == 10


def test_a_name_can_be_mapped_for_the_sets_that_have_it(tmp_path: Path) -> None:
    draw_image(tmp_path / "a/benign/1.png", malignant=False, seed=0)
    draw_image(tmp_path / "b/other/1.png", malignant=False, seed=1)
    options = DataOptions(folder_names={**FOLDER_NAMES, "other": "benign"})
    for name in "ab":
        assert list_split(tmp_path / name, "test", options, every_class=False, whole=True).targets.tolist() == [0]
    with pytest.raises(UserError, match=r"b holds the folder 'other', which .*data\.folder_names\.other="):
        list_split(tmp_path / "b", "test", every_class=False, whole=True)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no image of the class 'benign'"):
        list_split(tmp_path, "test", every_class=False, whole=True)
