"""Learning: one step is torch's SGD, and networks of any depth learn to tell synthetic moles apart."""

import pytest
import torch

from melanoma_pl.data.synthetic.synthetic_images import draw_traits
from melanoma_pl.foundations.backpropagation import autograd_gradient, flattened
from melanoma_pl.foundations.costs import CROSS_ENTROPY, QUADRATIC
from melanoma_pl.foundations.learning import (
    Examples,
    Recipe,
    accuracy,
    as_examples,
    initial_parameters,
    learn,
    learn_epoch,
    updated,
)


@pytest.fixture(scope="module")
def moles() -> tuple[Examples, Examples]:
    """Synthetic moles to learn from and held-out ones, by their four traits."""
    traits, labels = draw_traits(400, seed=1)
    return as_examples(traits, labels, traits), as_examples(*draw_traits(400, seed=2), traits)


def test_initial_weighted_inputs_have_the_same_spread_whatever_the_width():
    spreads = []
    for width in (10, 1000):
        parameters = initial_parameters([width, 300], seed=1)
        inputs = torch.randn(300, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        spreads.append((inputs @ parameters.weights[0].T).std().item())
    assert spreads == pytest.approx([1, 1], abs=0.05)


def test_one_step_is_torchs_sgd(moles):
    parameters = initial_parameters([4, 5, 1], seed=3)
    gradient = autograd_gradient(parameters, *moles[0], CROSS_ENTROPY)
    leaves = [values.clone().requires_grad_() for values in (*parameters.weights, *parameters.biases)]
    for leaf, slope in zip(leaves, (*gradient.weights, *gradient.biases), strict=True):
        leaf.grad = slope
    torch.optim.SGD(leaves, lr=0.7).step()
    theirs = torch.cat([leaf.detach().flatten() for leaf in leaves])
    whole = Recipe(learning_rate=0.7, minibatch_size=len(moles[0].inputs))
    ours = learn_epoch(parameters, moles[0], whole, torch.Generator())
    torch.testing.assert_close(flattened(ours), theirs, rtol=0, atol=1e-10)
    torch.testing.assert_close(flattened(updated(parameters, gradient, 0.7)), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sizes", [[4, 1], [4, 6, 1], [4, 6, 6, 1]], ids=str)
def test_a_network_of_any_depth_learns_to_tell_held_out_moles_apart(moles, sizes):
    examples, held_out = moles
    _, course = learn(initial_parameters(sizes, seed=4), examples, held_out, Recipe(epochs=12))
    always_one_answer = max(held_out.targets.double().mean().item(), 1 - held_out.targets.double().mean().item())
    assert course.cost[-1] < 0.7 * course.cost[0]
    assert course.held_out_accuracy[-1] > max(0.8, always_one_answer + 0.2)
    assert len(course.cost) == len(course.accuracy) == len(course.held_out_accuracy) == 13


def test_the_quadratic_cost_learns_too(moles):
    recipe = Recipe(cost=QUADRATIC, learning_rate=1.0, epochs=10)
    parameters, _ = learn(initial_parameters([4, 6, 1], seed=4), *moles, recipe)
    assert accuracy(parameters, moles[1]) > 0.8


def test_shuffled_targets_teach_nothing_about_held_out_moles(moles):
    examples, held_out = moles
    shuffled = examples.targets[torch.randperm(400, generator=torch.Generator().manual_seed(6))]
    start = initial_parameters([4, 6, 1], seed=4)
    parameters, _ = learn(start, Examples(examples.inputs, shuffled), held_out, Recipe(epochs=10))
    assert accuracy(parameters, held_out) < 0.7


def test_the_same_seed_learns_the_same_and_leaves_the_start_alone(moles):
    start = initial_parameters([4, 6, 1], seed=4)
    before = flattened(start).clone()
    first, second = (learn(start, *moles, Recipe(epochs=2))[0] for _ in range(2))
    assert torch.equal(flattened(first), flattened(second))
    assert torch.equal(flattened(start), before)
