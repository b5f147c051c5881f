"""Settings of speed change no bits, or only the last bits of the weights, and the record names them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from melanoma_pl.train import command
from melanoma_pl.training.fit import train  # noqa: F401  imported here, so that no test's time holds it
from tests.conftest import TINY, Command, only_run

CLOCK = ("train/seconds", "train/images_per_second")
HAS_COMPILER = any(map(shutil.which, ("g++", "clang++")))


def trained(run_command: Command, folder: Path, name: str, *settings: str) -> Any:
    """Return a run's record, its checkpoint's weights and its figures without those of the clock."""
    result = run_command(
        command, *TINY, "data=folder", f"data.root={folder}", "augmentation=dermoscopy", f"name={name}", *settings
    )
    assert result.code == 0, result.error
    run = only_run(Path.cwd(), name)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    lines = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    kept = [index for index, column in enumerate(lines[0]) if column not in CLOCK]
    return (
        json.loads((run / "run.json").read_text()),
        checkpoint["state_dict"],
        [[line[index] for index in kept] for line in lines],
    )


@pytest.mark.parametrize(
    "settings",
    [
        ["data.resident=true"],
        ["data.num_workers=2"],
        ["data.cache_fraction=0"],
        ["data.cache_fraction=0", "data.cache_folder=null", "data.num_workers=2"],
        ["trainer.keep_memory=false"],
    ],
)
def test_no_bit_depends_on_where_images_lie(settings: list[str], image_folder: Path, run_command: Command) -> None:
    _, weights, figures = trained(run_command, image_folder, "plain")
    _, others, other_figures = trained(run_command, image_folder, "other", *settings)
    assert figures == other_figures
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@pytest.mark.parametrize(
    "setting",
    [
        "trainer.blockwise=false",
        "trainer.channels_last=false",
        "optimizer.fused=false",
        pytest.param(
            "trainer.compile=default",
            marks=[pytest.mark.slow, pytest.mark.skipif(not HAS_COMPILER, reason="needs a C++ compiler")],
        ),
    ],
)
def test_what_changes_rounding_changes_nothing_else(setting: str, image_folder: Path, run_command: Command) -> None:
    shape = ("model.channels=[8,16,16]", "model.dropout=0", "optimizer.lr=1e-4")
    _, weights, _ = trained(run_command, image_folder, "plain", *shape)
    record, others, _ = trained(run_command, image_folder, "other", *shape, setting)
    name, _, value = setting.rpartition(".")[2].partition("=")
    assert record["arithmetic"][name] == (value if name == "compile" else json.loads(value))
    for parameter in weights:
        if parameter.startswith("network."):
            torch.testing.assert_close(others[parameter], weights[parameter], rtol=1e-3, atol=1e-4)


def test_run_records_its_arithmetic(image_folder: Path, run_command: Command) -> None:
    record, _, _ = trained(run_command, image_folder, "plain")
    assert record["arithmetic"] == {
        "precision": "32-true",
        "channels_last": True,
        "blockwise": True,
        "compile": "none",
        "fused": True,
    }


def test_compiling_without_a_compiler_is_refused(
    image_folder: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    result = run_command(command, *TINY, "data=folder", f"data.root={image_folder}", "trainer.compile=default")
    assert result.code == 2
    assert "C++ compiler" in result.error


def test_a_resumed_run_computes_as_it_is_told_to(image_folder: Path, run_command: Command) -> None:
    trained(run_command, image_folder, "plain", "test=false")
    run = only_run(Path.cwd(), "plain")
    result = run_command(command, f"resume={run}", "trainer.max_epochs=3", "optimizer.fused=false")
    assert result.code == 0, result.error
    (state,) = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"]
    assert state["param_groups"][0]["fused"] is False
    assert json.loads((run / "run.json").read_text())["arithmetic"]["fused"] is False
