"""The five steps agree with autograd on a network of torch.nn layers, for several depths."""

import pytest
import torch
from torch import nn

from melanoma_pl.foundations.backpropagation import Parameters, cost_gradient, feed_forward, flattened, propagate_back
from melanoma_pl.foundations.costs import CROSS_ENTROPY, QUADRATIC, Cost
from melanoma_pl.foundations.learning import initial_parameters

EXACT = {"rtol": 0, "atol": 1e-10}
COSTS = pytest.mark.parametrize("cost", [QUADRATIC, CROSS_ENTROPY], ids=lambda cost: cost.name)
DEPTHS = pytest.mark.parametrize("sizes", [[4, 1], [4, 6, 1], [4, 6, 5, 3, 2]], ids=str)


def torch_network(parameters: Parameters) -> nn.Sequential:
    """Return the same network made of torch's own layers."""
    layers = []
    for weights, biases in zip(parameters.weights, parameters.biases, strict=True):
        linear = nn.Linear(weights.shape[1], weights.shape[0], dtype=torch.float64)
        linear.load_state_dict({"weight": weights, "bias": biases})
        layers += [linear, nn.Sigmoid()]
    return nn.Sequential(*layers)


def torch_cost(cost: Cost, activations: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    if cost is QUADRATIC:
        return nn.functional.mse_loss(activations, targets, reduction="sum") / (2 * len(targets))
    return nn.functional.binary_cross_entropy(activations, targets, reduction="sum") / len(targets)


def examples(sizes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    inputs = torch.randn(9, sizes[0], generator=generator, dtype=torch.float64)
    return inputs, torch.randint(0, 2, (9, sizes[-1]), generator=generator).double()


@DEPTHS
def test_forward_is_torchs(sizes):
    parameters, (inputs, _) = initial_parameters(sizes, seed=1), examples(sizes)
    signals = feed_forward(parameters, inputs)
    torch.testing.assert_close(signals.activations[-1], torch_network(parameters)(inputs).detach(), **EXACT)
    assert [tuple(z.shape) for z in signals.weighted_inputs] == [(9, size) for size in sizes[1:]]


@COSTS
@DEPTHS
def test_gradient_is_autograds(sizes, cost):
    parameters, (inputs, targets) = initial_parameters(sizes, seed=2), examples(sizes)
    network = torch_network(parameters)
    torch_cost(cost, network(inputs), targets).backward()
    ours = cost_gradient(parameters, inputs, targets, cost)
    torch.testing.assert_close(ours.weights, [layer.weight.grad for layer in network[::2]], **EXACT)
    torch.testing.assert_close(ours.biases, [layer.bias.grad for layer in network[::2]], **EXACT)


@COSTS
def test_a_mini_batchs_gradient_is_the_mean_of_its_examples(cost):
    parameters, (inputs, targets) = initial_parameters([4, 6, 2], seed=3), examples([4, 6, 2])
    alone = [flattened(cost_gradient(parameters, inputs[[row]], targets[[row]], cost)) for row in range(len(inputs))]
    together = flattened(cost_gradient(parameters, inputs, targets, cost))
    torch.testing.assert_close(together, torch.stack(alone).mean(dim=0), **EXACT)


def test_gradient_is_what_small_changes_of_each_parameter_do():
    parameters, (inputs, targets) = initial_parameters([4, 3, 1], seed=4), examples([4, 3, 1])
    gradient = cost_gradient(parameters, inputs, targets, CROSS_ENTROPY)
    for values, slopes in zip([*parameters.weights, *parameters.biases], flattened_parts(gradient), strict=True):
        for index in range(values.numel()):
            costs = []
            for change in (1e-5, -1e-5):
                values.view(-1)[index] += change
                costs.append(CROSS_ENTROPY.value(feed_forward(parameters, inputs).activations[-1], targets))
                values.view(-1)[index] -= change
            assert ((costs[0] - costs[1]) / 2e-5).item() == pytest.approx(slopes.view(-1)[index].item(), abs=1e-8)


def flattened_parts(gradient: Parameters) -> list[torch.Tensor]:
    return [*gradient.weights, *gradient.biases]


def test_errors_come_layer_by_layer_in_the_order_of_the_layers():
    sizes = [4, 6, 5, 2]
    parameters, (inputs, targets) = initial_parameters(sizes, seed=5), examples(sizes)
    signals = feed_forward(parameters, inputs)
    last = QUADRATIC.output_error(signals.weighted_inputs[-1], targets)
    errors = propagate_back(parameters, signals, last)
    assert [tuple(error.shape) for error in errors] == [(9, 6), (9, 5), (9, 2)]
    assert errors[-1] is last


def test_the_network_is_left_as_it_was():
    parameters, (inputs, targets) = initial_parameters([4, 6, 2], seed=6), examples([4, 6, 2])
    before = flattened(parameters).clone()
    cost_gradient(parameters, inputs, targets, CROSS_ENTROPY)
    assert torch.equal(flattened(parameters), before)


def test_errors_shrink_on_their_way_back_through_many_sigmoids():
    sizes = [4] + 8 * [10] + [1]
    parameters, (inputs, targets) = initial_parameters(sizes, seed=7), examples(sizes)
    signals = feed_forward(parameters, inputs)
    last = CROSS_ENTROPY.output_error(signals.weighted_inputs[-1], targets)
    errors = propagate_back(parameters, signals, last)
    assert errors[0].norm() < errors[-1].norm() / 100
