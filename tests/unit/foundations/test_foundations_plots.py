"""The figures of notebooks 02 to 04 draw without a warning, hold what they should, and do not use pyplot."""

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure

from melanoma_pl.foundations import (
    backpropagation,
    convolution,
    costs,
    descent,
    layer_table,
    learning,
    minibatches,
    neurons,
)
from melanoma_pl.foundations.convolution import KERNELS
from melanoma_pl.foundations.costs import CROSS_ENTROPY
from melanoma_pl.foundations.layer_table import three_conv_layers
from melanoma_pl.foundations.learning import Examples, Recipe, initial_parameters, learn
from melanoma_pl.foundations.minibatches import OneNeuron


def drawn(figure: Figure) -> bool:
    """Lay the figure out and draw it without rendering pixels; a warning would fail the test."""
    figure.draw_without_rendering()
    return all(ax.has_data() for ax in figure.axes)


@pytest.fixture(scope="module")
def examples() -> Examples:
    inputs = torch.randn(40, 4, generator=torch.Generator().manual_seed(13), dtype=torch.float64)
    return Examples(inputs, (inputs.sum(dim=1, keepdim=True) > 0).double())


@pytest.fixture(scope="module")
def surface(examples) -> OneNeuron:
    return OneNeuron(examples.inputs[:, 0], examples.targets[:, 0])


def test_neurons():
    point = torch.tensor([[1.0, 0.5]], dtype=torch.float64), torch.tensor([[1.0, -3.0]], dtype=torch.float64)
    figure = neurons.small_changes_figure(*point, torch.zeros(1, dtype=torch.float64))
    perceptron, sigmoid, predicted, _ = figure.axes[0].lines
    assert set(perceptron.get_ydata()) == {0, 1}
    near_zero = np.abs(sigmoid.get_xdata()) < 0.05
    np.testing.assert_allclose(sigmoid.get_ydata()[near_zero], predicted.get_ydata()[near_zero], atol=1e-3)
    assert drawn(figure) and drawn(neurons.activations_figure())


def test_costs():
    assert drawn(costs.output_errors_figure())
    figure = costs.slow_down_figure([(0.6, 0.9), (2.0, 2.0)])
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]
    assert drawn(figure)


def test_descents(surface):
    start = torch.tensor([-1.0, 2.0], dtype=torch.float64)
    assert len(descent.descents_figure([0.02, 0.2, 0.26]).axes) == 4
    slow, divergent = (descent.learning_rate_figure(rate) for rate in (0.1, 0.26))
    assert [ax.get_ylim() for ax in slow.axes] == [ax.get_ylim() for ax in divergent.axes]  # frames of one animation
    assert slow.axes[1].lines[0].get_ydata()[-1] < 1 < divergent.axes[1].lines[0].get_ydata()[-1]
    assert drawn(divergent)
    assert drawn(descent.predicted_descent_figure(start, largest=0.2))
    assert drawn(minibatches.minibatches_figure(surface, start, 0.5, sizes=[40, 10, 1], epochs=2))
    assert drawn(minibatches.scatter_figure(surface.gradients(start), sizes=[1, 10, 40], repeats=20))


def test_learning(examples):
    parameters, course = learn(initial_parameters([4, 3, 1], seed=1), examples, examples, Recipe(epochs=2))
    drawing = learning.network_figure(parameters, ["one", "two", "three", "four"])
    assert len(drawing.axes[0].lines) == 4 * 3 + 3
    assert [text.get_text() for text in drawing.axes[0].texts][:3] == ["layer 1", "layer 2", "layer 3"]
    assert drawn(drawing)
    assert drawn(learning.courses_figure({"4-3-1": course}))
    assert drawn(learning.moles_figure(parameters, examples, ["one", "two"]))
    agreement = backpropagation.agreement_figure(torch.tensor([-0.01, 0.1]), torch.tensor([-0.01, 0.1]))
    (ax,) = agreement.axes
    assert ax.get_xlim() == ax.get_ylim() and ax.get_xticks().tolist() == ax.get_yticks().tolist()
    assert -0.03 < ax.get_xlim()[0] < -0.01 and 0.1 < ax.get_xlim()[1] < 0.12
    assert drawn(agreement)
    assert drawn(backpropagation.error_sizes_figure([parameters], *examples, CROSS_ENTROPY))


def test_convolutions():
    image = torch.arange(36.0).reshape(6, 6)
    figure = convolution.sliding_figure(image, KERNELS["outline"].float(), row=1, column=0, stride=2)
    assert [len(ax.patches) for ax in figure.axes] == [1, 0, 1]
    assert drawn(figure)
    step = convolution.sliding_step_figure(image, KERNELS["outline"].float(), position=5)
    numbers = [text.get_text() for text in step.axes[3].texts]
    assert numbers == [
        f"{value:g}".replace("-", "−")
        for value in convolution.filtered(image[None, None], KERNELS["outline"].float()).flatten()[:6]
    ]
    assert "sum 0" in step.axes[2].get_title()
    assert drawn(step)
    assert drawn(
        convolution.filtered_images_figure({"colours": torch.rand(1, 3, 5, 5), "grey": torch.rand(1, 1, 5, 5)})
    )
    assert drawn(convolution.routing_figure(image[:4, :4], torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
    pixels = np.zeros((224, 224, 3), dtype=np.uint8)
    assert drawn(layer_table.receptive_fields_figure(pixels, three_conv_layers()))


def test_pyplot_keeps_no_figure():
    neurons.activations_figure()
    assert not pyplot.get_fignums()
