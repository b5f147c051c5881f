"""A training on all images, whose decision comes from the out-of-fold predictions of a cross-validation."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from melanoma_pl import evaluate, predict, train
from melanoma_pl.data.cache import memory_cache
from melanoma_pl.evaluation.decision import Decision, fit_decision
from tests.conftest import TINY, Command, write_image_folder

FOLDS = 2
ALL = ("data.validation_fraction=0", "checkpoint.evaluate=last")
RULE = {"rule": "sensitivity", "sensitivity": 0.95}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder with two folds."""
    root = write_image_folder(tmp_path_factory.mktemp("folds"))
    paths = sorted(path.relative_to(root).as_posix() for path in root.glob("train/*/*.png"))
    rows = "".join(f"{path},{index % FOLDS}\n" for index, path in enumerate(paths))
    (root / "split.csv").write_text(f"image,fold\n{rows}")
    return root


@pytest.fixture
def trained(run_command: Command, folds: Path) -> Callable[..., Any]:
    """`melanoma-train` on these images for one epoch."""
    return lambda *arguments: run_command(
        train.command, *TINY, "trainer.max_epochs=1", "data=folder", f"data.root={folds}", *arguments
    )


@pytest.fixture
def sweep(trained: Callable[..., Any], work_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation, trained once for all tests of this module."""
    kept = tmp_path_factory.getbasetemp() / "cross_validation"
    if not kept.is_dir():
        result = trained("-m", "checkpoint.evaluate=last", "data.fold=0,1", "hydra.sweep.dir=cv")
        assert result.code == 0, result.error
        assert "data.validation_fraction=0 checkpoint.evaluate=last threshold.from=cv" in result.output
        shutil.copytree("cv", kept)
    elif not Path("cv").exists():
        shutil.copytree(kept, "cv")
    return work_folder / "cv"


def out_of_fold(sweep: Path) -> Decision:
    """Fit the decision on the predictions that the jobs wrote."""
    tables = [(sweep / f"{job}/report/validation/predictions.csv").read_text() for job in range(FOLDS)]
    rows = [row for table in tables for row in csv.DictReader(table.splitlines())]
    assert len({row["path"] for row in rows}) == 40
    return fit_decision([float(row["logit"]) for row in rows], [int(row["label"] == "malignant") for row in rows], RULE)


def assert_decides(run: Path, expected: Decision, report: str = "report/test") -> None:
    told = read(run / report / "metrics.json")
    assert (told["temperature"], told["threshold"]) == pytest.approx((expected.temperature, expected.threshold))
    facts = told["report"]["facts"]
    assert facts["fitted on"] == "40 out-of-fold predictions of 2 other networks (cv)"
    assert "out-of-fold images" in facts["threshold"]
    assert told["report"]["decisions"][0]["name"] == "chosen out-of-fold"
    assert any("40 out-of-fold predictions" in note for note in told["notes"])


def test_the_decision_is_that_of_the_cross_validation(
    trained: Callable[..., Any], sweep: Path, run_command: Command, work_folder: Path, folds: Path
) -> None:
    expected = out_of_fold(sweep)
    result = trained(*ALL, "threshold.from=cv", "hydra.run.dir=full", "report=page")
    assert result.code == 0, result.error
    assert "decided on" in result.output and "40 out-of-fold predictions of 2 other networks (cv)" in result.output
    run = work_folder / "full"
    assert [path.name for path in (run / "checkpoints").glob("*.ckpt")] == ["last.ckpt"]
    with (run / "images.csv").open() as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    assert (splits.count("train"), splits.count("validation"), splits.count("test")) == (40, 0, 12)
    assert sorted(path.name for path in (run / "report").iterdir()) == ["checklist.md", "report.html", "test"]
    record = read(run / "run.json")
    assert (record["finished"], record["evaluated"]) == (True, "last.ckpt")
    assert not [tag for tag in record["figures"] if tag.startswith("val/")]
    assert record["decision"]["images"] == 40
    assert record["decision"]["threshold"] == pytest.approx(expected.threshold)
    saved = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["melanoma_pl"]
    assert saved["is_decided"] and saved["threshold"] == pytest.approx(expected.threshold)
    assert_decides(run, expected)
    for name in ("MODEL_CARD.md", "report/checklist.md", "report/report.html"):
        assert "40 out-of-fold predictions of 2 other networks" in (run / name).read_text(), name
    assert "epoch, temperature and threshold are chosen" not in (run / "report/checklist.md").read_text()

    shutil.rmtree(sweep)  # the run keeps the predictions
    assert run_command(evaluate.command, "run=full").code == 0
    assert_decides(run, expected)
    assert run_command(evaluate.command, "run=full", "tta=dihedral").code == 0
    assert_decides(run, expected, "report/test_dihedral")
    refused = run_command(evaluate.command, "run=full", "split=validation")
    assert (refused.code, "was trained on all images" in refused.error) == (2, True)

    predicted = run_command(predict.command, "--run", "full", str(folds / "test/benign/000.png"), "--csv", "p.csv")
    assert predicted.code == 0
    assert "fitted on 40 out-of-fold predictions of 2 other networks (cv)" in predicted.error
    assert "not fitted" not in predicted.error
    with Path("p.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["threshold"]) == pytest.approx(expected.threshold)

    resumed = run_command(train.command, "resume=full", "trainer.max_epochs=2")
    assert resumed.code == 0, resumed.error
    assert_decides(run, expected)
    assert read(run / "run.json")["decision"]["threshold"] == pytest.approx(expected.threshold)


@pytest.mark.slow
def test_an_ensemble_keeps_the_decision(
    trained: Callable[..., Any], sweep: Path, run_command: Command, work_folder: Path
) -> None:
    assert trained("-m", *ALL, "threshold.from=cv", "seed=1,2", "hydra.sweep.dir=seeds").code == 0
    assert read(work_folder / "seeds/0/run.json")["figures"] == {}
    result = run_command(evaluate.command, "run=[seeds/0,seeds/1]", "output=together")
    assert result.code == 0, result.error
    told, expected = read(work_folder / "together/metrics.json"), out_of_fold(sweep)
    assert (told["temperature"], told["threshold"]) == pytest.approx((expected.temperature, expected.threshold))
    assert told["report"]["facts"]["fitted on"] == "40 images with out-of-fold predictions"


def test_without_a_cross_validation_the_decision_is_marked(
    trained: Callable[..., Any], run_command: Command, work_folder: Path, folds: Path
) -> None:
    result = trained(*ALL, "hydra.run.dir=plain", "report=page")
    assert result.code == 0, result.error
    assert "at 0.5, uncalibrated" in result.output
    assert "nothing: temperature 1 and threshold 0.5" in result.output
    run = work_folder / "plain"
    told = read(run / "report/test/metrics.json")
    assert (told["temperature"], told["threshold"]) == (1.0, 0.5)
    assert read(run / "run.json")["decision"]["images"] == 0
    for name in ("MODEL_CARD.md", "report/report.html", "report/checklist.md"):
        assert "it decides at 0.5, uncalibrated" in (run / name).read_text(), name
    predicted = run_command(predict.command, "--run", "plain", str(folds / "test/benign/000.png"))
    assert "they are 1 and 0.5, uncalibrated" in predicted.error


def test_with_neither_validation_nor_test_nothing_is_evaluated(trained: Callable[..., Any], work_folder: Path) -> None:
    result = trained(*ALL, "test=false", "hydra.run.dir=closed")
    assert result.code == 0, result.error
    assert "not evaluated" in result.output
    record = read(work_folder / "closed/run.json")
    assert (record["finished"], record["figures"]) == (True, {})


def test_other_images_are_refused_before_any_is_decoded(
    trained: Callable[..., Any],
    sweep: Path,
    work_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    folds: Path,
) -> None:
    monkeypatch.setattr(memory_cache, "decode_images", lambda *_: pytest.fail("an image was decoded"))
    shutil.rmtree(sweep / "1")
    result = trained(*ALL, "threshold.from=cv", "hydra.run.dir=lacking")
    assert (result.code, "threshold.from=cv lacks 20 of the 40 training images" in result.error) == (2, True)
    assert not (work_folder / "lacking").exists()
    assert trained("-m", *ALL, "threshold.from=cv", "seed=1,2").code == 2
    assert not (work_folder / "outputs").exists()
