"""The four equations, each alone against autograd."""

import pytest
import torch

from melanoma_pl.foundations.backpropagation import bias_gradient, hidden_error, output_error, weight_gradient

EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(6)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_first_equation_holds_for_any_cost(draw):
    z, anything = draw(5, 3).requires_grad_(), draw(5, 3)
    activations = torch.sigmoid(z)
    (by_activations, by_z) = torch.autograd.grad((anything * activations**3).sum(), (activations, z))
    torch.testing.assert_close(output_error(by_activations, z.detach()), by_z, **EXACT)


def test_second_equation(draw):
    z, next_weights, next_biases, anything = draw(5, 3).requires_grad_(), draw(4, 3), draw(4), draw(5, 4)
    next_z = torch.nn.functional.linear(torch.sigmoid(z), next_weights, next_biases)
    (next_error, error) = torch.autograd.grad((anything * next_z**2).sum(), (next_z, z))
    torch.testing.assert_close(hidden_error(next_error, next_weights, z.detach()), error, **EXACT)


def test_third_and_fourth_equation_are_means_over_the_mini_batch(draw):
    activations, weights, biases = draw(5, 3), draw(4, 3).requires_grad_(), draw(4).requires_grad_()
    z = torch.nn.functional.linear(activations, weights, biases)
    costs = (z**3).sum(dim=1)
    (error,) = torch.autograd.grad(costs.sum(), z, retain_graph=True)
    (by_weights, by_biases) = torch.autograd.grad(costs.mean(), (weights, biases))
    torch.testing.assert_close(bias_gradient(error), by_biases, **EXACT)
    torch.testing.assert_close(weight_gradient(error, activations), by_weights, **EXACT)


def test_for_one_example_the_fourth_equation_is_activation_times_error():
    gradient = weight_gradient(torch.tensor([[2.0, 3.0]]), torch.tensor([[5.0, 7.0, 11.0]]))
    assert gradient.tolist() == [[10, 14, 22], [15, 21, 33]]
