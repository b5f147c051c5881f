"""Convolution by hand agrees with conv2d."""

import pytest
import torch
from torch.nn import functional

from melanoma_pl.foundations.convolution import convolve, output_size, response_at

EXACT = {"rtol": 0, "atol": 1e-10}


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(8)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [(3, 3), (5, 5), (1, 1), (3, 2)], ids=str)
@pytest.mark.parametrize("size", [(12, 12), (11, 14)], ids=str)
def test_it_equals_conv2d(draw, stride, side, size):
    images, kernels, biases = draw(2, 3, *size), draw(4, 3, *side), draw(4)
    expected = functional.conv2d(images, kernels, biases, stride=stride)
    torch.testing.assert_close(convolve(images, kernels, biases, stride), expected, **EXACT)
    assert expected.shape[2:] == tuple(output_size(*sides, stride) for sides in zip(size, side, strict=True))


def test_without_biases(draw):
    images, kernels = draw(1, 2, 7, 7), draw(3, 2, 3, 3)
    torch.testing.assert_close(convolve(images, kernels), functional.conv2d(images, kernels), **EXACT)


def test_every_response_is_the_weighted_sum_of_one_window(draw):
    images, kernels = draw(1, 3, 6, 7), draw(1, 3, 3, 3)
    responses = convolve(images, kernels, stride=2)
    for row, column in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
        expected = response_at(images[0], kernels[0], 2 * row, 2 * column)
        torch.testing.assert_close(responses[0, 0, row, column], expected, **EXACT)


def test_a_shifted_image_gives_shifted_responses(draw):
    images, kernels = draw(1, 1, 10, 10), draw(1, 1, 3, 3)
    moved = convolve(images[..., 2:, 1:], kernels)
    torch.testing.assert_close(moved, convolve(images, kernels)[..., 2:, 1:], **EXACT)


def test_the_kernel_is_not_flipped():
    image = torch.zeros(1, 1, 3, 4)
    image[0, 0, 1, 2] = 1
    kernel = torch.tensor([[[[0.0, 0, 0], [0, 0, 5], [0, 0, 0]]]])
    assert convolve(image, kernel)[0, 0].tolist() == [[5, 0]]


@pytest.mark.parametrize(
    ("size", "window", "stride", "expected"), [(224, 3, 1, 222), (222, 2, 2, 111), (109, 2, 2, 54)]
)
def test_output_size(size, window, stride, expected):
    assert output_size(size, window, stride) == expected
