"""Bad input under torchrun: one line, of one process, and exit code 2 of all; nobody waits for ever."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import TINY, write_image_folder

DDP = ("trainer=ddp", "trainer.devices=2")
Answers = list[subprocess.CompletedProcess[str]]


def run_two(folder: Path, *arguments: str, own: Sequence[dict[str, str]] = ({}, {})) -> Answers:
    """Run the command in two processes, with the variables that torchrun sets, and those of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "TORCHELASTIC_RUN_ID": "none",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }

    def run(rank: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "melanoma_pl.train", *TINY, "data=folder", *arguments],
            cwd=folder,
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank), **own[rank]},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    with ThreadPoolExecutor() as pool:
        return list(pool.map(run, (0, 1)))


def assert_told_once(answers: Answers, told: str) -> None:
    assert [answer.returncode for answer in answers] == [2, 2], answers
    assert answers[0].stderr.startswith("error: ") and answers[0].stderr.count("\n") == 1, answers[0].stderr
    assert told in answers[0].stderr
    assert not answers[1].stderr and not answers[1].stdout


@pytest.mark.ddp
def test_an_unknown_key(tmp_path: Path) -> None:
    assert_told_once(run_two(tmp_path, *DDP, "data.rot=here"), "there is no key data.rot")


@pytest.mark.ddp
def test_images_that_one_process_lacks(image_folder: Path, tmp_path: Path) -> None:
    own = {"IMAGES": str(image_folder)}, {"IMAGES": str(tmp_path / "nowhere")}
    answers = run_two(tmp_path, *DDP, "data.root=${oc.env:IMAGES}", own=own)
    assert_told_once(answers, "process 1: ")
    assert "nowhere" in answers[0].stderr
    assert not list(tmp_path.glob("outputs/*/*"))


@pytest.mark.ddp
@pytest.mark.slow
def test_other_images_in_one_process(image_folder: Path, tmp_path: Path) -> None:
    other = write_image_folder(tmp_path / "other", train=44)
    own = {"IMAGES": str(image_folder)}, {"IMAGES": str(other)}
    answers = run_two(tmp_path, *DDP, "data.root=${oc.env:IMAGES}", own=own)
    assert_told_once(answers, "the processes have different images: train=")


@pytest.mark.ddp
@pytest.mark.slow
def test_other_settings_in_one_process(image_folder: Path, tmp_path: Path) -> None:
    own = {"SEED": "1"}, {"SEED": "2"}
    answers = run_two(tmp_path, *DDP, f"data.root={image_folder}", "seed=${oc.env:SEED}", own=own)
    assert_told_once(answers, "the processes have different settings: seed=1 at process 0, 2 at process 1")


@pytest.mark.ddp
@pytest.mark.slow
def test_more_processes_than_batches(image_folder: Path, tmp_path: Path) -> None:
    answers = run_two(tmp_path, *DDP, f"data.root={image_folder}", "data.batch_size=32")
    assert_told_once(answers, "2 processes would share 1 batches: data.batch_size=32, 32 training images")


@pytest.mark.ddp
@pytest.mark.slow
def test_more_processes_than_batches_of_a_balanced_epoch(image_folder: Path, tmp_path: Path) -> None:
    words = ("data.sampler=balanced", "data.benign_per_malignant=0.1", "data.batch_size=18")
    answers = run_two(tmp_path, *DDP, f"data.root={image_folder}", *words)
    assert_told_once(answers, "2 processes would share 1 batches: data.batch_size=18, 18 images of an epoch, balanced")


@pytest.mark.ddp
def test_a_sweep(image_folder: Path, tmp_path: Path) -> None:
    answers = run_two(tmp_path, *DDP, "-m", f"data.root={image_folder}", "seed=1,2")
    assert_told_once(answers, "would start itself again")


@pytest.mark.ddp
def test_the_folder_of_a_sweep(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/sweep.json").write_text("{}")
    answers = run_two(tmp_path, *DDP, f"data.root={image_folder}", "hydra.run.dir=mine")
    assert_told_once(answers, "mine is the folder of a sweep")
    assert not (tmp_path / "mine/run.json").exists()
