"""The way to compute is the fastest one that the settings leave open; it is measured once, and resuming keeps it."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from melanoma_pl.config.composition import jobs_beforehand
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.models import ThreeConvNet
from melanoma_pl.specs import validated
from melanoma_pl.training import autotune
from melanoma_pl.training.autotune import BF16, FULL, Way, choose_way, fastest_way, measure, open_ways, usual_way

SIDE = 22
FAST = Way(FULL, "fused")


def small(batch_norm: bool = False) -> ThreeConvNet:
    return ThreeConvNet((4, 4, 4), hidden=4, image_size=SIDE, batch_norm=batch_norm)


def test_settings_leave_ways_open() -> None:
    network = small()
    every = [Way(FULL, name) for name in ("layers", "fused", "products")]
    assert open_ways([FULL], "auto", network) == every
    assert open_ways([FULL, BF16], "auto", network) == [*every, Way(BF16, "layers"), Way(BF16, "fused")]
    assert open_ways([BF16], "products", network) == [Way(BF16, "products")]
    assert open_ways([FULL], "layers", network) == [Way(FULL, "layers")]


@pytest.mark.parametrize("network", [small(batch_norm=True), nn.Conv2d(3, 1, 3)])
def test_other_networks_choose_a_precision_only(network: nn.Module) -> None:
    assert open_ways([FULL, BF16], "auto", network) == [Way(FULL, "layers"), Way(BF16, "layers")]


@pytest.mark.parametrize(("capability", "usual"), [("AVX2", "products"), ("AVX512", "fused"), ("DEFAULT", "products")])
def test_usual_way_depends_on_the_processor(capability: str, usual: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert usual_way(open_ways([FULL], "auto", small()), small()) == Way(FULL, usual)


def test_usual_precision_of_depthwise_networks_is_32_bits() -> None:
    ways = [Way(FULL, "layers"), Way(BF16, "layers")]
    assert usual_way(ways, nn.Conv2d(3, 8, 3)).precision == BF16
    assert usual_way(ways, nn.Conv2d(8, 8, 3, groups=8)).precision == FULL


def rates(monkeypatch: pytest.MonkeyPatch, **chosen: float) -> list[Way]:
    """Let the measurement find these images/s; return the list of what it was asked for."""
    asked: list[Way] = []

    def invented(ways: list[Way], *arguments: object) -> list[tuple[Way, float]]:
        asked.extend(ways)
        return [(way, chosen[way.convolutions]) for way in ways]

    monkeypatch.setattr(autotune, "measure", invented)
    return asked


def test_a_measurement_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = open_ways([FULL], "auto", small())
    asked = rates(monkeypatch, layers=100, fused=10, products=20)
    for _ in range(2):
        assert fastest_way(ways, small(), 8, SIDE, tmp_path) == Way(FULL, "layers")
    assert asked == ways
    monkeypatch.setattr(torch, "__version__", "99.0")
    fastest_way(ways, small(), 8, SIDE, tmp_path)
    assert asked == ways * 2
    assert len(json.loads((tmp_path / autotune.FILE).read_text())) == 2


def test_a_little_faster_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    ways = open_ways([FULL], "auto", small())
    rates(monkeypatch, layers=102, fused=100, products=90)
    assert fastest_way(ways, small(), 8, SIDE, None) == FAST


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', '{"a": {"b": "c"}}'])
def test_a_damaged_file_counts_as_none(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / autotune.FILE).write_text(content)
    asked = rates(monkeypatch, layers=1, fused=1, products=1)
    fastest_way(open_ways([FULL], "auto", small()), small(), 8, SIDE, tmp_path)
    assert len(asked) == 3


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    rates(monkeypatch, layers=1, fused=9, products=1)
    assert fastest_way(open_ways([FULL], "auto", small()), small(), 8, SIDE, tmp_path / "file") == FAST


def test_measuring_computes_each_way_and_leaves_no_trace() -> None:
    network, ran = small(), []

    class Spy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            ran.append((network.convolutions, torch.is_autocast_enabled("cpu"), network.training))
            return images

    network.conv_1 = nn.Sequential(Spy(), network.conv_1)  # type: ignore[assignment]
    ways = [Way(FULL, "layers"), Way(BF16, "layers")]
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    found = dict(measure(ways, network, 2, SIDE))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert list(found) == ways
    assert all(rate > 0 for rate in found.values())
    assert ran[:2] == [("layers", False, True), ("layers", True, True)]
    assert network.convolutions == "layers"
    assert all(parameter.grad is None for parameter in network.parameters())


def settings(*words: str) -> TrainSettings:
    return validated(TrainSettings, next(jobs_beforehand("train", ["logger=none", "data.cache_folder=null", *words])))


@pytest.mark.parametrize(
    ("model", "wanted", "chosen"),
    [
        ("three_conv", "auto", BF16),
        ("timm", "auto", BF16),
        ("efficientnet_lite0", "auto", FULL),  # depthwise convolutions are slower in bf16
        ("efficientnet_lite0", BF16, BF16),
    ],
)
def test_small_steps_take_the_usual_precision_unless_told_otherwise(
    model: str, wanted: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if model != "three_conv":
        pytest.importorskip("timm", reason="needs melanoma-pl[timm]")
    monkeypatch.setattr("melanoma_pl.inference.hardware.has_bf16", lambda accelerator: True)
    monkeypatch.setattr(autotune, "measure", lambda *arguments: pytest.fail("a small step was measured"))
    small_steps = ("data.image_size=64", "data.batch_size=8")
    assert (
        choose_way(settings(f"model={model}", f"trainer.precision={wanted}", *small_steps), "cpu", {}).precision
        == chosen
    )


def test_large_steps_are_measured_by_one_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = rates(monkeypatch, layers=9, fused=1, products=1)
    assert choose_way(settings("trainer.precision=32-true", "data.batch_size=128"), "cpu", {}) == Way(FULL, "layers")
    assert len(asked) == 3
    choose_way(settings("data.batch_size=128", "trainer=ddp"), "cpu", {})
    assert len(asked) == 3


@pytest.mark.parametrize("recorded", [{"precision": FULL, "convolutions": "products"}, {"precision": 3}, {}])
def test_a_resumed_run_goes_on_in_its_own_way_if_that_is_possible(
    recorded: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates(monkeypatch, layers=9, fused=1, products=1)
    expected = "products" if "convolutions" in recorded else "layers"
    assert choose_way(settings("data.batch_size=128"), "cpu", recorded).convolutions == expected
    assert choose_way(settings("trainer.convolutions=fused"), "cpu", recorded).convolutions == "fused"
