"""A run's folder belongs to one configuration, through whichever door it is entered."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from melanoma_pl import evaluate, predict, train
from melanoma_pl.runs import Run
from melanoma_pl.train import clean_up, saved_files
from tests.conftest import TINY, Command, only_run

FIXED = "hydra.run.dir=outputs/fixed/run"


@pytest.fixture
def tiny(image_folder: Path) -> list[str]:
    """Arguments of a training of one epoch."""
    return [*TINY, "trainer.max_epochs=1", "data=folder", f"data.root={image_folder}"]


def content(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder but its log and lock."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("train.log", ".lock")]
    return {str(path): path.read_bytes() for path in files}


def edit_record(run: Path, **changes: Any) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | changes))


def test_a_folder_is_refused_to_another_configuration_and_stays_as_it_is(
    tiny: list[str], run_command: Command, work_folder: Path
) -> None:
    assert run_command(train.command, *tiny, FIXED).code == 0
    before = content(only_run(work_folder))
    assert any(name.endswith(".hydra/config.yaml") for name in before)
    for change, told in (("optimizer.lr=0.5", "lr=0.001, not 0.5"), ("trainer.max_epochs=9", "resume=")):
        result = run_command(train.command, *tiny, FIXED, change)
        assert (result.code, told in result.error) == (2, True), result.error
        assert content(only_run(work_folder)) == before
    result = run_command(train.command, *tiny, FIXED, "resume=if_possible")
    assert (result.code, "is finished" in result.output) == (0, True), result.error
    assert content(only_run(work_folder)) == before
    result = run_command(train.command, *tiny, FIXED, "resume=if_possible", "seed=3")
    assert (result.code, "seed cannot change" in result.error) == (2, True)
    assert run_command(train.command, *tiny, FIXED, "resume=if_possible", "trainer.max_epochs=2").code == 0
    assert Run(only_run(work_folder)).epochs() == 2


def test_if_possible_needs_a_fixed_folder(tiny: list[str], run_command: Command, work_folder: Path) -> None:
    for more in ([], ["hydra.run.dir=outputs/${now:%H}"]):
        result = run_command(train.command, *tiny, *more, "resume=if_possible")
        assert (result.code, "hydra.run.dir=" in result.error) == (2, True)
    assert not (work_folder / "outputs").exists()


def test_checkpoints_without_a_record_are_nobodys_to_go_on_with(
    tiny: list[str], run_command: Command, work_folder: Path
) -> None:
    (work_folder / "outputs/fixed/run/checkpoints").mkdir(parents=True)
    (work_folder / "outputs/fixed/run/checkpoints/last.ckpt").write_bytes(b"weights")
    result = run_command(train.command, *tiny, FIXED)
    assert (result.code, "lacks the run.json" in result.error) == (2, True)
    assert (work_folder / "outputs/fixed/run/checkpoints/last.ckpt").read_bytes() == b"weights"


@pytest.mark.slow
def test_a_sweeps_folder_gains_jobs_but_each_keeps_its_configuration(
    tiny: list[str], run_command: Command, work_folder: Path
) -> None:
    sweep = ["-m", *tiny, "hydra.sweep.dir=outputs/s"]
    assert run_command(train.command, *sweep, "optimizer.lr=1e-4,1e-3").code == 0
    before = content(work_folder / "outputs/s/0")
    assert run_command(train.command, *sweep, "optimizer.lr=1e-2,1e-3").code == 0, "job 0 has another folder"
    assert content(work_folder / "outputs/s/0") == before
    with (work_folder / "outputs/s/summary.csv").open() as file:
        found = {row["job"].split("_")[0] + row["optimizer.lr"] for row in csv.DictReader(file)}
    assert found == {"00.0001", "10.001", "00.01"}
    by_number = run_command(train.command, *sweep, "optimizer.lr=1e-1,1e-2", "hydra.sweep.subdir=${hydra.job.num}")
    assert by_number.code == 2
    assert "outputs/s/0 holds a run with optimizer.lr=0.0001, not 0.1" in by_number.output
    assert content(work_folder / "outputs/s/0") == before


def test_a_record_is_kept_beside_checkpoints_whatever_the_clock_says(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.checkpoints.mkdir()
    before, record = {"of": "before"}, {"in_sweep": False, "of": "now"}
    run.write(record)
    nothing = saved_files(run)
    last = run.checkpoints / "last.ckpt"
    last.write_bytes(b"1")
    os.utime(last, (1, 1))  # long ago by the clock, which stepped back
    from melanoma_pl.errors import UserError

    clean_up(run, record, None, UserError("disk full"), saved_files(run) != nothing)
    assert json.loads((tmp_path / "run.json").read_text()) == record
    one = saved_files(run)
    (run.checkpoints / "new").write_bytes(b"2")
    os.utime(run.checkpoints / "new", (0, 0))
    (run.checkpoints / "new").replace(last)
    clean_up(run, record, before, UserError("disk full"), saved_files(run) != one)
    assert json.loads((tmp_path / "run.json").read_text()) == record
    clean_up(run, record, before, OSError(errno.ENOSPC, "full"), has_saved=False)
    assert json.loads((tmp_path / "run.json").read_text()) == before


def test_a_record_that_sets_hydra_runs_nothing(tiny: list[str], run_command: Command, work_folder: Path) -> None:
    assert run_command(train.command, *tiny).code == 0
    run = only_run(work_folder)
    record = json.loads((run / "run.json").read_text())
    (work_folder / "trap.py").write_text("from pathlib import Path\nPath('trapped').touch()\n")
    sys.path.insert(0, str(work_folder))
    try:
        for override in ("+hydra.callbacks.x={_target_: trap.Trap}", "+callbacks.x={_target_: trap.Trap}"):
            edit_record(run, overrides=[*record["overrides"], override], finished=False)
            result = run_command(train.command, f"resume={run}")
            assert result.code == 2, result.output
        checkpoint = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
        checkpoint["melanoma_pl"]["network"]["_target_"] = "trap.Trap"
        torch.save(checkpoint, run / "checkpoints/best.ckpt")
        edit_record(run, overrides=record["overrides"], finished=True)
        image = str(next(Path(record["config"]["data"]["root"]).rglob("*.png")))
        for command, *arguments in ((predict.command, "--run", str(run), image), (evaluate.command, f"run={run}")):
            result = run_command(command, *arguments)
            assert (result.code, "trust=trap" in result.error) == (2, True), result.error
        assert not (work_folder / "trapped").exists()
        result = run_command(predict.command, "--run", str(run), image, "--trust", "trap")
        assert result.code == 2
        assert (work_folder / "trapped").exists(), "the user named it"
    finally:
        sys.path.remove(str(work_folder))


STRIKE = """
import os, signal
import lightning.pytorch as pl


