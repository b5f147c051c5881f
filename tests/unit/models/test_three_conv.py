"""The original's network, layer by layer."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.summary import summarize
from melanoma_pl.specs import build


def test_parameters_of_the_original() -> None:
    network = ThreeConvNet()
    sizes = [sum(parameter.numel() for parameter in layer.parameters()) for layer in network.children()]
    assert [size for size in sizes if size] == [448, 9_280, 36_928, 4_326_500, 101]
    assert sum(sizes) == 4_373_257


def test_summary_is_the_originals_table() -> None:
    table = summarize(ThreeConvNet(), 224)
    assert "conv_1 (Conv2d)       16 × 222 × 222           448" in table
    assert "pool_3 (MaxPool2d)      64 × 26 × 26             0" in table
    assert "flatten (Flatten)              43264" in table
    assert "4,373,257" in table.splitlines()[-1]


def test_forward_is_conv_relu_pool() -> None:
    network = ThreeConvNet([2, 3, 4], hidden=5, dropout=0.5, image_size=30).eval()
    images = torch.rand(2, 3, 30, 30)
    features = images
    for conv in (network.conv_1, network.conv_2, network.conv_3):
        features = functional.max_pool2d(torch.relu(conv(features)), 2)
    hidden = torch.relu(network.dense_1(features.flatten(1)))
    torch.testing.assert_close(network(images), network.dense_2(hidden))


def test_keras_initial_values() -> None:
    torch.manual_seed(0)
    network = ThreeConvNet(initial_weights="keras")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            fan_out = layer.weight.shape[0] * (layer.weight[0][0].numel() if layer.weight.dim() == 4 else 1)
            limit = (6 / (fan_in + fan_out)) ** 0.5
            weight = layer.weight.detach()
            assert weight.abs().max() <= limit
            if weight.numel() > 400:
                assert float(weight.std()) == pytest.approx(limit / 3**0.5, rel=0.1)
            assert not layer.bias.any()


def test_spec_builds_it_again() -> None:
    network = ThreeConvNet([2, 3, 4], hidden=5, image_size=30)
    again = build(network.spec, nn.Module)
    assert isinstance(again, ThreeConvNet)
    assert again.dense_1.weight.shape == network.dense_1.weight.shape


@pytest.mark.parametrize(
    "options",
    [
        {"channels": [1, 2]},
        {"channels": [-1, 2, 2]},
        {"hidden": 0},
        {"dropout": 1.0},
        {"image_size": 20},
        {"initial_weights": "zeros"},
    ],
)
def test_wrong_options(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ThreeConvNet(**options)  # type: ignore[arg-type]


def test_batch_normalisation_is_folded_exactly() -> None:
    torch.manual_seed(0)
    network = ThreeConvNet([4, 6, 8], hidden=10, image_size=38, batch_norm=True).train()
    for _ in range(5):  # running statistics far from their initial values
        network(3 * torch.rand(8, 3, 38, 38) - 1)
    for norm in (network.norm_1, network.norm_2, network.norm_3):
        nn.init.normal_(norm.weight)  # negative scales, too: the maximum of a pool is then another pixel's
        nn.init.normal_(norm.bias)
    images = 3 * torch.rand(16, 3, 38, 38) - 1
    plain = network.eval().folded()
    torch.testing.assert_close(plain(images), network(images), rtol=0, atol=1e-5)
    assert list(plain.state_dict()) == list(ThreeConvNet([4, 6, 8], hidden=10, image_size=38).state_dict())


def test_only_batch_normalisation_can_be_folded() -> None:
    with pytest.raises(ValueError, match="no batch normalisation"):
        ThreeConvNet(image_size=38).folded()
