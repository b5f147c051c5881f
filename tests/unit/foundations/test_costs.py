"""Costs, against torch.nn.functional and autograd."""

import pytest
import torch
from torch.nn import functional

from melanoma_pl.foundations.backpropagation import output_error
from melanoma_pl.foundations.costs import (
    CROSS_ENTROPY,
    QUADRATIC,
    cross_entropy_cost,
    cross_entropy_from_weighted_inputs,
)
from melanoma_pl.foundations.neurons import sigmoid, sigmoid_derivative

EXACT = {"rtol": 0, "atol": 1e-10}
BOTH = pytest.mark.parametrize("cost", [QUADRATIC, CROSS_ENTROPY], ids=lambda cost: cost.name)


@pytest.fixture
def z() -> torch.Tensor:
    return 2 * torch.randn(7, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.randint(0, 2, (7, 3), generator=torch.Generator().manual_seed(3)).double()


def test_quadratic_cost_is_half_of_torchs_squared_error_over_the_examples(z, targets):
    expected = functional.mse_loss(sigmoid(z), targets, reduction="sum") / (2 * 7)
    torch.testing.assert_close(QUADRATIC.value(sigmoid(z), targets), expected, **EXACT)


def test_cross_entropy_is_torchs_from_activations_and_from_weighted_inputs(z, targets):
    expected = functional.binary_cross_entropy(sigmoid(z), targets, reduction="sum") / 7
    torch.testing.assert_close(cross_entropy_cost(sigmoid(z), targets), expected, **EXACT)
    torch.testing.assert_close(cross_entropy_from_weighted_inputs(z, targets), expected, **EXACT)


def test_from_weighted_inputs_stays_finite_where_the_sigmoid_has_rounded_away():
    z, target = torch.full((1, 1), 800.0, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    assert cross_entropy_cost(sigmoid(z), target).isinf()
    assert cross_entropy_from_weighted_inputs(z, target).item() == 800
    assert functional.binary_cross_entropy_with_logits(z, target).item() == 800


def test_a_sure_and_right_answer_costs_nothing():
    answers = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    assert cross_entropy_cost(answers, answers) == 0
    assert QUADRATIC.value(answers, answers) == 0


@BOTH
def test_gradient_by_the_activations_is_autograds(cost, z, targets):
    activations = sigmoid(z).requires_grad_()
    (slope,) = torch.autograd.grad(cost.value(activations, targets) * len(z), activations)
    torch.testing.assert_close(cost.gradient(activations.detach(), targets), slope, **EXACT)


@BOTH
def test_output_error_is_autograds_gradient_by_the_weighted_inputs(cost, z, targets):
    z.requires_grad_()
    (slope,) = torch.autograd.grad(cost.value(sigmoid(z), targets) * len(z), z)
    torch.testing.assert_close(cost.output_error(z.detach(), targets), slope, **EXACT)


@BOTH
def test_output_error_is_the_first_equation(cost, z, targets):
    expected = output_error(cost.gradient(sigmoid(z), targets), z)
    torch.testing.assert_close(cost.output_error(z, targets), expected, **EXACT)


def test_only_the_quadratic_error_vanishes_where_the_neuron_is_saturated_and_wrong():
    z, target = torch.tensor([[10.0]], dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    assert QUADRATIC.output_error(z, target).item() == pytest.approx(sigmoid_derivative(z).item(), rel=1e-4)
    assert QUADRATIC.output_error(z, target) < 1e-4
    assert CROSS_ENTROPY.output_error(z, target) > 0.9999
