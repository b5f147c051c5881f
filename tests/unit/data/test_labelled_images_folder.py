"""One split of a folder: classes by name, and errors about a wrong layout."""

from pathlib import Path

import pytest
from tests.conftest import draw_image

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.options import DataOptions, check_layout
from melanoma_pl.errors import UserError


def make(root: Path, *paths: str) -> Path:
    for index, path in enumerate(paths):
        draw_image(root / path, malignant="m" in path, seed=index)
    return root


def test_positive_class_is_last_whatever_the_alphabet_says(tmp_path: Path) -> None:
    root = make(tmp_path, "train/melanoma/1.png", "train/nevus/1.png", "train/nevus/2.JPG".lower())
    images = list_split(root, "train")
    assert dict(zip(images.paths, images.targets.tolist(), strict=True)) == {
        "train/melanoma/1.png": 1,
        "train/nevus/1.png": 0,
        "train/nevus/2.jpg": 0,
    }


@pytest.mark.parametrize("name", ["Melanoma", "melanome", "malignant"])
def test_folder_names_can_be_mapped(name: str, tmp_path: Path) -> None:
    root = make(tmp_path, f"train/{name}/1.png", "train/naevus/1.png")
    assert list_split(root, "train").targets.tolist() == [0, 1]


def test_own_classes(tmp_path: Path) -> None:
    root = make(tmp_path, "train/a/1.png", "train/b/1.png")
    images = list_split(root, "train", DataOptions(class_names=("b", "a"), folder_names={}))
    assert dict(zip(images.paths, images.targets.tolist(), strict=True)) == {"train/a/1.png": 1, "train/b/1.png": 0}


def test_hidden_folders_and_other_files_are_ignored(tmp_path: Path) -> None:
    root = make(tmp_path, "train/malignant/1.png", "train/benign/1.png", "train/.ipynb_checkpoints/1.png")
    make(root, "train/benign/.hidden.png", "train/benign/.ipynb_checkpoints/1-checkpoint.png")
    (root / "train/benign/Thumbs.db").write_text("")
    assert list_split(root, "train").paths == ("train/benign/1.png", "train/malignant/1.png")


def test_images_at_any_depth_of_a_class(tmp_path: Path) -> None:
    root = make(tmp_path, "train/malignant/2020/1.png", "train/benign/1.png")
    assert list_split(root, "train").paths == ("train/benign/1.png", "train/malignant/2020/1.png")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (("train/benign/1.png",), "no image of the class 'malignant'"),
        (("train/benign/1.png", "train/malignant/1.png", "train/malignent/1.png"), "did you mean 'malignant'"),
        (("benign/1.png", "malignant/1.png"), "holds class folders (benign, malignant)"),
        (("images/1.png",), "has no 'train' folder, only images"),
    ],
)
def test_errors_about_a_wrong_layout(paths: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        list_split(make(tmp_path, *paths), "train")
    assert expected in str(error.value)


def test_a_foreign_folder_without_images_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path, "train/benign/1.png", "train/malignant/1.png")
    (root / "train/bcc").mkdir()
    (root / "train/bcc/1.heic").write_bytes(b"an image in a format that is not read")
    with pytest.raises(UserError, match="holds the folder 'bcc', which is not a class"):
        list_split(root, "train")


def test_missing_roots(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        list_split(tmp_path / "nowhere", "train")
    with pytest.raises(UserError, match="holds no folders"):
        list_split(tmp_path, "train")
    root = make(tmp_path, "train/benign/1.png", "train/malignant/1.png")
    with pytest.raises(UserError, match="has no 'test' folder"):
        list_split(root, "test")
    with pytest.raises(UserError, match=r"data.root=.*1.png is a file"):
        check_layout(root / "train/benign/1.png", "train", DataOptions())
    with pytest.raises(UserError, match=r"data.root=.*1.png is a file"):
        MoleDataModule(root / "train/benign/1.png").list_split("train")


def test_take_keeps_everything_together(image_folder: Path) -> None:
    images = list_split(image_folder, "train")
    chosen = images.take([3, 1])
    assert chosen.paths == (images.paths[3], images.paths[1])
    assert chosen.targets.tolist() == [images.targets[3], images.targets[1]]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("bcc", "name its class: '+data.folder_names.bcc=<class>'"),
        ("basal cell", r"name its class: '+data.folder_names={basal\ cell: <class>}'"),
        ("nävus", ": move it away, or rename it"),
    ],
)
def test_advice_about_a_folder_that_is_not_a_class(name: str, advice: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        list_split(make(tmp_path, "train/benign/1.png", f"train/{name}/1.png"), "train")
    assert str(error.value).endswith(advice)
