"""The way to compute is the fastest one that the settings leave open; it is measured once, and resuming keeps it."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from melanoma_pl.models import ThreeConvNet
from melanoma_pl.training import autotune
from melanoma_pl.training.autotune import BF16, FULL, Way, fastest_way, measure, open_ways, usual_way

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


@pytest.mark.parametrize("content", ["", "[]", "{"])
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
