"""Jobs of a real SLURM on this machine: preempted, out of time, of two tasks, and of a sweep."""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY, only_run
from tests.integration.slurm_server import MARKS, REPOSITORY, Slurm, cluster
from tests.integration.test_ddp import assert_same

pytestmark = MARKS
SCRIPT = REPOSITORY / "scripts/train.sbatch"
HAS_LAUNCHER = importlib.util.find_spec("submitit") is not None

# trains slowly until a file appears, so that a signal meets it within an epoch
SLOW = """
import time
from pathlib import Path
import lightning.pytorch as pl


class Slow(pl.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if not Path("fast").exists():
            time.sleep(0.5)
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A cluster of this machine, for all tests of this module."""
    with cluster(tmp_path_factory.mktemp("slurm")) as started:
        yield started


def submit(slurm: Slurm, folder: Path, name: str, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Submit a run by the script, from a folder, and return the job's number."""
    path = os.pathsep.join([str(folder), slurm.environment["PYTHONPATH"]])
    command = ["sbatch", "--parsable", f"--chdir={folder}", "--cpus-per-task=2", *options, str(SCRIPT), name]
    return slurm.ask(*command, *arguments, PYTHONPATH=path)


def epochs(run: Path) -> int:
    """Return how many epochs a run has recorded."""
    table = run / "metrics.csv"
    return len(table.read_text().splitlines()) - 1 if table.exists() else 0


def test_a_job_is_preempted_and_warned_and_ends_with_the_same_bits(
    slurm: Slurm, image_folder: Path, tmp_path: Path
) -> None:
    for folder in ("hit", "whole"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "slow.py").write_text(SLOW)
    words = [*TINY, "trainer.max_epochs=8", "data=folder", f"data.root={image_folder}", "augmentation=dermoscopy"]
    words += ["scheduler=one_cycle", "+callbacks.slow._target_=slow.Slow"]
    hit, run = tmp_path / "hit", tmp_path / "hit/outputs/mine/a"
    job = submit(slurm, hit, "mine/a", *words)
    output = hit / f"melanoma-{job}.out"

    slurm.wait("the first epoch", lambda: epochs(run) >= 1)
    urgent = slurm.ask("sbatch", "--parsable", "--partition=high", "--cpus-per-task=4", "--wrap=sleep 1")
    slurm.wait("a preempted job", lambda: slurm.state(job)["Restarts"] == "1")
    assert (run / "checkpoints/last.ckpt").is_file() and not json.loads((run / "run.json").read_text())["finished"]
    assert slurm.wait_for(urgent)["JobState"] == "COMPLETED"

    slurm.wait("the preempted job's return", lambda: "going on in epoch" in output.read_text())
    done = epochs(run)
    slurm.wait("one epoch more", lambda: epochs(run) > done)
    slurm.ask("scancel", "--signal=USR1", job)  # as --signal does when the time is nearly up
    slurm.wait("a job that queues again", lambda: slurm.state(job)["Restarts"] == "2")
    (hit / "fast").touch()

    (tmp_path / "whole/fast").touch()
    command = [sys.executable, "-m", "melanoma_pl.train", *words]
    path = os.pathsep.join([str(tmp_path / "whole"), slurm.environment["PYTHONPATH"]])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    subprocess.run(command, cwd=tmp_path / "whole", env=environment, check=True, capture_output=True, timeout=200)

    state = slurm.wait_for(job)
    told = output.read_text()
    assert (state["JobState"], state["Restarts"]) == ("COMPLETED", "2"), told
    assert told.count("stopping after this step") == 2 and told.count("going on in epoch") == 2, told
    assert "Exited with exit code 143" in told and "Exited with exit code 138" in told, told
    assert re.findall(r"^epoch (\d+)/8", told, re.MULTILINE) == [str(each) for each in range(1, 9)]
    assert_same(run, only_run(tmp_path / "whole"))

    before = (run / "run.json").read_bytes()
    again = submit(slurm, hit, "mine/a", *words)
    assert slurm.wait_for(again)["ExitCode"] == "0:0"
    assert "is finished" in (hit / f"melanoma-{again}.out").read_text()
    other = submit(slurm, hit, "mine/a", *words, "seed=3")
    assert slurm.wait_for(other)["ExitCode"] == "2:0"
    assert "seed cannot change" in (hit / f"melanoma-{other}.out").read_text()
    assert (run / "run.json").read_bytes() == before


def test_two_tasks_make_one_run(slurm: Slurm, image_folder: Path, tmp_path: Path) -> None:
    words = [*TINY, "data=folder", f"data.root={image_folder}", "trainer=ddp", "trainer.accelerator=cpu"]
    job = submit(slurm, tmp_path, "two/a", *words, "trainer.max_epochs=2", options=("--ntasks=2",))
    state, told = slurm.wait_for(job), (tmp_path / f"melanoma-{job}.out").read_text()
    assert state["JobState"] == "COMPLETED", told
    assert [path.parent for path in tmp_path.rglob("run.json")] == [tmp_path / "outputs/two/a"]
    assert told.count("epoch 2/2") == 1 and told.count("Result on the test split") == 1, told
    checkpoint = torch.load(tmp_path / "outputs/two/a/checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["callbacks"]["RunCheckpoints"]["world_size"] == 2


@pytest.mark.skipif(not HAS_LAUNCHER, reason="needs the extra slurm")
def test_a_sweep_has_a_job_each(slurm: Slurm, image_folder: Path, tmp_path: Path) -> None:
    words = ["-m", "sweep=slurm", *TINY, "trainer.max_epochs=1", "data=folder", f"data.root={image_folder}"]
    words += ["seed=1,2", "hydra.launcher.cpus_per_task=1", "hydra.sweep.dir=outputs/sweeps/mine"]
    answer = slurm.run("melanoma-train", *words, cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout + answer.stderr + slurm.logs()
    sweep = tmp_path / "outputs/sweeps/mine"
    with (sweep / "summary.csv").open() as file:
        assert [(row["seed"], row["status"]) for row in csv.DictReader(file)] == [("1", "finished"), ("2", "finished")]
    assert "best job: outputs/sweeps/mine/" in answer.stdout
    for number in "01":
        assert re.search(
            rf"^    id: '?\d+_{number}'?$", (sweep / number / ".hydra/hydra.yaml").read_text(), re.MULTILINE
        )
        assert {path.name for path in (sweep / number / "report").iterdir()} == {"validation"}


def test_a_run_without_a_name_is_refused() -> None:
    answer = subprocess.run(["bash", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (answer.returncode, "the run has no name" in answer.stderr) == (2, True)
