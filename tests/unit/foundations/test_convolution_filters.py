"""Readable kernels on uniform areas, on edges and on images."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from melanoma_pl.foundations.convolution import KERNELS, edge_strength, filtered, grey, to_tensor

EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture
def image() -> torch.Tensor:
    """Return a small image with a vertical edge in the middle."""
    image = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    image[..., 4:] = 1
    return image


@pytest.mark.parametrize("name", ["identity", "blur", "sharpen"])
def test_kernels_that_sum_to_one_keep_a_uniform_area(name):
    uniform = torch.full((1, 3, 5, 5), 0.4, dtype=torch.float64)
    torch.testing.assert_close(filtered(uniform, KERNELS[name]), uniform[..., 1:-1, 1:-1], **EXACT)


@pytest.mark.parametrize("name", ["vertical edges", "horizontal edges", "outline"])
def test_kernels_that_sum_to_zero_respond_to_a_uniform_area_with_zero(name):
    uniform = torch.full((1, 3, 5, 5), 0.4, dtype=torch.float64)
    torch.testing.assert_close(filtered(uniform, KERNELS[name]), torch.zeros(1, 3, 3, 3, dtype=torch.float64), **EXACT)


def test_each_edge_kernel_responds_to_its_own_direction_only(image):
    assert filtered(image, KERNELS["vertical edges"])[0, 0, 0].tolist() == [0, 0, 4, 4, 0, 0]
    assert not filtered(image, KERNELS["horizontal edges"]).any()
    assert not filtered(image.mT, KERNELS["vertical edges"]).any()
    assert torch.equal(edge_strength(image), edge_strength(image.mT).mT)


def test_blur_spreads_an_edge_and_each_turn_removes_a_pixel_on_every_side(image):
    blurred = filtered(image, KERNELS["blur"], times=2)
    assert blurred.shape == (1, 1, 2, 4)
    assert (blurred.diff(dim=-1) > 0).all()


def test_every_channel_is_filtered_separately_as_in_a_grouped_convolution():
    images = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    weight = KERNELS["sharpen"].expand(3, 1, 3, 3)
    torch.testing.assert_close(
        filtered(images, KERNELS["sharpen"]), functional.conv2d(images, weight, groups=3), **EXACT
    )
    torch.testing.assert_close(grey(images), images.mean(dim=1, keepdim=True), **EXACT)


def test_an_image_becomes_a_tensor_between_0_and_1_with_channels_first():
    pixels = np.zeros((2, 4, 3), dtype=np.uint8)
    pixels[1, 3] = (255, 51, 0)
    image = to_tensor(pixels)
    assert image.shape == (1, 3, 2, 4)
    assert image[0, :, 1, 3].tolist() == [1.0, 0.2, 0.0]


def test_all_kernels_are_three_by_three():
    assert all(KERNELS[name].shape == (3, 3) for name in KERNELS)
