"""The comparison with autograd finds agreement and does not hide differences."""

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


def test_largest_difference_is_absolute():
    assert largest_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0])) == 0.5
    assert largest_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0])) == 1


def test_the_gradient_of_a_parameter_without_effect_is_zero():
    parameters = initial_parameters([2, 1], seed=1)
    inputs, targets = torch.zeros(3, 2, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)
    constant = QUADRATIC._replace(value=lambda activations, targets: (activations.detach() + 0 * targets).sum())
    gradient = autograd_gradient(parameters, inputs, targets.requires_grad_(), constant)
    assert not flattened(gradient).any()


def test_largest_difference_refuses_to_broadcast():
    with pytest.raises(ValueError, match="shapes differ"):
        largest_difference(torch.zeros(3), torch.zeros(3, 1))
