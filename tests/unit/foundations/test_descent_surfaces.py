"""The gradients of the surfaces equal autograd's, and the valley's bound on η is sharp."""

import pytest
import torch
from torch.nn import functional

from melanoma_pl.foundations.descent import Valley, descend
from melanoma_pl.foundations.minibatches import OneNeuron


@pytest.fixture
def neuron() -> OneNeuron:
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(50, generator=generator, dtype=torch.float64)
    return OneNeuron(inputs, (inputs + 0.5 * torch.randn(50, generator=generator, dtype=torch.float64) > 0).double())


def test_gradients_equal_autograds(neuron):
    position = torch.tensor([0.8, -1.1], dtype=torch.float64, requires_grad=True)
    for surface in (Valley(), neuron):
        (slope,) = torch.autograd.grad(surface.cost(position), position)
        torch.testing.assert_close(surface.gradient(position.detach()), slope, rtol=0, atol=1e-12)


def test_the_cost_of_one_neuron_equals_torchs_cross_entropy_at_every_position_of_a_grid(neuron):
    positions = torch.tensor([[[0.5, 1.0], [2.0, -1.0]], [[0.0, 0.0], [-3.0, 0.2]]], dtype=torch.float64)
    expected = [
        [functional.binary_cross_entropy_with_logits(w * neuron.inputs + b, neuron.targets) for w, b in row]
        for row in positions
    ]
    torch.testing.assert_close(neuron.cost(positions), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_neuron_that_learns_answers_better_than_chance(neuron):
    path = descend(neuron.gradient, torch.tensor([-2.0, 1.0], dtype=torch.float64), learning_rate=1.0, steps=100)
    is_right = ((path[:, :1] * neuron.inputs + path[:, 1:]) > 0) == (neuron.targets > 0.5)  # (steps + 1, examples)
    first, *_, last = is_right.double().mean(dim=1)
    assert first < 0.4
    assert last > 0.7


def test_one_step_multiplies_each_coordinate_of_a_valley_by_one_minus_eta_times_its_curvature():
    path = descend(Valley((1.0, 8.0)).gradient, torch.tensor([-8.0, 2.0], dtype=torch.float64), 0.2, steps=5)
    expected = torch.tensor([-8 * 0.8**5, 2 * (-0.6) ** 5], dtype=torch.float64)
    torch.testing.assert_close(path[-1], expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("learning_rate", "climbs"), [(0.24, False), (0.26, True)])
def test_descent_climbs_where_eta_is_above_two_over_the_largest_curvature(learning_rate, climbs):
    surface = Valley((1.0, 8.0))
    path = descend(surface.gradient, torch.tensor([-8.0, 2.0], dtype=torch.float64), learning_rate, steps=100)
    assert (surface.cost(path[-1]) > surface.cost(path[0])).item() is climbs
