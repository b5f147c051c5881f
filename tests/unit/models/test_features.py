"""What a network's last dense layer sees."""

import torch
from torch import nn

from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.features import MOST_FEATURES, last_dense, tapped

SMALL = {"channels": (4, 4, 4), "hidden": 8, "image_size": 32}


def test_features_are_what_the_last_layer_is_given() -> None:
    network = ThreeConvNet(**SMALL).eval()  # type: ignore[arg-type]
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad(), tapped(network) as collected:
        logits = network(images)
    (features,) = collected
    assert features.shape == (5, 8)
    torch.testing.assert_close(network.dense_2(features).detach(), logits)


def test_nothing_is_left_on_the_network() -> None:
    network = ThreeConvNet(**SMALL).eval()  # type: ignore[arg-type]
    with tapped(network) as collected:
        pass
    network(torch.rand(1, 3, 32, 32))
    assert collected == []
    assert not network.dense_2._forward_pre_hooks


def test_networks_without_such_a_layer() -> None:
    assert last_dense(nn.Sequential(nn.Conv2d(3, 1, 3))) is None
    assert last_dense(nn.Linear(MOST_FEATURES + 1, 1)) is None
    with tapped(nn.Conv2d(3, 1, 3)) as collected:
        assert collected == []
