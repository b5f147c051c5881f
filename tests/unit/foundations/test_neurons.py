"""Neurons agree with torch's sigmoid, linear and autograd."""

from functools import partial

import pytest
import torch

from melanoma_pl.foundations.neurons import (
    perceptrons,
    predicted_output_change,
    rectified,
    sigmoid,
    sigmoid_derivative,
    sigmoid_neurons,
    step,
    weighted_inputs,
)

EXACT = {"rtol": 0, "atol": 1e-12}


@pytest.fixture
def layer() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return inputs (5, 3), weights (2, 3) and biases (2,)."""
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((5, 3), (2, 3), (2,)))


def test_weighted_inputs_are_torchs_linear_layer(layer):
    torch.testing.assert_close(weighted_inputs(*layer), torch.nn.functional.linear(*layer), **EXACT)


def test_two_weights_of_minus_two_and_a_bias_of_three_make_a_nand_gate():
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    answers = perceptrons(inputs, torch.tensor([[-2.0, -2.0]]), torch.tensor([3.0]))
    assert answers[:, 0].tolist() == [1, 1, 1, 0]


def test_a_perceptron_is_silent_at_its_threshold_exactly():
    assert step(torch.tensor([-1e-9, 0.0, 1e-9])).tolist() == [0, 0, 1]


def test_sigmoid_is_torchs_also_where_it_saturates():
    z = torch.tensor([-1000, -40, -2, 0, 3, 40, 1000], dtype=torch.float64)
    torch.testing.assert_close(sigmoid(z), torch.sigmoid(z), **EXACT)


def test_sigmoid_derivative_is_autograds_and_at_most_a_quarter():
    z = torch.linspace(-12, 12, 101, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(torch.sigmoid(z).sum(), z)
    torch.testing.assert_close(sigmoid_derivative(z.detach()), slope, **EXACT)
    assert sigmoid_derivative(z.detach()).max() == sigmoid_derivative(torch.tensor(0.0)) == 0.25


def test_rectified_is_relu():
    z = torch.linspace(-2, 2, 9)
    assert torch.equal(rectified(z), torch.relu(z))


def test_sigmoid_neurons_with_large_weights_become_perceptrons(layer):
    inputs, weights, biases = layer
    torch.testing.assert_close(sigmoid_neurons(inputs, 1e4 * weights, 1e4 * biases), perceptrons(*layer), **EXACT)


def test_predicted_output_change_is_autograds_directional_derivative(layer):
    inputs, weights, biases = layer
    moves = torch.full_like(weights, 0.3), torch.full_like(biases, -0.2)
    _, change = torch.autograd.functional.jvp(partial(sigmoid_neurons, inputs), (weights, biases), moves)
    torch.testing.assert_close(predicted_output_change(*layer, *moves), change, **EXACT)


def test_halving_a_small_change_quarters_what_the_prediction_misses(layer):
    inputs, weights, biases = layer
    misses = []
    for size in (1e-3, 5e-4):
        moves = torch.full_like(weights, size), torch.full_like(biases, size)
        real = sigmoid_neurons(inputs, weights + moves[0], biases + moves[1]) - sigmoid_neurons(*layer)
        misses.append(float((real - predicted_output_change(*layer, *moves)).abs().max()))
    assert misses[0] / misses[1] == pytest.approx(4, rel=0.01)


def test_the_same_small_change_leaves_a_perceptron_alone_or_flips_it():
    one = torch.ones(1, 1)
    changes = [perceptrons(one, one * weight, torch.tensor([-1.0])).item() for weight in (0.5, 0.51, 1.0, 1.01)]
    assert changes == [0, 0, 0, 1]
