"""The comparison itself: it finds equal what is equal, and does not hide what is not."""

import pytest
import torch

from melanoma_pl.foundations.backpropagation import (
    Parameters,
    autograd_gradient,
    cost_gradient,
    flattened,
    largest_difference,
)
from melanoma_pl.foundations.costs import CROSS_ENTROPY, QUADRATIC
from melanoma_pl.foundations.learning import initial_parameters


@pytest.mark.parametrize("cost", [QUADRATIC, CROSS_ENTROPY], ids=lambda cost: cost.name)
def test_four_equations_agree_with_autograd(cost):
    parameters = initial_parameters([4, 5, 3, 1], seed=1)
    inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    targets = torch.tensor([[0.0], [1.0]], dtype=torch.float64).repeat(4, 1)
    theirs = autograd_gradient(parameters, inputs, targets, cost)
    assert largest_difference(flattened(cost_gradient(parameters, inputs, targets, cost)), flattened(theirs)) < 1e-10
    assert not any(weights.requires_grad for weights in parameters.weights)


def test_flattened_puts_weights_before_biases():
    parameters = Parameters(
        [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]])], [torch.tensor([4.0]), torch.tensor([5.0])]
    )
    assert flattened(parameters).tolist() == [1, 2, 3, 4, 5]


def test_largest_difference_takes_tensors_and_sequences():
    assert largest_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0])) == 0.5
    assert largest_difference([torch.zeros(2), torch.ones(3)], [torch.zeros(2), torch.zeros(3)]) == 1


def test_largest_difference_refuses_to_broadcast():
    with pytest.raises(ValueError, match="shapes differ"):
        largest_difference(torch.zeros(3), torch.zeros(3, 1))
