"""The way in which Lightning learns of the other processes, wherever SLURM is installed."""

import warnings
from pathlib import Path

import pytest
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from melanoma_pl.training.fit import _cluster

TASK = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_JOB_NAME": "melanoma"}


@pytest.fixture(autouse=True)
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program srun on the path, outside any job."""
    (tmp_path / "srun").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in (*TASK, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def test_a_process_that_srun_did_not_start_is_lightnings_own_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        (alone,) = _cluster(1)
    assert isinstance(alone, LightningEnvironment) and not given
    monkeypatch.setenv("SLURM_NTASKS", "4")  # a shell in an allocation
    (alone,) = _cluster(1)
    assert isinstance(alone, LightningEnvironment)


def test_a_task_of_srun_knows_the_others_and_does_not_requeue_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    (cluster,) = _cluster(2)
    assert isinstance(cluster, SLURMEnvironment)
    assert (cluster.world_size(), cluster.global_rank(), cluster.auto_requeue) == (2, 1, False)


def test_a_process_of_torchrun_or_without_slurm_is_left_to_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert _cluster(2) == []
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    monkeypatch.setenv("PATH", "")
    assert _cluster(2) == []
