"""Two processes on one machine, however they are started: one run, and the same bits after a stop."""

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY, only_run

TWO = ["trainer=ddp", "trainer.devices=2", "augmentation=dermoscopy", "scheduler=one_cycle"]
TIMES = {"train/seconds", "train/images_per_second"}

# stops one rank only, in the middle of the second epoch
STOPPER = """
import os, signal
import lightning.pytorch as pl


class Stopper(pl.Callback):
    def __init__(self, rank):
        self.rank = rank

    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.global_rank == self.rank and trainer.current_epoch == 1 and index == 0:
            os.kill(os.getpid(), signal.SIGTERM)
"""

# from the second epoch on, the first rank cannot write a checkpoint
FILL = """
import resource, signal
import lightning.pytorch as pl


class Fill(pl.Callback):
    def on_train_epoch_start(self, trainer, module):
        if trainer.global_rank == 0 and trainer.current_epoch == 1:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
"""


def train(
    folder: Path, *arguments: str, launcher: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, by itself or by a launcher; a deadlock ends it after five minutes."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", *launcher, "melanoma_pl.train", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def weights(run: Path) -> dict[str, torch.Tensor]:
    """Return the last weights of a run's network."""
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("network.")}


def assert_same(run: Path, other: Path) -> None:
    """Compare the logged figures and the last weights of two runs."""
    assert figures(run) == figures(other)
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(run).items())


def free_port() -> int:
    """Return a port that no process of this machine uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def figures(run: Path) -> list[dict[str, str]]:
    """Return the logged figures of every epoch except the times."""
    with (run / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """The folder of a run of two processes that nothing stopped; it saves by the clock all the time."""
    folder = tmp_path_factory.mktemp("ddp")
    answer = train(folder, *TINY, *TWO, "data=folder", f"data.root={image_folder}", "checkpoint.every_n_minutes=0.0001")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    run = only_run(folder)
    (run / "screen.txt").write_text(answer.stdout + answer.stderr)
    return run


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_tell_each_thing_once(whole: Path) -> None:
    screen = (whole / "screen.txt").read_text()
    for line in ("audit  ", "device  ", "layer  ", "epoch 1/2 | ", "evaluating  ", "Result on the test split."):
        assert screen.count(f"\n{line}") == 1, screen
    assert "Initializing distributed" not in screen and "sync_dist" not in screen


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_train_and_one_evaluates(whole: Path) -> None:
    assert sorted(path.name for path in (whole / "report").iterdir()) == ["test", "validation"]
    assert [row["epoch"] for row in figures(whole)] == ["1", "2"]


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(image_folder: Path, tmp_path: Path) -> None:
    words = [
        *TINY,
        "data=folder",
        f"data.root={image_folder}",
        "augmentation=dermoscopy",
        "model.dropout=0",
        "test=false",
    ]
    found = []
    for name, *own in (("one", "data.batch_size=8"), ("two", "data.batch_size=4", "trainer=ddp", "trainer.devices=2")):
        (tmp_path / name).mkdir()
        answer = train(tmp_path / name, *words, *own, "trainer.max_epochs=1", "optimizer.lr=1e-2")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        (row,) = figures(only_run(tmp_path / name))
        found.append({tag: float(value) for tag, value in row.items()})
    one, two = found
    assert {"train/loss", "train/accuracy", "val/loss", "val/auroc"} <= one.keys()
    assert two == pytest.approx(one, abs=1e-5)


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_rank_stops_all_and_resuming_gives_the_same_bits(
    rank: int, whole: Path, image_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "stopper.py").write_text(STOPPER)
    stopper = f"+callbacks.stopper={{_target_:stopper.Stopper,rank:{rank}}}"
    answer = train(tmp_path, *TINY, *TWO, "data=folder", f"data.root={image_folder}", stopper)
    assert answer.returncode == 143, answer.stdout + answer.stderr
    run = only_run(tmp_path)
    answer = train(tmp_path, f"resume={run}", "callbacks.stopper=null")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert_same(run, whole)


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_full_disk_at_one_rank_stops_all_and_one_tells_it(whole: Path, image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "fill.py").write_text(FILL)
    words = [*TINY, *TWO, "data=folder", f"data.root={image_folder}", "+callbacks.fill._target_=fill.Fill"]
    answer = train(tmp_path, *words)
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert answer.stderr.count("error:") == answer.stderr.count("cannot be saved") == 1, answer.stderr
    assert "Traceback" not in answer.stderr, answer.stderr
    run = only_run(tmp_path)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    answer = train(tmp_path, f"resume={run}", "callbacks.fill=null")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert_same(run, whole)


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize(
    ("epoch", "told", "epochs"), [(0, "going on with epoch 2", ["2"]), (1, "begins anew", ["1", "2"])]
)
def test_another_number_of_devices_does_not_complete_an_interrupted_epoch(
    epoch: int, told: str, epochs: list[str], image_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "stopper.py").write_text(STOPPER.replace("current_epoch == 1", f"current_epoch == {epoch}"))
    stopper = "+callbacks.stopper={_target_:stopper.Stopper,rank:0}"
    answer = train(tmp_path, *TINY, *TWO, "data=folder", f"data.root={image_folder}", stopper)
    assert answer.returncode == 143, answer.stdout + answer.stderr
    run = only_run(tmp_path)
    answer = train(tmp_path, f"resume={run}", "callbacks.stopper=null", "trainer.devices=1", "trainer.strategy=auto")
    assert answer.returncode == 2, "the strategy cannot change"
    answer = train(tmp_path, f"resume={run}", "callbacks.stopper=null", "trainer.devices=1")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert told in answer.stdout
    assert [row["epoch"] for row in figures(run)] == epochs


@pytest.mark.ddp
@pytest.mark.slow
def test_torchrun_makes_one_run(whole: Path, image_folder: Path, tmp_path: Path) -> None:
    words = [*TINY, *TWO, "data=folder", f"data.root={image_folder}"]
    torchrun = ["torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", "-m"]
    answer = train(tmp_path, *words, launcher=torchrun)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.count("epoch 2/2") == 1, "the second process shows nothing"
    assert_same(only_run(tmp_path), whole)


@pytest.mark.ddp
@pytest.mark.slow
def test_tasks_of_srun_make_one_run(whole: Path, image_folder: Path, tmp_path: Path) -> None:
    words = [*TINY, *TWO, "data=folder", f"data.root={image_folder}"]
    port = str(free_port())

    def task(rank: int) -> subprocess.CompletedProcess[str]:
        own = {"SLURM_NTASKS": "2", "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "MASTER_PORT": port}
        return train(tmp_path, *words, **own, SLURM_STEP_ID="0")

    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(task, (1, 0)))
    assert [answer.returncode for answer in answers] == [0, 0], answers
    assert ["epoch 2/2" in answer.stdout for answer in answers] == [False, True]
    assert_same(only_run(tmp_path), whole)


@pytest.mark.slow
def test_a_shell_in_an_allocation_of_slurm_trains_in_one_process(image_folder: Path, tmp_path: Path) -> None:
    answer = train(tmp_path, *TINY, "data=folder", f"data.root={image_folder}", SLURM_NTASKS="4")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert only_run(tmp_path)


def test_tasks_of_srun_for_which_there_are_no_devices_are_refused(image_folder: Path, tmp_path: Path) -> None:
    answer = train(tmp_path, *TINY, "data=folder", f"data.root={image_folder}", SLURM_NTASKS="4", SLURM_PROCID="2")
    assert answer.returncode == 2
    assert "srun started 4 processes, but trainer.devices=1" in answer.stderr
    assert not (tmp_path / "outputs").exists()
