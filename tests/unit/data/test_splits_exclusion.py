"""Excluded images: left out of training only, counted, and an outdated list is refused."""

import logging
import os
from pathlib import Path

import pytest
from tests.conftest import draw_image

from melanoma_pl.data import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing


def module(root: Path, exclude: Path, **options: object) -> MoleDataModule:
    return MoleDataModule(root, preprocessing=Preprocessing(32), batch_size=8, exclude=exclude, **options)  # type: ignore[arg-type]


def write(path: Path, *images: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in ["image,reason,sha256", *(f"{image},leak,0" for image in images)]))
    return path


def test_training_leaves_them_out(image_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = ("train/benign/000.png", "train/malignant/003.png")
    exclude = write(tmp_path / "q.csv", *gone, "./test/benign/000.png")
    with caplog.at_level(logging.INFO):
        data = module(image_folder, exclude, group_column="group")
        data.setup("fit")
        data.shared_with_train(data.list_split("test"))
    paths = data.load("train").images.paths
    assert len(paths) == 38
    assert not set(gone) & set(paths)
    assert len(data.split("train")) + len(data.split("validation")) == 38
    assert "test/benign/000.png" in data.load("test").images.paths
    assert caplog.messages == [f"left out    2 training images that {exclude} names; 1 test images that it names stay"]


def test_they_are_left_out_before_the_validation_split_is_cut(image_folder: Path, tmp_path: Path) -> None:
    half = [f"train/benign/{number:03d}.png" for number in range(0, 20, 2)]
    data = module(image_folder, write(tmp_path / "q.csv", *half), validation_fraction=0.5)
    validation = data.split("validation")
    assert (len(validation), int(validation.targets.sum())) == (15, 10)


def test_the_fingerprint_follows(image_folder: Path, tmp_path: Path) -> None:
    whole = MoleDataModule(image_folder, preprocessing=Preprocessing(32)).load("train").fingerprint()
    assert module(image_folder, write(tmp_path / "none.csv")).load("train").fingerprint() == whole
    some = module(image_folder, write(tmp_path / "one.csv", "train/benign/000.png"))
    assert some.load("train").fingerprint() != whole


def test_a_broken_image_that_is_left_out_stops_nothing(own_image_folder: Path, tmp_path: Path) -> None:
    (own_image_folder / "train/benign/000.png").write_bytes(b"broken")
    module(own_image_folder, write(tmp_path / "q.csv", "train/benign/000.png")).setup("fit")


def test_lists_that_do_not_fit(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.exclude=.*no.csv does not exist"):
        module(image_folder, tmp_path / "no.csv").setup("fit")
    stale = write(tmp_path / "stale.csv", *(f"train/benign/{name}.png" for name in "abcd"), "test/benign/000.png")
    with pytest.raises(UserError) as error:
        module(image_folder, stale).setup("fit")
    gone = "(train/benign/a.png, train/benign/b.png, train/benign/c.png, …)"
    assert f"names 4 images that are not in {image_folder} {gone}" in str(error.value)
    (tmp_path / "column.csv").write_text("path\ntrain/benign/000.png\n")
    with pytest.raises(UserError, match=r"column.csv has no column 'image' \(data.exclude\)"):
        module(image_folder, tmp_path / "column.csv").setup("fit")
    everything = write(tmp_path / "all.csv", *(f"train/benign/{number:03d}.png" for number in range(0, 40, 2)))
    with pytest.raises(UserError, match="images of one class only are left"):
        module(image_folder, everything).setup("fit")


def test_without_a_test_split(own_image_folder: Path, tmp_path: Path) -> None:
    (own_image_folder / "test").rename(tmp_path / "elsewhere")
    module(own_image_folder, write(tmp_path / "q.csv", "train/benign/000.png")).setup("fit")
    with pytest.raises(UserError, match=r"names 1 images that are not in .*test/benign/000.png"):
        module(own_image_folder, write(tmp_path / "q.csv", "test/benign/000.png")).setup("fit")


def test_images_of_other_folders_are_not_trained_on_anyway(
    own_image_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw_image(own_image_folder / "unused/benign/0.png", malignant=False, seed=1)
    names = ("unused/benign/0.png", "train/benign/000.png", "test/benign/000.png")
    exclude = write(tmp_path / "q.csv", *names)
    with caplog.at_level(logging.INFO):
        assert len(module(own_image_folder, exclude).list_split("train")) == 39
    notes = "1 test images that it names stay; 1 images that it names are not trained on anyway"
    assert caplog.messages == [f"left out    1 training images that {exclude} names; {notes}"]
    with pytest.raises(UserError, match=r"names 1 images that are not in .*unused/benign/1.png"):
        module(own_image_folder, write(exclude, *names, "unused/benign/1.png")).setup("fit")


@pytest.mark.skipif(os.sep == "\\", reason="a backslash parts folders here")
@pytest.mark.parametrize("split", ["train", "test", "unused"])
def test_backslashes_in_a_files_name(split: str, own_image_folder: Path, tmp_path: Path) -> None:
    name = f"{split}/benign/back\\slash.png"
    draw_image(own_image_folder / name, malignant=False, seed=1)
    images = module(own_image_folder, write(tmp_path / "q.csv", name)).list_split("train")
    assert len(images) == 40
    assert name not in images.paths


def test_backslashes_between_folders(image_folder: Path, tmp_path: Path) -> None:
    exclude = write(tmp_path / "q.csv", "train\\benign\\000.png")
    assert "train/benign/000.png" not in module(image_folder, exclude).list_split("train").paths
