"""Each command decides with a temperature and a threshold that were fitted with the weights that it evaluates."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from melanoma_pl import MelanomaClassifier, evaluate, predict, predict_images, train
from melanoma_pl.data import MoleDataModule
from melanoma_pl.evaluation.decision import Decision, fit_decision
from melanoma_pl.inference.extras import extras_file
from melanoma_pl.inference.prediction import predict_logits, split_batches
from melanoma_pl.preprocessing import Preprocessing
from tests.conftest import SIZE, TINY, Command, draw_image, only_run

LAST = "checkpoint.evaluate=last"
EVERY_SECOND = ["+trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3"]
CASES = {
    "the last steps come after the last validation": ["+trainer.max_steps=5", LAST],
    "validation within an epoch": ["+trainer.val_check_interval=3"],
    "validation within an epoch, last": ["+trainer.val_check_interval=3", LAST],
    "validation every second epoch": EVERY_SECOND,
    "validation every second epoch, last": [*EVERY_SECOND, LAST],
    "no validation": ["+trainer.limit_val_batches=0", LAST],
    "best without a validation": [*EVERY_SECOND, "checkpoint.monitor=train/loss"],
    "weighted": ["loss.pos_weight=3", "threshold=youden"],
}


@pytest.fixture
def command(run_command: Command) -> Callable[..., Path]:
    """`melanoma-train` on images of a folder; returns the run's folder."""

    def run(root: Path, *arguments: str) -> Path:
        options = [*TINY, "data=folder", f"data.root={root}", "optimizer.lr=1e-2"]
        result = run_command(train.command, *options, *arguments)
        assert result.code == 0, result.error
        return only_run(Path.cwd())

    return run


def read(path: Path) -> dict:  # type: ignore[type-arg]
    found: dict = json.loads(path.read_text())  # type: ignore[type-arg]
    return found


def fitted_now(checkpoint: Path, root: Path) -> Decision:
    """Fit temperature and threshold with a checkpoint's weights on its validation images."""
    classifier = MelanomaClassifier.load_from_checkpoint(checkpoint)
    split = MoleDataModule(root, preprocessing=Preprocessing(SIZE)).split("validation")
    logits = predict_logits(classifier, split_batches(split, "validation"))
    return fit_decision(logits, split.targets.numpy(), classifier.threshold_rule)


def decision_of(run: Path, split: str = "test") -> tuple[float, float]:
    told = read(run / f"report/{split}/metrics.json")
    return told["temperature"], told["threshold"]


