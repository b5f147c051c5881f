"""Features of an image, and the last convolution."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.features import MOST_FEATURES, last_convolution, tapped

SIDE = 32


def network() -> ThreeConvNet:
    return ThreeConvNet((4, 4, 6), hidden=8, image_size=SIDE).eval()


def test_features_are_mean_and_deviation_of_the_last_maps() -> None:
    net, images = network(), torch.rand(5, 3, SIDE, SIDE)
    with torch.no_grad(), tapped(net) as collected:
        net(images)
        second = torch.relu(net.pool_2(net.conv_2(torch.relu(net.pool_1(net.conv_1(images))))))
        maps = net.conv_3(second).numpy()
    expected = np.hstack([maps.mean((2, 3)), np.log(maps.std((2, 3), ddof=1) + 1e-6)])
    np.testing.assert_allclose(collected[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_an_image_of_one_colour_is_far_from_any_image() -> None:
    net = network()
    with torch.no_grad(), tapped(net) as collected:
        net(torch.cat([torch.rand(1, 3, SIDE, SIDE), torch.full((1, 3, SIDE, SIDE), 0.5)]))
    image, one_colour = collected[0][:, 6:]
    assert (one_colour < image - 5).all()


def test_each_call_is_collected_and_nothing_is_left_on_the_network() -> None:
    net = network()
    with torch.no_grad(), tapped(net) as collected:
        net(torch.rand(2, 3, SIDE, SIDE))
        net(torch.rand(3, 3, SIDE, SIDE))
    assert [len(features) for features in collected] == [2, 3]
    net(torch.rand(1, 3, SIDE, SIDE))
    assert len(collected) == 2
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_threads_collect_their_own_features() -> None:
    net, own = network(), threading.local()
    images = [torch.rand(count, 3, SIDE, SIDE) for count in (2, 3, 4, 5) * 5]
    passes = itertools.count()  # the first one, which looks for the layer, must not see what others compute meanwhile
    net.conv_2.register_forward_pre_hook(lambda *arguments: time.sleep(0.02 if next(passes) else 0))
    net.dense_1.register_forward_pre_hook(lambda *arguments: time.sleep(0.005))

    def features_of(batch: Tensor) -> Tensor:
        own.features = []
        with torch.no_grad():
            net(batch)
        (features,) = own.features
        assert isinstance(features, Tensor)
        return features

    with tapped(net, lambda features: own.features.append(features)) as collected, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(features_of, images))
    assert collected == []
    with torch.no_grad(), tapped(net) as expected:
        for batch in images:
            net(batch)
    assert all(map(torch.equal, found, expected))


def test_without_a_convolution_it_is_what_the_last_dense_layer_is_given() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 1))
    images = torch.rand(4, 3, 2, 2)
    with torch.no_grad(), tapped(net) as collected:
        net(images)
    torch.testing.assert_close(collected[0], net[:3](images).detach())


def test_networks_that_tell_nothing() -> None:
    too_many = nn.Sequential(nn.Flatten(), nn.Linear(MOST_FEATURES + 1, 1))
    pairs = [(nn.AvgPool2d(2), torch.rand(1, 3, 4, 4)), (too_many, torch.rand(1, MOST_FEATURES + 1, 1, 1))]
    for net, images in pairs:
        with torch.no_grad(), tapped(net) as collected:
            net(images)
        assert collected == []


def test_of_very_many_channels_the_means_are_taken_alone() -> None:
    net = nn.Sequential(nn.Conv2d(3, MOST_FEATURES, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad(), tapped(net) as collected:
        net(torch.rand(1, 3, 2, 2))
    assert collected[0].shape == (1, MOST_FEATURES)


def test_an_activation_in_place_changes_nothing() -> None:
    torch.manual_seed(0)
    convolution, images = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)
    found = []
    for inplace in (False, True):
        net = nn.Sequential(convolution, nn.ReLU(inplace=inplace), nn.Flatten(), nn.Linear(144, 1))
        with torch.no_grad(), tapped(net) as collected:
            net(images)
        found.append(collected[0])
    torch.testing.assert_close(*found)


def test_the_last_convolution() -> None:
    net = network()
    assert last_convolution(net) is net.conv_3
    assert last_convolution(nn.Sequential(nn.Flatten(), nn.Linear(12, 1))) is None


class DefinedBackwards(nn.Module):
    """Its convolutions run in the other order than they are defined in; the one that runs last sees no places."""

    def __init__(self) -> None:
        super().__init__()
        self.pooled = nn.Conv2d(4, 1, 1)
        self.second = nn.Conv2d(4, 4, 3)
        self.first = nn.Conv2d(3, 4, 3)
        self.unused = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = self.second(self.first(images))
        return self.pooled(features.mean((2, 3), keepdim=True)).flatten(1)


def test_the_last_convolution_that_runs_and_returns_a_map() -> None:
    net = DefinedBackwards()
    assert last_convolution(net, torch.zeros(1, 3, SIDE, SIDE)) is net.second
    assert not any(module._forward_hooks for module in net.modules())
