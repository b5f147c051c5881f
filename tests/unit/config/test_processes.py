"""Which process writes, by the environment that Lightning, torchrun and SLURM give it."""

from pathlib import Path

import pytest

from melanoma_pl.config.processes import check_processes, is_main_process, rank_arguments
from melanoma_pl.errors import UserError

LAUNCHERS = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS")
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of a launcher that the tests themselves may run under."""
    for name in (*LAUNCHERS, "SLURM_JOB_NAME", "SLURM_STEP_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "is_main"),
    [
        ({}, True),
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, True),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),
        ({"NODE_RANK": "1"}, False),
        ({**TORCHRUN, "RANK": "0"}, True),
        ({**TORCHRUN, "RANK": "2"}, False),  # the first process of the second machine
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, True),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, False),
        ({"SLURM_NTASKS": "4"}, True),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"}, True),
        ({**TORCHRUN, "RANK": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, False),
        ({"LOCAL_RANK": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, False),
    ],
)
def test_one_process_writes(environment: dict[str, str], is_main: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_main_process() is is_main


@pytest.mark.parametrize(
    ("environment", "devices", "nodes", "refused"),
    [
        ({}, 2, 1, False),
        (TORCHRUN, 2, 1, False),
        (TORCHRUN, 1, 2, False),
        (TORCHRUN, 1, 1, True),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, 4, 1, False),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, 2, 1, True),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, 1, 1, False),  # a batch script without srun
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}, 1, 1, True),
        ({"SLURM_NTASKS": "4"}, 1, 1, False),
    ],
)
def test_there_are_as_many_processes_as_devices(
    environment: dict[str, str], devices: int, nodes: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if not refused:
        check_processes(devices, nodes)
        return
    with pytest.raises(UserError, match=f"trainer.devices={devices}"):
        check_processes(devices, nodes)


def test_other_machines_are_started_by_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match=r"trainer\.num_nodes=2"):
        check_processes(1, nodes=2)
    monkeypatch.setenv("MASTER_ADDR", "first.machine")
    check_processes(1, nodes=2)


def test_other_processes_leave_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with rank_arguments(["seed=1"]) as own:
        assert own == ["seed=1"]
    monkeypatch.setenv("LOCAL_RANK", "1")
    with rank_arguments(["seed=1"]) as own:
        folder = Path(own[-1].partition("=")[2].strip('"'))
        assert folder.is_dir()
    assert not folder.exists()
    with rank_arguments(["hydra.run.dir=mine"]) as own:
        assert sum(argument.startswith("hydra.run.dir=") for argument in own) == 1