class Strike(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows lacks SIGUSR1")
def test_the_warning_of_a_batch_system_saves_and_the_same_command_goes_on(tiny: list[str], work_folder: Path) -> None:
    (work_folder / "strike.py").write_text(STRIKE)
    slurm = {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    slurm |= {"SLURM_JOB_NAME": "train", "SLURM_NTASKS_PER_NODE": "1", "PYTHONPATH": str(work_folder)}
    environment = {**os.environ, **slurm, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "melanoma_pl.train", *tiny, FIXED, "resume=if_possible"]
    command += ["+callbacks.strike._target_=strike.Strike"]
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert first.returncode == 138, first.stdout + first.stderr
    run = only_run(work_folder)
    assert sorted(path.name for path in run.rglob("*.ckpt")) == ["last.ckpt"], "no hpc_ckpt of Lightning's"
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "going on in epoch 1, after step 2" in second.stdout
    third = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (third.returncode, "is finished" in third.stdout) == (0, True)


def test_without_validation_no_epoch_is_best(tiny: list[str], run_command: Command, work_folder: Path) -> None:
    for key in ("limit_val_batches=0", "check_val_every_n_epoch=2"):
        result = run_command(train.command, *tiny, f"+trainer.{key}")
        assert (result.code, f"trainer.{key}" in result.error) == (2, True), result.error
        assert "checkpoint.evaluate=last" in result.error
    assert not (work_folder / "outputs").exists()
