"""Readable kernels: what they do to flat ground, to edges and to images."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from melanoma_pl.foundations.filters import KERNELS, edge_strength, filtered, grey, grey_image, kernel

EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture
def picture() -> torch.Tensor:
    """An upright edge in the middle of a small picture."""
    picture = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    picture[..., 4:] = 1
    return picture


@pytest.mark.parametrize("name", ["nothing", "blur", "sharpen"])
def test_kernels_that_sum_to_one_keep_flat_ground(name):
    flat = torch.full((1, 3, 5, 5), 0.4, dtype=torch.float64)
    torch.testing.assert_close(filtered(flat, kernel(name)), flat[..., 1:-1, 1:-1], **EXACT)


@pytest.mark.parametrize("name", ["upright edges", "level edges", "outline"])
def test_kernels_that_sum_to_zero_are_silent_on_flat_ground(name):
    flat = torch.full((1, 3, 5, 5), 0.4, dtype=torch.float64)
    torch.testing.assert_close(filtered(flat, kernel(name)), torch.zeros(1, 3, 3, 3, dtype=torch.float64), **EXACT)


def test_each_edge_kernel_sees_its_own_direction_only(picture):
    assert filtered(picture, kernel("upright edges"))[0, 0, 0].tolist() == [0, 0, 4, 4, 0, 0]
    assert not filtered(picture, kernel("level edges")).any()
    assert not filtered(picture.mT, kernel("upright edges")).any()
    assert torch.equal(edge_strength(picture), edge_strength(picture.mT).mT)


def test_blur_spreads_an_edge_and_each_turn_takes_a_pixel_off_every_side(picture):
    blurred = filtered(picture, kernel("blur"), times=2)
    assert blurred.shape == (1, 1, 2, 4)
    assert (blurred.diff(dim=-1) > 0).all()


def test_every_channel_is_filtered_alone_as_in_a_grouped_convolution():
    pictures = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    weight = kernel("sharpen").expand(3, 1, 3, 3)
    torch.testing.assert_close(
        filtered(pictures, kernel("sharpen")), functional.conv2d(pictures, weight, groups=3), **EXACT
    )
    torch.testing.assert_close(grey(pictures), pictures.mean(dim=1, keepdim=True), **EXACT)


def test_an_image_becomes_numbers_between_0_and_1_channels_first():
    image = np.zeros((2, 4, 3), dtype=np.uint8)
    image[1, 3] = (255, 51, 0)
    picture = grey_image(image)
    assert picture.shape == (1, 3, 2, 4)
    assert picture[0, :, 1, 3].tolist() == [1.0, 0.2, 0.0]


def test_all_kernels_are_three_by_three():
    assert all(kernel(name).shape == (3, 3) for name in KERNELS)
