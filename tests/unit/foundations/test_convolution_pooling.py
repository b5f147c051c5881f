"""Max-pooling by hand agrees with max_pool2d and its autograd."""

import pytest
import torch
from torch.nn import functional

from melanoma_pl.foundations.convolution import max_pool, max_pool_gradient, windows, winners


def images(height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(10), dtype=torch.float64)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(("height", "width"), [(6, 6), (7, 9), (5, 8)])
def test_it_is_max_pool2d_and_its_gradient_is_autograds(height, width, size):
    inputs = images(height, width).requires_grad_()
    theirs = functional.max_pool2d(inputs, size)
    errors = torch.randn(theirs.shape, generator=torch.Generator().manual_seed(11), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(theirs, inputs, errors)
    assert torch.equal(max_pool(inputs.detach(), size), theirs.detach())
    assert torch.equal(max_pool_gradient(inputs.detach(), errors, size), gradient)


def test_among_equal_values_the_first_wins_as_in_torch():
    inputs = torch.zeros(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(functional.max_pool2d(inputs, 2).sum(), inputs)
    ours = max_pool_gradient(inputs.detach(), torch.ones(1, 1, 3, 3, dtype=torch.float64))
    assert torch.equal(ours, gradient)
    assert ours[0, 0, ::2, ::2].all()


def test_each_window_has_one_winner_and_no_error_is_lost():
    inputs = images(8, 8)
    errors = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(12), dtype=torch.float64)
    assert (winners(inputs).sum(dim=-1) == 1).all()
    gradient = max_pool_gradient(inputs, errors)
    assert (gradient != 0).sum() == errors.numel()
    torch.testing.assert_close(gradient.sum(), errors.sum(), rtol=0, atol=1e-12)


def test_windows_are_adjacent():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert windows(image)[0, 0].tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]], [[8, 9, 12, 13], [10, 11, 14, 15]]]


def test_a_row_that_does_not_fill_a_window_gets_no_gradient():
    gradient = max_pool_gradient(images(5, 5), torch.ones(2, 3, 2, 2, dtype=torch.float64))
    assert not gradient[..., 4, :].any()
    assert not gradient[..., 4].any()
