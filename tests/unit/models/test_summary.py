"""The table of a network stays short, and its parameters add up."""

import torch
from torch import Tensor, nn

from melanoma_pl.models.summary import MOST_ROWS, summarize


class Deep(nn.Module):
    """Sixty layers in thirty blocks, an output that is no tensor within, and a parameter outside of any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()) for _ in range(30)))
        self.pair = Pair()
        self.nothing = nn.Identity()
        self.head = nn.Linear(3, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps, _ = self.pair(self.blocks(images + self.offset))
        logits: Tensor = self.head(self.nothing(maps.mean((2, 3))))
        return logits


class Pair(nn.Module):
    """Returns its input twice."""

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        return maps, maps


def rows(table: str) -> dict[str, int]:
    """Return the parameters of each row but the heading."""
    return {line.split()[0]: int(line.split()[-1].replace(",", "")) for line in table.splitlines()[1:]}


def test_a_deep_network_has_a_row_a_block_and_the_parameters_add_up() -> None:
    network = Deep()
    table = rows(summarize(network, 8))
    assert len(table) <= MOST_ROWS
    assert table["blocks.29"] == 12
    assert "blocks.0.0" not in table
    assert "nothing" not in table
    assert table["other"] == 3
    assert table.pop("total") == sum(table.values()) == sum(parameter.numel() for parameter in network.parameters())


def test_a_small_network_has_a_row_a_layer() -> None:
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), nn.Flatten(), nn.Linear(72, 1))
    table = summarize(network, 8)
    assert list(rows(table)) == ["0.0", "0.1", "1", "2", "total"]
    assert "2 × 6 × 6" in table


def test_the_network_is_left_as_it_was() -> None:
    network = Deep()
    network.blocks.eval()
    modes = [module.training for module in network.modules()]
    summarize(network, 8)
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())
