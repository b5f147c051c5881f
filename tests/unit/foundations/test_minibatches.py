"""Mini-batches use each example once per epoch, are unbiased, and scatter less the larger they are."""

import pytest
import torch

from melanoma_pl.foundations.descent import descend
from melanoma_pl.foundations.minibatches import (
    OneNeuron,
    expected_scatter,
    measured_scatter,
    shuffled_minibatches,
    stochastic_descend,
)

START = torch.tensor([-1.0, 2.0], dtype=torch.float64)


@pytest.fixture
def neuron() -> OneNeuron:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(200, generator=generator, dtype=torch.float64)
    return OneNeuron(inputs, (inputs + torch.randn(200, generator=generator, dtype=torch.float64) > 0).double())


def test_an_epoch_uses_each_example_once_and_in_a_new_order():
    generator = torch.Generator().manual_seed(0)
    first, second = (shuffled_minibatches(23, 10, generator) for _ in range(2))
    assert [len(indices) for indices in first] == [10, 10, 3]
    assert sorted(torch.cat(first).tolist()) == list(range(23))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()


def test_a_mini_batch_of_all_examples_is_plain_gradient_descent(neuron):
    ours = stochastic_descend(neuron, START, learning_rate=0.5, size=200, epochs=5, seed=1)
    torch.testing.assert_close(ours, descend(neuron.gradient, START, 0.5, steps=5), rtol=0, atol=1e-12)


def test_the_mean_over_equal_mini_batches_is_the_gradient_of_all_examples(neuron):
    batches = shuffled_minibatches(200, 20, torch.Generator().manual_seed(2))
    mean = torch.stack([neuron.only(indices).gradient(START) for indices in batches]).mean(dim=0)
    torch.testing.assert_close(mean, neuron.gradient(START), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [1, 10, 100])
def test_measured_scatter_equals_expected_scatter(neuron, size):
    gradients = neuron.gradients(START)
    assert measured_scatter(gradients, size, repeats=1000, seed=3) == pytest.approx(
        expected_scatter(gradients, size).item(), rel=0.1
    )


def test_scatter_falls_like_one_over_the_root_of_the_size_and_ends_at_zero(neuron):
    gradients = neuron.gradients(START)
    assert (expected_scatter(gradients, 1) / expected_scatter(gradients, 4)).item() == pytest.approx(2, rel=0.02)
    assert expected_scatter(gradients, 200) == 0


def test_small_mini_batches_descend_further_with_the_same_number_of_examples(neuron):
    whole = stochastic_descend(neuron, START, learning_rate=0.5, size=200, epochs=3, seed=4)
    small = stochastic_descend(neuron, START, learning_rate=0.5, size=10, epochs=3, seed=4)
    assert neuron.cost(small[-1]) < neuron.cost(whole[-1]) - 0.1
