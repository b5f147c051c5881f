"""A search by Optuna that is killed, continued, pruned, and retried."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from melanoma_pl import train
from tests.conftest import TINY, Command

optuna = pytest.importorskip("optuna", reason="needs the extra optuna")

HELPERS = """
import os, signal
from pathlib import Path
import lightning.pytorch as pl

class Killer(pl.Callback):
    def on_train_batch_end(self, trainer, module, *rest):
        if trainer.global_step == 5 and Path("kill").exists():
            Path("kill").unlink()
            os.killpg(0, signal.SIGKILL)

class Failing(pl.Callback):
    def on_train_start(self, trainer, module):
        if Path("fail").exists():
            Path("fail").unlink()
            raise RuntimeError("no luck")
"""
PRUNED = ("hydra.sweeper.pruner=median", "hydra.sweeper.startup_trials=1", "hydra.sweeper.warmup_epochs=0")


@pytest.fixture
def helpers(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Callbacks that kill the process, or fail."""
    (work_folder / "search_helpers.py").write_text(HELPERS)
    monkeypatch.syspath_prepend(work_folder)
    return work_folder


@pytest.fixture
def search(run_command: Command, image_folder: Path) -> Command:
    """`melanoma-train -m sweep=optuna` on the tiny images, one epoch a trial."""
    options = (*TINY, "sweep=optuna", "trainer.max_epochs=1", "data=folder", f"data.root={image_folder}", "name=mine")
    return lambda *arguments: run_command(train.command, "-m", *options, *arguments)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open() as file:
        return list(csv.DictReader(file))


def states(folder: Path) -> list[str]:
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{folder}/optuna.db")
    return [trial.state.name for trial in study.trials]


@pytest.mark.slow
def test_a_killed_search_ends_like_an_uninterrupted_one(image_folder: Path, helpers: Path) -> None:
    words = [
        *("-m", "melanoma_pl.train", "-m", *TINY, "sweep=optuna", "trainer.max_epochs=2", "data=folder"),
        *(f"data.root={image_folder}", "hydra.sweeper.n_trials=4", "checkpoint.every_n_steps=1", *PRUNED),
        "+callbacks.killer._target_=search_helpers.Killer",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(helpers), *sys.path])}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        options = {"env": environment, "capture_output": True, "text": True, "start_new_session": True}
        return subprocess.run(command, **options)  # type: ignore[call-overload,no-any-return]

    whole = run(*words, "hydra.sweep.dir=whole")
    assert whole.returncode == 0, whole.stderr
    (helpers / "kill").touch()
    assert run(*words, "hydra.sweep.dir=killed").returncode == -9
    assert states(helpers / "killed") == ["RUNNING"]
    resumed = run("-m", "melanoma_pl.train", "-m", "resume=killed")
    assert resumed.returncode == 0, resumed.stderr
    found = [rows(helpers / name) for name in ("killed", "whole")]
    assert found[0] == found[1] and len(found[0]) == 4
    table, whole_table = (answer.stdout.split("\n\n")[1] for answer in (resumed, whole))
    assert table.replace("killed/", "whole/") == whole_table
    assert states(helpers / "killed")[0] == "FAIL"
    assert "RUNNING" not in states(helpers / "killed")
    assert "going on in epoch" in (helpers / "killed/0/train.log").read_text()


@pytest.mark.slow
def test_the_same_command_adds_trials_and_other_settings_are_refused(search: Command, work_folder: Path) -> None:
    assert search("hydra.sweeper.n_trials=1").code == 0
    folder = work_folder / "outputs/sweeps/mine"
    before = rows(folder)
    refused = search("hydra.sweeper.n_trials=2", "optimizer.weight_decay=0.1")
    assert refused.code == 2 and "has optimizer.weight_decay=0, not 0.1" in refused.error, refused.error
    refused = search("hydra.sweeper.n_trials=2", "model.dropout=interval(0.1,0.2)")
    assert refused.code == 2 and "another range of model.dropout" in refused.error, refused.error
    more = search("hydra.sweeper.n_trials=2")
    assert more.code == 0, more.error
    assert "1 of 2 trials are kept" in more.output and "job 2/2" in more.output and "job 1/2" not in more.output
    assert rows(folder)[:1] == before and len(rows(folder)) == 2
    assert json.loads((folder / "sweep.json").read_text())["search"] == ["hydra.sweeper.n_trials=2"]


@pytest.mark.slow
def test_a_failed_trial_waits_to_be_asked_for(search: Command, helpers: Path) -> None:
    (helpers / "fail").touch()
    options = ("hydra.sweeper.n_trials=2", "+callbacks.failing._target_=search_helpers.Failing")
    assert search(*options).code == 1
    folder = helpers / "outputs/sweeps/mine"
    assert [row["status"] for row in rows(folder)] == ["no luck", "finished"]
    assert search(*options).code == 1
    assert [row["status"] for row in rows(folder)] == ["no luck", "finished"]
    assert search(*options, "retry=true").code == 0
    assert [row["status"] for row in rows(folder)] == ["finished", "finished"]
    assert states(folder) == ["FAIL", "COMPLETE", "COMPLETE"]


@pytest.mark.slow
def test_a_pruned_trial_says_so(search: Command, work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna.pruners.MedianPruner, "prune", lambda pruner, study, trial: trial.number == 1)
    result = search("hydra.sweeper.n_trials=2", "trainer.max_epochs=2", *PRUNED)
    assert result.code == 0, result.error
    folder = work_folder / "outputs/sweeps/mine"
    assert [row["status"] for row in rows(folder)] == ["finished", "pruned after epoch 1"]
    assert "/1 did not finish: pruned after epoch 1" in result.output
    assert json.loads((folder / "1/run.json").read_text())["pruned"] == "pruned after epoch 1"
    assert sorted(path.name for path in (folder / "1/checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert states(folder) == ["COMPLETE", "PRUNED"]


@pytest.mark.parametrize("value", ["n_trials=0", "sampler=best", "pruner=always"])
def test_settings_of_the_search_are_checked(value: str, search: Command, work_folder: Path) -> None:
    result = search(f"hydra.sweeper.{value}")
    assert result.code == 2 and f"hydra.sweeper.{value} is not allowed" in result.error
    assert result.error.count("\n") == 1


def test_a_grid_does_not_enter_the_folder_of_a_search(search: Command, work_folder: Path) -> None:
    (work_folder / "mine").mkdir()
    record = {"overrides": ["seed=1,2"], "config_dirs": [], "folder": "."}
    (work_folder / "mine/sweep.json").write_text(json.dumps(record))
    result = search("hydra.sweep.dir=mine")
    assert result.code == 2 and "mine holds a grid, not a search" in result.error
