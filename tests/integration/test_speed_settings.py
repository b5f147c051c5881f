"""Settings of speed change no bits, or only the last bits of the weights, and the record names them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from melanoma_pl.models import classifier
from melanoma_pl.train import command
from melanoma_pl.training import autotune
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
        ["+trainer.log_every_n_steps=5", "+trainer.num_sanity_val_steps=1", "+trainer.enable_progress_bar=true"],
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
        "trainer.convolutions=layers",
        "trainer.convolutions=products",
        "trainer.convolutions=fused",
        "trainer.convolutions=space_to_depth",
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
    assert record["arithmetic"][name] == (json.loads(value) if value in ("true", "false") else value)
    for parameter in weights:
        if parameter.startswith("network."):
            torch.testing.assert_close(others[parameter], weights[parameter], rtol=1e-3, atol=1e-4)


def test_gradients_are_clipped_in_mixed_precision_without_a_fused_optimizer(
    image_folder: Path, run_command: Command
) -> None:
    clipped = ("trainer.precision=bf16-mixed", "+trainer.gradient_clip_val=1.0")
    record, _, _ = trained(run_command, image_folder, "clipped", *clipped)
    assert record["arithmetic"]["fused"] is False
    assert "not fused" in (only_run(Path.cwd(), "clipped") / "train.log").read_text()
    record, _, _ = trained(run_command, image_folder, "plain", clipped[1])
    assert record["arithmetic"]["fused"] is True


def test_averaged_weights_are_those_that_are_validated_and_saved(image_folder: Path, run_command: Command) -> None:
    average = (
        "+callbacks.average._target_=lightning.pytorch.callbacks.EMAWeightAveraging",
        "+callbacks.average.decay=0.9",
        "checkpoint.evaluate=last",
    )
    record, weights, lines = trained(run_command, image_folder, "averaged", *average)
    run = only_run(Path.cwd(), "averaged")
    current = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["current_model_state"]
    assert any(not torch.equal(weights[name], current[name]) for name in weights if name.startswith("network."))
    logged = dict(zip(lines[0], lines[-1], strict=True))
    assert record["figures"]["val/auroc"] == pytest.approx(float(logged["val/auroc"]), abs=1e-6)
    assert record["figures"]["val/loss"] == pytest.approx(float(logged["val/loss"]), abs=1e-5)
    longer = run_command(command, f"resume={run}", "trainer.max_epochs=3", "report=numbers")
    assert longer.code == 0, longer.error
    _, straight, _ = trained(run_command, image_folder, "straight", *average, "trainer.max_epochs=3")
    resumed = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(straight[name], resumed[name]) for name in straight if name.startswith("network."))


def test_run_records_its_arithmetic(image_folder: Path, run_command: Command) -> None:
    record, _, _ = trained(run_command, image_folder, "plain")
    assert record["arithmetic"] == {
        "precision": "32-true",
        "channels_last": True,
        "convolutions": "fused" if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else "products",
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


@pytest.mark.skipif(not HAS_COMPILER, reason="needs a C++ compiler")
def test_augmentation_and_step_are_compiled(
    image_folder: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()

    def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            called.add(f"{function.__name__}, {mode}")
            return function(*arguments)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    settings = ("trainer.compile=default", "trainer.convolutions=space_to_depth")
    record, _, _ = trained(run_command, image_folder, "plain", *settings)
    assert called == {"apply, default", "logits_and_loss, default"}
    assert (record["arithmetic"]["convolutions"], record["arithmetic"]["compile"]) == ("space_to_depth", "default")


def test_when_steps_are_counted_changes_no_bit(
    image_folder: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("data.batch_size=3", "checkpoint.every_n_steps=2")
    _, weights, figures = trained(run_command, image_folder, "plain", *small)
    monkeypatch.setattr(classifier, "MOST_STEPS", 1)
    _, others, other_figures = trained(run_command, image_folder, "other", *small)
    assert figures == other_figures
    sums = [name for name in weights if name.startswith("train_metrics.")]
    assert sums
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_a_resumed_run_computes_as_it_is_told_to(image_folder: Path, run_command: Command) -> None:
    trained(run_command, image_folder, "plain", "test=false")
    run = only_run(Path.cwd(), "plain")
    result = run_command(command, f"resume={run}", "trainer.max_epochs=3", "optimizer.fused=false")
    assert result.code == 0, result.error
    (state,) = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"]
    assert state["param_groups"][0]["fused"] is False
    assert json.loads((run / "run.json").read_text())["arithmetic"]["fused"] is False


def test_a_resumed_run_computes_as_it_began(
    image_folder: Path, run_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autotune, "WORTH_IT", 0)
    fastest = {"now": "products"}
    monkeypatch.setattr(
        autotune, "measure", lambda ways, *arguments: [(way, float(way.convolutions == fastest["now"])) for way in ways]
    )
    shape = ("test=false", "data.cache_folder=null")
    record, _, _ = trained(run_command, image_folder, "plain", *shape)
    assert record["arithmetic"]["convolutions"] == "products"
    fastest["now"] = "layers"
    run = only_run(Path.cwd(), "plain")
    result = run_command(command, f"resume={run}", "trainer.max_epochs=3")
    assert result.code == 0, result.error
    assert json.loads((run / "run.json").read_text())["arithmetic"]["convolutions"] == "products"
    record, _, _ = trained(run_command, image_folder, "later", *shape)
    assert record["arithmetic"]["convolutions"] == "layers"
    result = run_command(command, f"resume={run}", "trainer.max_epochs=4", "trainer.convolutions=fused")
    assert result.code == 0, result.error
    assert json.loads((run / "run.json").read_text())["arithmetic"]["convolutions"] == "fused"
