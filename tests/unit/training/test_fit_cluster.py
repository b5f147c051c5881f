"""The way in which Lightning learns of the other processes."""

import pytest
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from melanoma_pl.training.fit import _cluster

TASK = {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_JOB_NAME": "melanoma"}


@pytest.fixture(autouse=True)
def outside_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove what srun and torchrun would set."""
    for name in (*TASK, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def test_a_shell_in_an_allocation_is_not_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    (alone,) = _cluster(1)
    assert isinstance(alone, LightningEnvironment)


def test_a_task_of_srun_knows_the_others_and_does_not_requeue_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TASK.items():
        monkeypatch.setenv(name, value)
    (cluster,) = _cluster(2)
    assert isinstance(cluster, SLURMEnvironment)
    assert (cluster.world_size(), cluster.global_rank(), cluster.auto_requeue) == (2, 1, False)


def test_a_process_of_torchrun_or_without_slurm_is_left_to_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _cluster(2) == []
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert _cluster(2) == []
