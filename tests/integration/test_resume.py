"""Resumed equals uninterrupted: the same bits of weights, optimizer and figures, however the run ended."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from tests.conftest import TINY, only_run

RECIPE = [
    *TINY,
    "data=folder",
    "augmentation=dermoscopy",
    "scheduler=one_cycle",
    "trainer.max_epochs=3",
    "data.group_column=group",
    "optimizer.lr=0.003",
    "callbacks.early_stopping={_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:val/auroc,mode:max}",
    "model.initial_weights=keras",
]
TIMES = {"train/seconds", "train/images_per_second"}


def train(folder: Path, *arguments: str, threads: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    command = [sys.executable, "-m", "melanoma_pl.train", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,
    )


def figures(run: Path) -> list[dict[str, str]]:
    """Return the logged figures of every epoch but the times."""
    with (run / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def assert_same(run: Path, other: Path) -> None:
    """Compare weights, optimizer, decision and figures bit by bit."""
    for name in ("last.ckpt", "best.ckpt"):
        one, two = (torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (run, other))
        assert all(torch.equal(value, two["state_dict"][key]) for key, value in one["state_dict"].items())
        assert ("optimizer_states" in one) == ("optimizer_states" in two)
        for key, state in one.get("optimizer_states", [{"state": {}}])[0]["state"].items():
            twin = two["optimizer_states"][0]["state"][key]
            assert all(
                torch.equal(torch.as_tensor(value), torch.as_tensor(twin[name])) for name, value in state.items()
            )
        if "optimizer_states" in one:
            assert one["optimizer_states"][0]["param_groups"] == two["optimizer_states"][0]["param_groups"]
        assert one["melanoma_pl"] == two["melanoma_pl"]
        assert one["global_step"] == two["global_step"]
    assert figures(run) == figures(other)
    assert len(figures(run)) == 3


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    result = train(folder, *RECIPE, f"data.root={image_folder}")
    assert result.returncode == 0, result.stdout
    return only_run(folder)


# A callback from outside the package lets a test say at which point the process dies.
ASSASSIN = """
import os, signal
import lightning.pytorch as pl


class Assassin(pl.Callback):
    def __init__(self, epoch, step=None, hook="batch", number=9, group=False):
        self.epoch, self.step, self.hook, self.number, self.group = epoch, step, hook, number, group

    def _strike(self, trainer):
        if trainer.current_epoch == self.epoch:
            os.killpg(os.getpgrp(), self.number) if self.group else os.kill(os.getpid(), self.number)

    def on_fit_start(self, trainer, module):
        if self.hook == "start":
            self._strike(trainer)

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if self.hook == "batch" and index == self.step:
            self._strike(trainer)

    def on_validation_batch_end(self, trainer, module, outputs, batch, index):
        if self.hook == "validation":
            self._strike(trainer)

    def on_train_epoch_start(self, trainer, module):
        if self.hook == "epoch":
            self._strike(trainer)
