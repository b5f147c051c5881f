"""The list of a run's images: written once, and compared with when the run goes on or is evaluated."""

import logging
from pathlib import Path
from typing import TextIO

import pytest
from tests.conftest import SIZE

from melanoma_pl.data import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.files import TableReader, write_atomically
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.runs import IMAGES, Run, image_list
from melanoma_pl.runs.image_list import check_images, check_out_of_fold, compare_images, listed_images
from melanoma_pl.runs.predictions import OutOfFold

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


def test_a_list_is_read_once_and_again_after_it_has_changed(
    run: Run, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_images(run, module(image_folder), SPLITS)
    readings: list[TextIO] = []
    monkeypatch.setattr(image_list, "TableReader", lambda file: readings.append(file) or TableReader(file))
    first = listed_images(run)
    compare_images(run, module(image_folder), SPLITS)
    assert listed_images(run) is first and len(readings) == 1
    table = run.folder / IMAGES
    with write_atomically(table) as file:
        file.write(table.read_text().replace("train/benign/000.png", "train/benign/900.png"))
    assert listed_images(run) != first and len(readings) == 2
    assert {"train/benign/900.png"} == {image.path for image in listed_images(run)["train"]} - {
        image.path for image in first["train"]
    }


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


PREDICTED = [OutOfFold(f"{name}.png", f"hash of {name}", "benign", 0.5, "cv/0") for name in "abc"]
TRAINED_ON = {each.path: (each.sha256, each.label) for each in PREDICTED}
TESTED = {"t.png": "hash of t"}


def test_predictions_of_the_training_images_are_taken() -> None:
    check_out_of_fold(PREDICTED, TRAINED_ON, TESTED, "cv")
    moved = [each._replace(path=f"elsewhere/{each.path}") for each in PREDICTED]
    check_out_of_fold(moved, TRAINED_ON, TESTED, "cv")
    without_hashes = [each._replace(sha256="") for each in PREDICTED]
    check_out_of_fold(without_hashes, TRAINED_ON, TESTED, "cv")
    check_out_of_fold(PREDICTED[:2], TRAINED_ON, TESTED, "cv", may_lack=True)


@pytest.mark.parametrize("with_hashes", [True, False])
@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        (PREDICTED[:2], "cv lacks 1 of the 3 training images"),
        ([*PREDICTED, PREDICTED[0]._replace(path="t.png", sha256="hash of t")], "cv predicts 1 test image"),
        (
            [*PREDICTED, PREDICTED[0]._replace(path="x.png", sha256="hash of x")],
            "cv predicts 1 image that this run does not train on",
        ),
        ([*PREDICTED[:2], PREDICTED[2]._replace(label="malignant")], "cv has another label for 1 image"),
    ],
)
def test_predictions_of_other_images_are_refused(predicted: list[OutOfFold], expected: str, with_hashes: bool) -> None:
    known = predicted if with_hashes else [each._replace(sha256="") for each in predicted]
    with pytest.raises(UserError, match=expected):
        check_out_of_fold(known, TRAINED_ON, TESTED, "cv")


def test_changed_content_is_another_image() -> None:
    changed = [PREDICTED[0]._replace(sha256="other"), *PREDICTED[1:]]
    with pytest.raises(UserError, match=r"lacks 1 of the 3 training images and predicts 1 image that"):
        check_out_of_fold(changed, TRAINED_ON, TESTED, "cv")
