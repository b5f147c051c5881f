"""A sweep that is continued: finished jobs stay, interrupted ones go on, failed ones wait to be asked for."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from melanoma_pl import train
from tests.conftest import TINY, Command

HELPERS = """
import os, signal
from pathlib import Path
import lightning.pytorch as pl

class Killer(pl.Callback):
    def __init__(self, step):
        self.step = step
    def on_train_batch_end(self, trainer, module, *rest):
        if trainer.global_step == self.step and Path("kill").exists():
            Path("kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)

class Failing(pl.Callback):
    def on_train_start(self, trainer, module):
        if trainer.limit_train_batches == 3 and Path("fail").exists():
            raise RuntimeError("no luck")
"""


@pytest.fixture
def helpers(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Callbacks that kill the process, or fail."""
    (work_folder / "helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(work_folder)
    return work_folder


@pytest.fixture
def sweep(run_command: Command, image_folder: Path) -> Command:
    """`melanoma-train -m` on the tiny images, into the folder `sweep`."""
    options = (*TINY, "trainer.max_epochs=1", "data=folder", f"data.root={image_folder}", "hydra.sweep.dir=sweep")
    return lambda *arguments: run_command(train.command, "-m", *options, *arguments)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def jobs_of(output: str) -> list[str]:
    return [line for line in output.splitlines() if re.match(r"job \d", line)]


def test_the_same_command_keeps_finished_jobs(sweep: Command, work_folder: Path) -> None:
    assert sweep("optimizer.lr=1e-4,1e-3").code == 0
    before = (work_folder / "sweep/summary.csv").read_bytes()
    checkpoint = (work_folder / "sweep/0/checkpoints/last.ckpt").stat()
    again = sweep("optimizer.lr=1e-4,1e-3")
    assert again.code == 0, again.error
    assert all(line.endswith("  kept") for line in jobs_of(again.output)) and len(jobs_of(again.output)) == 2
    assert (work_folder / "sweep/summary.csv").read_bytes() == before
    assert (work_folder / "sweep/0/checkpoints/last.ckpt").stat() == checkpoint


def test_new_values_are_added(sweep: Command, run_command: Command, work_folder: Path) -> None:
    assert sweep("optimizer.lr=1e-4,1e-3").code == 0
    result = run_command(train.command, "-m", "resume=sweep", "optimizer.lr=1e-2,1e-3,1e-4")
    assert result.code == 0, result.error
    assert [line.endswith("kept") for line in jobs_of(result.output)] == [False, True, True]
    found = {row["optimizer.lr"]: row["job"] for row in rows(work_folder / "sweep")}
    assert (found["0.0001"], found["0.001"]) == ("0", "1") and found["0.01"].startswith("0_")
    third = run_command(train.command, "-m", "resume=sweep")
    assert [line.endswith("kept") for line in jobs_of(third.output)] == [True, True, True], "with the added value"


def test_failed_jobs_are_tried_again_on_request(sweep: Command, helpers: Path) -> None:
    (helpers / "fail").touch()
    options = ("+trainer.limit_train_batches=2,3", "+callbacks.failing._target_=helpers.Failing")
    assert sweep(*options).code == 1
    (helpers / "fail").unlink()
    waiting = sweep(*options)
    assert waiting.code == 1
    assert "failed: it failed before: no luck: retry=true tries it again" in waiting.output
    assert [row["status"] for row in rows(helpers / "sweep")] == ["finished", "no luck"]
    assert sweep(*options, "retry=true").code == 0
    assert [row["status"] for row in rows(helpers / "sweep")] == ["finished", "finished"]


@pytest.mark.slow
def test_a_killed_sweep_ends_like_an_uninterrupted_one(image_folder: Path, helpers: Path) -> None:
    words = [
        *("-m", "melanoma_pl.train", "-m", *TINY, "trainer.max_epochs=2", "data=folder", f"data.root={image_folder}"),
        *("checkpoint.every_n_steps=1", "optimizer.lr=1e-4,1e-3,1e-2"),
        "+callbacks.killer={_target_:helpers.Killer,step:5}",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(helpers), *sys.path])}

    def run(folder: str, *further: str) -> int:
        command = [sys.executable, *words, f"hydra.sweep.dir={folder}", *further]
        return subprocess.run(command, env=environment, capture_output=True).returncode

    assert run("whole") == 0
    for _ in range(3):  # in each job once
        (helpers / "kill").touch()
        assert run("killed") == -9
    assert run("killed") == 0
    assert rows(helpers / "killed") == rows(helpers / "whole")
    assert len(rows(helpers / "whole")) == 3


@pytest.mark.parametrize(
    ("folder", "told"),
    [("nothing", "nothing does not hold a sweep"), ("auto", "name the sweep's folder"), ("run", "without -m")],
)
def test_other_folders_are_refused(folder: str, told: str, run_command: Command, work_folder: Path) -> None:
    (work_folder / "run").mkdir()
    (work_folder / "run/run.json").write_text("{}")
    result = run_command(train.command, "-m", f"resume={folder}")
    assert result.code == 2 and told in result.error


def test_a_sweep_is_resumed_with_m(sweep: Command, run_command: Command) -> None:
    assert sweep("seed=1,2").code == 0
    result = run_command(train.command, "resume=sweep")
    assert result.code == 2 and "melanoma-train -m resume=sweep" in result.error
