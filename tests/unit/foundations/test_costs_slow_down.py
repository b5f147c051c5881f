"""The learning slow-down occurs with the quadratic cost and not with the cross-entropy."""

import pytest
import torch

from melanoma_pl.foundations.costs import CROSS_ENTROPY, QUADRATIC, activations_while_learning, neuron_gradient
from melanoma_pl.foundations.neurons import sigmoid

BADLY_WRONG = {"weight": 2.0, "bias": 2.0}
LESS_WRONG = {"weight": 0.6, "bias": 0.9}
STEPS = {"learning_rate": 0.15, "steps": 300}


def steps_until_right(activations: torch.Tensor) -> int:
    """Return the number of steps until the activation is below 1/2, or all steps if it never is."""
    return int((activations > 0.5).sum())


@pytest.mark.parametrize("cost", [QUADRATIC, CROSS_ENTROPY], ids=lambda cost: cost.name)
def test_gradient_is_autograds(cost):
    position = torch.tensor([0.7, -0.4], dtype=torch.float64, requires_grad=True)
    value = cost.value(sigmoid(position.sum()).reshape(1, 1), torch.zeros(1, 1, dtype=torch.float64))
    (slope,) = torch.autograd.grad(value, position)
    torch.testing.assert_close(neuron_gradient(cost, position.detach()), slope, rtol=0, atol=1e-12)


def test_with_the_quadratic_cost_the_more_wrong_neuron_first_learns_more_slowly():
    worse = activations_while_learning(QUADRATIC, **BADLY_WRONG, **STEPS)
    better = activations_while_learning(QUADRATIC, **LESS_WRONG, **STEPS)
    assert worse[0] - worse[1] < (better[0] - better[1]) / 5
    assert steps_until_right(worse) > 3 * steps_until_right(better)


def test_with_the_cross_entropy_the_slow_start_is_gone():
    quadratic = activations_while_learning(QUADRATIC, **BADLY_WRONG, **STEPS)
    cross_entropy = activations_while_learning(CROSS_ENTROPY, **BADLY_WRONG, **STEPS)
    assert steps_until_right(cross_entropy) < steps_until_right(quadratic) / 10
    assert cross_entropy[-1] < 0.05


def test_with_the_cross_entropy_the_more_wrong_neuron_has_the_larger_gradient():
    worse, better = (torch.tensor(list(start.values()), dtype=torch.float64) for start in (BADLY_WRONG, LESS_WRONG))
    assert neuron_gradient(CROSS_ENTROPY, worse).norm() > neuron_gradient(CROSS_ENTROPY, better).norm()
    assert neuron_gradient(QUADRATIC, worse).norm() < neuron_gradient(QUADRATIC, better).norm()
