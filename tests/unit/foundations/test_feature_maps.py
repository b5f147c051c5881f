"""Kernels as colours, and feature maps that equal a computation layer by layer."""

import pytest
import torch
from torch.nn import functional

from melanoma_pl.foundations.feature_maps import (
    as_colours,
    distinct_channels,
    exciting_patches,
    feature_maps,
    first_kernels,
    silent_fraction,
)
from melanoma_pl.foundations.short_training import initial_network
from melanoma_pl.models import MelanomaClassifier
from melanoma_pl.preprocessing import Preprocessing

SIZE = 32


@pytest.fixture
def classifier() -> MelanomaClassifier:
    return MelanomaClassifier(initial_network(SIZE, seed=2), preprocessing=Preprocessing(SIZE)).eval()


@pytest.fixture
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (2, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)


def test_maps_are_convolution_pooling_and_relu_layer_after_layer(classifier, pixels):
    maps = feature_maps(classifier, pixels)
    network, answers = classifier.network, pixels.float() / 255
    for each, layer in zip(maps.values(), (network.conv_1, network.conv_2, network.conv_3), strict=True):
        answers = functional.max_pool2d(functional.conv2d(answers, layer.weight, layer.bias).relu(), 2)
        torch.testing.assert_close(each, answers.detach())
    assert [tuple(each.shape[1:]) for each in maps.values()] == [(16, 15, 15), (64, 6, 6), (64, 2, 2)]


def test_the_hooks_are_removed_and_the_network_is_unchanged(classifier, pixels):
    before = classifier(pixels)
    feature_maps(classifier, pixels)
    assert torch.equal(classifier(pixels), before)
    assert not any(layer._forward_hooks for layer in classifier.modules())


def test_kernels_are_a_copy(classifier):
    kernels = first_kernels(classifier.network)
    assert kernels.shape == (16, 3, 3, 3)
    kernels.zero_()
    assert classifier.network.conv_1.weight.abs().max() > 0


def test_a_weight_of_0_is_grey_and_the_largest_of_each_kernel_is_bright_or_dark():
    kernels = torch.zeros(2, 3, 1, 2)
    kernels[0, 0, 0, 1], kernels[1, 2, 0, 0] = 4, -2
    colours = as_colours(kernels)
    assert colours.shape == (2, 1, 2, 3)
    assert colours[0, 0].tolist() == [[0.5, 0.5, 0.5], [1.0, 0.5, 0.5]]
    assert colours[1, 0, 0].tolist() == [0.5, 0.5, 0.0]


def test_exciting_patches_are_the_receptive_fields_of_the_strongest_responses():
    pixels = torch.zeros(3, 3, SIZE, SIZE, dtype=torch.uint8)
    for image, (row, column, value) in enumerate(((8, 12, 100), (20, 4, 200), (0, 28, 50))):
        pixels[image, :, row : row + 4, column : column + 4] = value
    images = pixels.permute(0, 2, 3, 1).numpy()
    maps = functional.avg_pool2d(pixels.float().mean(dim=1, keepdim=True), 4).expand(-1, 2, -1, -1)  # one cell a square
    patches = exciting_patches(images, maps, torch.tensor([1]), field=4, jump=4, count=2)
    assert patches.shape == (1, 2, 4, 4, 3)
    assert (patches[0, 0] == 200).all() and (patches[0, 1] == 100).all()


def test_distinct_channels():
    first, second = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))  # (N, H, W) each
    similar, faint, constant = 2 * first + 0.1 * second, 0.01 * second, torch.full_like(first, 9)
    maps = torch.stack([first, constant, similar, second, -first, faint], dim=1)
    assert distinct_channels(maps, 3).tolist() == [2, 4, 3], "the liveliest, its negative, and one of its own"
    assert sorted(distinct_channels(maps, 16).tolist()) == [0, 2, 3, 4], "neither the constant nor the faint one"


def test_silent_channels():
    maps = torch.zeros(2, 4, 2, 2)
    maps[:, 1, 0, 0], maps[:, 3, 0, 0] = 1, 5
    maps[0, 2] = 9
    assert silent_fraction(maps) == 0.25
