"""Processes of torchrun and srun that compare what they have, and of which the first one tells a mistake."""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch.distributed  # noqa: F401  # before the processes are forked

from melanoma_pl.config import processes
from melanoma_pl.config.processes import Meeting, is_one_of_several
from melanoma_pl.errors import UserError

LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID")
SECONDS = 60.0  # far more than two processes need to meet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks processes")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of a launcher that the tests themselves may run under."""
    for name in (*LAUNCHERS, "MASTER_ADDR", "MASTER_PORT", "SLURM_JOB_NAME", "SLURM_JOB_ID", "SLURM_NODELIST"):
        monkeypatch.delenv(name, raising=False)


def torchrun(rank: int, port: int) -> dict[str, str]:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {"TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "WORLD_SIZE": "2", **address}


def srun(rank: int, port: int) -> dict[str, str]:
    task = {"SLURM_PROCID": str(rank), "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "train"}
    return {**task, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def run_two(
    folder: Path, body: Callable[[int, Meeting], None], launcher: Callable[[int, int], Mapping[str, str]] = torchrun
) -> list[tuple[str, str]]:
    """Run a body in two processes; return what each wrote as an error, and the message that it raised."""
    port = free_port()

    def work(rank: int) -> None:
        os.environ.update(launcher(rank, port))
        meeting = Meeting(SECONDS)
        with (folder / f"{rank}.err").open("w") as sys.stderr:
            try:
                body(rank, meeting)
                raised = "nothing"
            except UserError as error:
                raised = str(error)
        (folder / f"{rank}.raised").write_text(raised)
        until = time.monotonic() + SECONDS
        while rank == 0 and not (folder / "1.raised").is_file() and time.monotonic() < until:
            time.sleep(0.01)  # its store serves the other, which a training that goes on does, too

    started = [get_context("fork").Process(target=work, args=(rank,)) for rank in range(2)]
    for each in started:
        each.start()
    for each in started:
        each.join(2 * SECONDS)
        assert each.exitcode == 0
    return [((folder / f"{rank}.err").read_text(), (folder / f"{rank}.raised").read_text()) for rank in range(2)]


@pytest.mark.parametrize("launcher", [torchrun, srun])
def test_equal_values_pass(launcher: Callable[[int, int], Mapping[str, str]], tmp_path: Path) -> None:
    def body(rank: int, meeting: Meeting) -> None:
        meeting.compare("settings", {"seed": 1, "name": "é"}, "")
        meeting.compare("images", {"train": "abc"}, "")

    assert run_two(tmp_path, body, launcher) == [("", "nothing"), ("", "nothing")]


@pytest.mark.parametrize("launcher", [torchrun, srun])
def test_the_first_process_names_the_value_that_differs(
    launcher: Callable[[int, int], Mapping[str, str]], tmp_path: Path
) -> None:
    def body(rank: int, meeting: Meeting) -> None:
        meeting.compare("settings", {"seed": rank, "name": "a"}, "do it")

    told = "error: the processes have different settings: seed=0 at process 0, 1 at process 1: do it\n"
    assert run_two(tmp_path, body, launcher) == [(told, ""), ("", "")]


def test_a_mistake_at_another_process_ends_all(tmp_path: Path) -> None:
    def body(rank: int, meeting: Meeting) -> None:
        if rank == 1:
            assert meeting.tell("images are missing")
        else:
            meeting.compare("settings", {}, "")

    assert run_two(tmp_path, body) == [("error: process 1: images are missing\n", ""), ("", "nothing")]


def test_a_mistake_at_the_first_process_ends_all(tmp_path: Path) -> None:
    def body(rank: int, meeting: Meeting) -> None:
        meeting.compare("settings", {}, "")
        if rank == 0:
            assert meeting.tell("no folder")
        else:
            meeting.compare("images", {}, "")

    assert run_two(tmp_path, body) == [("error: no folder\n", "nothing"), ("", "")]


@pytest.mark.parametrize("leaving", [0, 1])
def test_the_others_do_not_wait_for_a_process_that_leaves(leaving: int, tmp_path: Path) -> None:
    def body(rank: int, meeting: Meeting) -> None:
        meeting.compare("settings", {}, "")
        if rank == leaving:
            meeting.leave("stopped")
        else:
            meeting.compare("images", {}, "")

    told = {0: ("", "nothing"), 1: ("error: process 1: stopped\n", "")}[leaving]
    assert run_two(tmp_path, body) == [told, [("", ""), ("", "nothing")][leaving]]


def test_a_mistake_at_all_is_told_once(tmp_path: Path) -> None:
    def body(rank: int, meeting: Meeting) -> None:
        assert meeting.tell("unknown key")

    assert run_two(tmp_path, body) == [("error: unknown key\n", "nothing"), ("", "nothing")]


@pytest.mark.parametrize("rank", [0, 1])
def test_processes_that_do_not_meet_end(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**srun(rank, free_port()), "MASTER_ADDR": "127.0.0.9"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as caught:
        Meeting(seconds=1).compare("settings", {}, "")
    assert ("not all 2 processes have come together at 127.0.0.9:" in str(caught.value)) is (rank == 0)
    assert str(caught.value) or rank == 1


def test_a_single_process_meets_nobody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(processes, "ranks", None)
    for environment in ({}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}):  # the second is that of a batch script
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert not is_one_of_several()
        Meeting().compare("settings", {"seed": 1}, "")
        assert not Meeting().tell("a mistake")
    assert not capsys.readouterr().err


def test_nothing_is_exchanged_once_the_training_has_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in torchrun(1, 1).items():
        monkeypatch.setenv(name, value)
    meeting = Meeting(seconds=1)
    meeting.close()
    meeting.compare("settings", {}, "")
    assert not meeting.tell("a full disk")
