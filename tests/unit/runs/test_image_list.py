"""The list of a run's images: written once, and compared with when the run goes on or is evaluated."""

import logging
from pathlib import Path

import pytest
from tests.conftest import SIZE

from melanoma_pl.data import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.runs import IMAGES, Run
from melanoma_pl.runs.image_list import check_images, compare_images, listed_images

SPLITS = ("train", "validation", "test")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run's folder, still empty."""
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


def module(root: Path) -> MoleDataModule:
    return MoleDataModule(root, preprocessing=Preprocessing(SIZE))


def test_every_image_is_listed(run: Run, image_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not check_images(run, module(image_folder), SPLITS)
    listed = listed_images(run)
    assert {name: len(images) for name, images in listed.items()} == {
        "train": 32,
        "validation": 8,
        "test": 12,
    }
    compare_images(run, module(image_folder), ["validation"])
    assert not caplog.records


def test_changed_images_are_refused(run: Run, own_image_folder: Path) -> None:
    check_images(run, module(own_image_folder), SPLITS)
    (own_image_folder / "test/benign/000.png").rename(own_image_folder / "test/benign/900.png")
    (own_image_folder / "test/benign/002.png").write_bytes((own_image_folder / "test/benign/004.png").read_bytes())
    with pytest.raises(UserError, match="1 added, 1 removed, 1 changed"):
        compare_images(run, module(own_image_folder), ["test"])


def test_a_run_without_a_list_passes_with_a_warning(
    run: Run, image_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        compare_images(run, module(image_folder), SPLITS)
    (record,) = caplog.records
    assert f"{run.folder} has no images.csv" in record.getMessage()


def test_a_damaged_list_is_refused_by_name(run: Run, image_folder: Path) -> None:
    (run.folder / IMAGES).write_text("path,sha256\na,0\n")
    with pytest.raises(UserError, match=r"images.csv cannot be read \(it lacks 'split'\)"):
        compare_images(run, module(image_folder), SPLITS)


@pytest.mark.parametrize("content", ["", "path,split,label,group,sha256\n"])
def test_an_empty_list_is_refused(run: Run, image_folder: Path, content: str) -> None:
    (run.folder / IMAGES).write_text(content)
    with pytest.raises(UserError, match=r"images\.csv is empty"):
        compare_images(run, module(image_folder), SPLITS)