def assert_predictions_agree(run: Path, root: Path, run_command: Command) -> list[float]:
    """Compare the report, `melanoma-predict` and `predict_images`, and return the probabilities of the test images."""
    with (run / "report/test/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    paths = [str(root / row["path"]) for row in rows]
    reported = [float(row["probability"]) for row in rows]
    answer = run_command(
        predict.command, "--run", str(run), *paths, "--csv", "predicted.csv", "--names", "benign,malignant"
    )
    assert answer.code == 0, answer.error
    assert "not fitted" not in answer.error
    with Path("predicted.csv").open() as file:
        predicted = list(csv.DictReader(file))
    assert [float(row["probability"]) for row in predicted] == pytest.approx(reported, abs=1e-6)
    assert [row["decision"] for row in predicted] == [row["decision"] for row in rows]
    found = predict_images(run, list(paths))
    assert [each.probability for each in found] == pytest.approx(reported, abs=1e-6)
    assert {each.threshold for each in found} == {decision_of(run)[1]}
    return reported


@pytest.mark.parametrize("case", CASES)
def test_the_decision_is_that_of_the_evaluated_weights(
    case: str, command: Callable[..., Path], run_command: Command, image_folder: Path
) -> None:
    run = command(image_folder, *CASES[case])
    checkpoint = run / "checkpoints" / read(run / "run.json")["evaluated"]
    fitted = fitted_now(checkpoint, image_folder)
    expected = pytest.approx((fitted.temperature, fitted.threshold))
    assert decision_of(run) == decision_of(run, "validation") == expected
    saved = torch.load(checkpoint, weights_only=True)["melanoma_pl"]
    told = read(run / "report/test/metrics.json")["report"]
    if saved["is_decided"]:
        assert (saved["temperature"], saved["threshold"]) == expected
        assert told["facts"]["fitted on"] == "its validation images"
    else:
        assert (saved["temperature"], saved["threshold"]) == (1.0, 0.5)
        assert told["facts"]["fitted on"] == "8 validation images"
        decision = torch.load(extras_file(checkpoint), weights_only=True)["decision"]
        assert (decision["temperature"], decision["threshold"]) == expected
    assert told["decisions"][0]["name"] == "chosen on validation"
    assert_predictions_agree(run, image_folder, run_command)
    before = decision_of(run)
    assert run_command(evaluate.command, f"run={run}").code == 0
    assert decision_of(run) == before
    assert read(run / "report/test/metrics.json")["report"]["facts"]["fitted on"] == "its validation images"


def test_both_checkpoints_of_a_run_have_their_own_decision(
    command: Callable[..., Path], run_command: Command, image_folder: Path
) -> None:
    run = command(image_folder, "+trainer.val_check_interval=3")
    last = run / "checkpoints/last.ckpt"
    assert not torch.load(last, weights_only=True)["melanoma_pl"]["is_decided"]
    image = str(next((image_folder / "test/benign").iterdir()))
    assert "not fitted with these weights" in run_command(predict.command, "--checkpoint", str(last), image).error
    assert run_command(evaluate.command, f"run={run}", "checkpoint=last").code == 0
    fitted = fitted_now(last, image_folder)
    assert decision_of(run, "test_last") == pytest.approx((fitted.temperature, fitted.threshold))
    assert "not fitted" not in run_command(predict.command, "--checkpoint", str(last), image).error


def test_a_job_of_a_sweep_decides_like_a_run(run_command: Command, image_folder: Path, work_folder: Path) -> None:
    options = [*TINY, "data=folder", f"data.root={image_folder}", "optimizer.lr=1e-2", "seed=1,2"]
    assert run_command(train.command, "-m", *options, "+trainer.max_steps=5", LAST).code == 0
    jobs = [record.parent for record in work_folder.glob("outputs/**/run.json")]
    assert len(jobs) == 2
    image = str(next((image_folder / "test/benign").iterdir()))
    for job in jobs:
        assert "not fitted" not in run_command(predict.command, "--run", str(job), image).error
        (prediction,) = predict_images(job, image)
        assert prediction.threshold == decision_of(job, "validation")[1]


def test_probabilities_under_a_balanced_loss_are_those_of_the_images(
    command: Callable[..., Path], run_command: Command, work_folder: Path
) -> None:
    """One image in ten is malignant, and one of four images looks like the other class."""
    root = work_folder / "rare"
    for split, count, first in (("train", 320, 0), ("test", 160, 1000)):
        for index in range(count):
            is_malignant = index % 10 == 0
            path = root / split / ("malignant" if is_malignant else "benign") / f"{index:03d}.png"
            draw_image(path, is_malignant != (index // 10 % 4 == 0), seed=first + index)
    run = command(root, "loss.pos_weight=balanced", "trainer.max_epochs=8")
    probabilities = assert_predictions_agree(run, root, run_command)
    assert np.mean(probabilities) == pytest.approx(0.1, abs=0.04)
    told = read(run / "report/test/metrics.json")["report"]
    assert told["sets"][0]["ranking"]["auroc"]["value"] > 0.6
    assert 0.01 < told["decisions"][0]["threshold"] < 0.3, "the threshold is a probability at this prevalence as well"


def test_a_training_without_a_best_epoch_is_refused(
    run_command: Command, image_folder: Path, work_folder: Path
) -> None:
    options = [*TINY, "data=folder", f"data.root={image_folder}", "+trainer.max_steps=3"]
    result = run_command(train.command, *options)
    assert result.code == 2
    assert "would end after 3 batches and validate after 4" in result.error
    assert "checkpoint.evaluate=last" in result.error and len(result.error.strip().splitlines()) == 1
    assert not list(work_folder.glob("outputs/**/run.json"))
    assert run_command(train.command, *options, LAST).code == 0
