"""The list of a run's photos: written once, and compared with when the run goes on or is evaluated."""

import logging
from pathlib import Path

import pytest
from tests.conftest import SIZE

from melanoma_pl.data import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.runs import PHOTOS, Run
from melanoma_pl.runs.image_list import check_photos, compare_photos, listed_photos

SPLITS = ("train", "validation", "test")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run's folder, still empty."""
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


def module(root: Path) -> MoleDataModule:
    return MoleDataModule(root, preprocessing=Preprocessing(SIZE))


def test_every_photo_is_listed(run: Run, photo_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not check_photos(run, module(photo_folder), SPLITS)
    listed = listed_photos(run)
    assert listed is not None
    assert {name: sum(photo.split == name for photo in listed) for name in SPLITS} == {
        "train": 32,
        "validation": 8,
        "test": 12,
    }
    compare_photos(run, module(photo_folder), ["validation"])
    assert not caplog.records


def test_changed_photos_are_refused(run: Run, own_photo_folder: Path) -> None:
    check_photos(run, module(own_photo_folder), SPLITS)
    (own_photo_folder / "test/benign/000.png").rename(own_photo_folder / "test/benign/900.png")
    (own_photo_folder / "test/benign/002.png").write_bytes((own_photo_folder / "test/benign/004.png").read_bytes())
    with pytest.raises(UserError, match="1 added, 1 gone, 1 changed in content or split: put them back"):
        compare_photos(run, module(own_photo_folder), ["test"])


def test_an_old_run_without_a_list_is_let_pass(run: Run, photo_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        compare_photos(run, module(photo_folder), SPLITS)
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{run.folder} has no photos.csv: whether these are the photos that it began with cannot be checked"
    )


def test_a_damaged_list_is_said_in_one_line(run: Run, photo_folder: Path) -> None:
    (run.folder / PHOTOS).write_text("path,sha256\na,0\n")
    with pytest.raises(UserError, match=r"photos.csv cannot be read \(it has no column 'split'\)"):
        compare_photos(run, module(photo_folder), SPLITS)