"""


def interrupted(folder: Path, images: Path, *arguments: str, **strike: object) -> tuple[Path, int]:
    """Train in a folder until the assassin strikes."""
    (folder / "assassin.py").write_text(ASSASSIN)
    spec = ",".join(f"{key}:{value}" for key, value in strike.items())
    command = [*RECIPE, f"data.root={images}", f"+callbacks.assassin={{_target_:assassin.Assassin,{spec}}}", *arguments]
    os.environ["PYTHONPATH"] = str(folder)
    result = train(folder, *command)
    return only_run(folder), result.returncode


CASES = {
    "between epochs": ({"epoch": 2, "hook": "epoch"}, ["checkpoint.every_n_steps=null"]),
    "in validation": ({"epoch": 1, "hook": "validation"}, ["checkpoint.every_n_steps=1"]),
    "in mid-epoch after a step checkpoint": ({"epoch": 1, "step": 2, "hook": "batch"}, ["checkpoint.every_n_steps=2"]),
    "in the first epoch": ({"epoch": 0, "step": 2, "hook": "batch"}, ["checkpoint.every_n_steps=1"]),
    "by SIGTERM in mid-epoch": ({"epoch": 1, "step": 1, "hook": "batch", "number": 15}, []),
    "by Ctrl-C in a terminal, which reaches workers too": (
        {"epoch": 1, "step": 1, "hook": "batch", "number": 2, "group": "true"},
        ["data.num_workers=2", "data.cache_fraction=0"],
    ),
    "by SIGINT at an epoch's last step": ({"epoch": 1, "step": 3, "hook": "batch", "number": 2}, []),
    "by SIGTERM in validation": ({"epoch": 1, "hook": "validation", "number": 15}, []),
    "by SIGTERM in the last validation": ({"epoch": 2, "hook": "validation", "number": 15}, []),
}
EXIT_CODES = {9: -9, 15: 143, 2: 130}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"), [(0, 2), (2, 0), (0, 0)], ids=["workers 0→2", "workers 2→0", "no workers"]
)
@pytest.mark.parametrize("case", CASES)
def test_resumed_equals_uninterrupted(
    case: str, before: int, after: int, uninterrupted: Path, image_folder: Path, tmp_path: Path
) -> None:
    strike, options = CASES[case]
    if before + after and case != "in mid-epoch after a step checkpoint":
        pytest.skip("workers are tried where they could matter: in mid-epoch")
    run, code = interrupted(tmp_path, image_folder, f"data.num_workers={before}", *options, **strike)
    assert code == EXIT_CODES[int(strike.get("number", 9))]  # type: ignore[call-overload]
    assert not (run / "report").exists(), "what was stopped is not evaluated"
    moved = tmp_path / "elsewhere (moved)"
    shutil.move(run, moved)
    result = train(tmp_path, f"resume={moved}", "callbacks.assassin=null", f"data.num_workers={after}")
    assert result.returncode == 0, result.stdout
    assert "going on in epoch" in result.stdout or "training has already ended" in result.stdout
    assert_same(uninterrupted, moved)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(15, 143), (2, 130)])
def test_a_signal_while_training_starts(
    number: int, code: int, uninterrupted: Path, image_folder: Path, tmp_path: Path
) -> None:
    run, exit_code = interrupted(tmp_path, image_folder, epoch=0, hook="start", number=number)
    assert exit_code == code
    assert not (run / "checkpoints").exists()
    assert not json.loads((run / "run.json").read_text())["finished"]
    result = train(tmp_path, "resume=auto", "callbacks.assassin=null")
    assert result.returncode == 0, result.stdout
    assert_same(uninterrupted, run)


@pytest.mark.slow
def test_killed_before_its_first_checkpoint(uninterrupted: Path, image_folder: Path, tmp_path: Path) -> None:
    interrupted(tmp_path, image_folder, epoch=0, step=1, hook="batch")
    result = train(tmp_path, "resume=auto", "callbacks.assassin=null")
    assert result.returncode == 0, result.stdout
    assert "starts afresh" in result.stdout
    assert_same(uninterrupted, only_run(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["in validation", "in mid-epoch after a step checkpoint"])
def test_averaged_weights_and_batch_normalisation(case: str, image_folder: Path, tmp_path: Path) -> None:
    averaged = (
        "+callbacks.averaged={_target_:melanoma_pl.training.callbacks.averaged_weights.AveragedWeights,decay:0.8}"
    )
    options = ["model.batch_norm=true", averaged]
    whole = tmp_path / "whole"
    whole.mkdir()
    result = train(whole, *RECIPE, f"data.root={image_folder}", *options)
    assert result.returncode == 0, result.stdout
    strike, more = CASES[case]
    (tmp_path / "struck").mkdir()
    run, _ = interrupted(tmp_path / "struck", image_folder, *options, *more, **strike)
    result = train(tmp_path, f"resume={run}", "callbacks.assassin=null")
    assert result.returncode == 0, result.stdout
    assert_same(only_run(whole), run)
    averages = [
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["callbacks"]["AveragedWeights"]["averages"]
        for folder in (only_run(whole), run)
    ]
    assert all(torch.equal(value, averages[1][name]) for name, value in averages[0].items())


@pytest.mark.slow
def test_resumed_with_another_number_of_threads(uninterrupted: Path, image_folder: Path, tmp_path: Path) -> None:
    run, _ = interrupted(tmp_path, image_folder, "checkpoint.every_n_steps=1", epoch=1, step=2, hook="batch")
    result = train(tmp_path, f"resume={run}", "callbacks.assassin=null", threads=2)
    assert result.returncode == 0, result.stdout
    assert "as when the run began" in result.stdout
    assert_same(uninterrupted, run)


def shown_steps(run: Path, tag: str) -> list[tuple[int, float]]:
    """Return the points of a curve as TensorBoard's fast reader keeps them: a step drops all that are not before it."""
    shown: list[tuple[int, float]] = []
    for file in sorted(run.glob("events*")):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.tag == tag:
                    shown = [point for point in shown if point[0] < event.step]
                    shown.append((event.step, float(make_ndarray(value.tensor))))
    return shown


