"""Resuming from a damaged or foreign `last.ckpt` ends in one line, before a step is trained."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from melanoma_pl import train
from melanoma_pl.errors import UserError
from melanoma_pl.models.checkpoint import OF_TRAINING, read_training
from tests.conftest import TINY, Command, only_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """The outputs of a run of one epoch; tests copy them."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["command"])
        options = [*TINY, "data=folder", f"data.root={image_folder}", "trainer.max_epochs=1", "test=false"]
        assert train.command(options) == 0
    return folder / "outputs"


Damage = Callable[[dict[str, Any]], Any]
DAMAGES: dict[str, Damage] = {
    "which lacks loops": lambda checkpoint: checkpoint.update(loops={}),
    "which lacks epoch": lambda checkpoint: [
        checkpoint.pop(key) for key in list(checkpoint) if key not in ("state_dict", "melanoma_pl")
    ],
    "the optimizer's state": lambda checkpoint: checkpoint["optimizer_states"][0]["state"][0].update(
        exp_avg=torch.zeros(2)
    ),
    "does not fit the network: conv_1.weight": lambda checkpoint: checkpoint["state_dict"].update(
        {"network.conv_1.weight": torch.zeros(2)}
    ),
    "image_size=16 instead of 32": lambda checkpoint: checkpoint["melanoma_pl"]["preprocessing"].update(image_size=16),
    "temperature=0.0": lambda checkpoint: checkpoint["melanoma_pl"].update(temperature=0.0),
}


@pytest.mark.parametrize("expected", DAMAGES)
def test_a_run_does_not_go_on_from_a_damaged_checkpoint(
    expected: str, trained: Path, run_command: Command, work_folder: Path
) -> None:
    shutil.copytree(trained, work_folder / "outputs")
    run = only_run(work_folder)
    last = run / "checkpoints/last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    DAMAGES[expected](checkpoint)
    torch.save(checkpoint, last)
    before = last.read_bytes()
    result = run_command(train.command, f"resume={run}", "trainer.max_epochs=2")
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert last.read_bytes() == before and (run / "run.json").is_file()


@pytest.mark.parametrize("keys", OF_TRAINING)
def test_each_part_of_a_training_is_missed(keys: tuple[str | int, ...], trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint = torch.load(only_run(trained.parent) / "checkpoints/last.ckpt", weights_only=True)
    part: Any = checkpoint
    for key in keys[:-1]:
        part = part[key]
    del part[keys[-1]]
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match="no training can go on from"):
        read_training(path)
