"""The out-of-fold predictions of a cross-validation, and the sweeps that cannot decide for a run."""

import csv
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.runs.run_examples import write_run

from melanoma_pl.config.composition import jobs_beforehand
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.errors import UserError
from melanoma_pl.runs.image_list import ListedImage
from melanoma_pl.specs import validated
from melanoma_pl.training.cross_validation import read_cross_validation

FOLDS = 3
BASE = ("data=folder", "data.root=images", "data.image_size=32")
ALL = ("data.validation_fraction=0", "checkpoint.evaluate=last", "threshold.from=cv")


def config_with(*overrides: str) -> dict[str, Any]:
    return next(jobs_beforehand("train", [*BASE, *overrides]))


def settings(*overrides: str) -> TrainSettings:
    return validated(TrainSettings, config_with(*ALL, *overrides))


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_job(folder: Path, fold: int, *overrides: str, splits: Sequence[str] = ("validation",)) -> Path:
    """Write a finished job whose fold are the images `<fold>0.png` and `<fold>1.png`."""
    write_run(folder, in_sweep=True, overrides=[f"data.fold={fold}", *overrides])
    record = json.loads((folder / "run.json").read_text())
    record["config"] = config_with(f"data.fold={fold}", "checkpoint.evaluate=last", *overrides)
    (folder / "run.json").write_text(json.dumps(record))
    held_out = [f"train/{label}/{fold}{index}.png" for index, label in enumerate(("benign", "malignant"))]
    listed = [
        ListedImage(path, split, path.split("/")[1], "", f"hash of {path}") for split in splits for path in held_out
    ]
    write_table(folder / "images.csv", [image._asdict() for image in listed])
    rows = [
        {"path": path, "probability": 0.5, "decision": "benign", "label": path.split("/")[1], "logit": fold + 0.25}
        for path in held_out
    ]
    write_table(folder / "report/validation/predictions.csv", rows)
    return folder


@pytest.fixture(autouse=True)
def cross_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of three folds."""
    monkeypatch.chdir(tmp_path)
    for fold in range(FOLDS):
        write_job(Path(f"cv/{fold}"), fold)
    return Path("cv")


def test_each_image_has_the_prediction_of_its_fold() -> None:
    found = read_cross_validation(settings())
    assert len(found) == 2 * FOLDS
    for each in found:
        fold = int(each.path[-6])
        assert (each.logit, Path(each.network)) == (fold + 0.25, Path(f"cv/{fold}"))
        assert each.sha256 == f"hash of {each.path}"
        assert each.label == each.path.split("/")[1]


def test_jobs_of_other_settings_do_not_count(caplog: pytest.LogCaptureFixture) -> None:
    for fold in range(FOLDS):
        write_job(Path(f"cv/{FOLDS + fold}"), fold, "optimizer.lr=0.01")
    found = read_cross_validation(settings("optimizer.lr=0.01"), warns=True)
    assert {each.network for each in found} == {f"cv/{FOLDS + fold}" for fold in range(FOLDS)}
    assert not caplog.records


def test_a_smaller_difference_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert len(read_cross_validation(settings("optimizer.lr=0.02"), warns=True)) == 2 * FOLDS
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "optimizer.lr=0.001 instead of 0.02" in record.getMessage()


def no_report(sweep: Path) -> None:
    shutil.rmtree(sweep / "1/report")


def change(**values: Any) -> Callable[[Path], None]:
    def changed(sweep: Path) -> None:
        record = json.loads((sweep / "1/run.json").read_text())
        (sweep / "1/run.json").write_text(json.dumps(record | values))

    return changed


def no_fold(sweep: Path) -> None:
    record = json.loads((sweep / "1/run.json").read_text())
    record["config"]["data"]["fold"] = None
    (sweep / "1/run.json").write_text(json.dumps(record))


UNSUITABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "threshold.from=cv does not exist"),
    "no job": (lambda sweep: [shutil.rmtree(job) for job in sweep.iterdir()], "threshold.from=cv is no sweep"),
    "no fold": (no_fold, "holds jobs without data.fold"),
    "a stopped job": (change(finished=False), "job 1 did not finish .stopped..*resume=cv/1"),
    "a failed job": (change(finished=False, error="no luck"), "job 1 did not finish .no luck."),
    "no predictions": (no_report, "job 1 has no predictions of its fold.*melanoma-evaluate run=cv/1 split=validation"),
    "a seed more": (lambda sweep: write_job(sweep / "3", 1, "seed=5"), "predicts 2 images more than once"),
    "weights that know them": (
        lambda sweep: write_job(sweep / "1", 1, splits=("validation", "weights/train")),
        "weights that job 1 began with have learnt from 2 of the 2 images",
    ),
}


@pytest.mark.parametrize("case", UNSUITABLE)
def test_what_cannot_decide_is_refused(case: str, cross_validation: Path) -> None:
    damage, expected = UNSUITABLE[case]
    damage(cross_validation)
    with pytest.raises(UserError, match=expected):
        read_cross_validation(settings())


def test_a_run_is_no_sweep(cross_validation: Path) -> None:
    with pytest.raises(UserError, match=r"threshold\.from=cv/0 is a run"):
        read_cross_validation(settings(f"threshold.from={cross_validation / '0'}"))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.image_size=40", "data.image_size=32 instead of 40"),
        ("data.normalisation=imagenet", "data.normalisation=none instead of imagenet"),
        ("data.class_names=[nevus,malignant]", "data.class_names="),
        ("model.hidden=9", "model.hidden=100 instead of 9"),
        ("loss.label_smoothing=0.1", "loss.label_smoothing=0.0 instead of 0.1"),
    ],
)
def test_another_recipe_is_refused(override: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        read_cross_validation(settings(override))
    assert told in str(error.value)


def test_copies_in_other_folds_are_told(cross_validation: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_job(cross_validation / "1", 1, splits=("validation", "train"))
    read_cross_validation(settings())
    assert "job 1 has trained on copies of 2 of the 2 images of its fold" in caplog.text