@pytest.mark.slow
def test_tensorboard_shows_each_step_once_after_a_kill(image_folder: Path, tmp_path: Path) -> None:
    watched = ["logger=default", "callbacks.step_loss.every_n_steps=1", "checkpoint.every_n_steps=2"]
    whole = tmp_path / "whole"
    whole.mkdir()
    assert train(whole, *RECIPE, *watched, f"data.root={image_folder}").returncode == 0
    run, code = interrupted(tmp_path, image_folder, *watched, epoch=1, step=3, hook="batch")
    assert code == -9
    result = train(tmp_path, f"resume={run}", "callbacks.assassin=null")
    assert result.returncode == 0, result.stdout
    for tag in ("train/loss_step", "val/auroc"):
        expected = shown_steps(only_run(whole), tag)
        assert len(expected) == (3 if tag == "val/auroc" else 12)
        assert shown_steps(run, tag) == expected
        slow = EventAccumulator(str(run)).Reload().Scalars(tag)  # which heeds the step that a new file begins with
        assert [(event.step, event.value) for event in slow] == expected


@pytest.mark.slow
def test_more_epochs(image_folder: Path, tmp_path: Path) -> None:
    result = train(tmp_path, *RECIPE, f"data.root={image_folder}", "trainer.max_epochs=2")
    assert result.returncode == 0, result.stdout
    run = only_run(tmp_path)
    refused = train(tmp_path, f"resume={run}")
    assert refused.returncode == 2
    assert "is finished" in refused.stdout
    result = train(tmp_path, f"resume={run}", "trainer.max_epochs=4")
    assert result.returncode == 0, result.stdout
    assert "planned anew" in result.stdout
    rows = figures(run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    rates = [float(row["train/learning_rate"]) for row in rows]
    assert rates[2] > rates[1]  # the first plan had come down to almost nothing


def test_nothing_to_resume(tmp_path: Path) -> None:
    started = time.monotonic()
    result = train(tmp_path, "resume=auto")
    assert result.returncode == 2
    assert "no unfinished run under outputs/" in result.stdout
    assert time.monotonic() - started < 60


@pytest.mark.slow
def test_resumed_from_another_folder(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here/images").symlink_to(image_folder)
    result = train(tmp_path / "here", *TINY, "data=folder", "data.root=images", "trainer.max_epochs=1")
    assert result.returncode == 0, result.stdout
    run = only_run(tmp_path / "here")
    result = train(tmp_path / "there", f"resume={run}", "trainer.max_epochs=2")
    assert result.returncode == 0, result.stdout
    refused = train(tmp_path / "there", f"resume={run}", "trainer.max_epochs=1")
    assert refused.returncode == 2
    assert "is finished" in refused.stdout


def of(checkpoint: Path) -> dict[str, Any]:
    return dict(torch.load(checkpoint, weights_only=True))


@pytest.mark.slow
def test_another_metric_ranks_the_recorded_epochs(image_folder: Path, tmp_path: Path) -> None:
    result = train(tmp_path, *RECIPE, f"data.root={image_folder}", "callbacks.early_stopping=null")
    assert result.returncode == 0, result.stdout
    run = only_run(tmp_path)
    result = train(tmp_path, f"resume={run}", "checkpoint.monitor=val/loss", "trainer.max_epochs=4")
    assert result.returncode == 0, result.stdout
    assert "by val/loss the best weights so far are those of epoch" in result.stdout
    losses = {int(row["step"]): float(row["val/loss"]) for row in figures(run)}
    last = of(run / "checkpoints/last.ckpt")["callbacks"]["RunCheckpoints"]
    assert last["best_score"] == losses[of(run / "checkpoints/best.ckpt")["global_step"]]
    assert last["best_score"] <= min(list(losses.values())[-2:])


@pytest.mark.slow
def test_a_run_that_stopped_early_goes_on_with_a_larger_patience(image_folder: Path, tmp_path: Path) -> None:
    others = [text for text in RECIPE if "early_stopping" not in text]
    options = "monitor:val/loss,patience:1,min_delta:10"  # nothing improves by as much
    stopping = f"callbacks.early_stopping={{_target_:lightning.pytorch.callbacks.EarlyStopping,{options}}}"
    result = train(tmp_path, *others, f"data.root={image_folder}", "trainer.max_epochs=5", stopping)
    assert result.returncode == 0, result.stdout
    run = only_run(tmp_path)
    assert len(figures(run)) == 2
    refused = train(tmp_path, f"resume={run}")
    assert (refused.returncode, "is finished" in refused.stdout) == (2, True)
    result = train(tmp_path, f"resume={run}", "callbacks.early_stopping.patience=3")
    assert result.returncode == 0, result.stdout
    assert len(figures(run)) == 4
    (state,) = (
        state for name, state in of(run / "checkpoints/last.ckpt")["callbacks"].items() if "EarlyStopping" in name
    )
    assert (state["patience"], state["wait_count"]) == (3, 3)
