"""The listing's layers in NumPy, Keras and PyTorch give the same numbers from the same weights."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from melanoma_pl.foundations import keras_layers
from melanoma_pl.models import ThreeConvNet

SIZE, CHANNELS, HIDDEN = 30, (2, 3, 4), 5
WITHIN = 1e-5

Arrays = dict[str, NDArray[Any]]


@pytest.fixture
def weights() -> Arrays:
    generator = np.random.default_rng(1)
    drawn = keras_layers.glorot_weights(SIZE, CHANNELS, HIDDEN, seed=1)
    return {  # biases other than 0, so that a forgotten one shows
        name: value if name.endswith("kernel") else generator.normal(0, 0.1, value.shape).astype(np.float32)
        for name, value in drawn.items()
    }


@pytest.fixture
def images() -> NDArray[np.float32]:
    return np.random.default_rng(2).random((4, SIZE, SIZE, 3), dtype=np.float32)


@pytest.fixture
def network(weights: Arrays, tmp_path: Path) -> ThreeConvNet:
    network = ThreeConvNet(CHANNELS, HIDDEN, image_size=SIZE).eval()
    keras_layers.load_into(network, weights, tmp_path / "weights.npz")
    return network


def channels_first(images: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def test_glorot_weights_have_kerass_shapes_and_spread() -> None:
    weights = keras_layers.glorot_weights(224)
    assert list(weights)[:2] == ["00_conv2d.kernel", "01_conv2d.bias"] and list(weights)[-1] == "09_dense_1.bias"
    assert sum(value.size for value in weights.values()) == 4_373_257
    limit = np.sqrt(6 / (9 * 3 + 9 * 16))
    kernel = weights["00_conv2d.kernel"]
    assert kernel.shape == (3, 3, 3, 16) and 0.95 * limit < np.abs(kernel).max() <= limit
    assert not weights["01_conv2d.bias"].any()


def test_every_layer_equals_that_of_the_network(weights: Arrays, images: Any, network: ThreeConvNet) -> None:
    keras = keras_layers.keras_outputs(weights, images)
    ours = keras_layers.torch_outputs(network, channels_first(images))
    assert max(keras_layers.largest_differences(keras, ours).values()) < WITHIN
    probabilities = torch.sigmoid(network(channels_first(images))).detach().numpy()
    assert ours["dense_1"] == pytest.approx(probabilities, abs=1e-6)
    table = keras_layers.comparison_table(weights, keras, ours)
    assert "28 × 28 × 2" in table and "2 × 28 × 28" in table
    assert table.splitlines()[-1].split() == ["total", str(sum(value.size for value in weights.values()))]


def test_flattening_in_pytorchs_order_would_give_other_numbers(
    weights: Arrays, images: Any, network: ThreeConvNet
) -> None:
    keras = keras_layers.keras_outputs(weights, images)
    wrong = copy.deepcopy(network)
    wrong.dense_1.weight.data = torch.from_numpy(weights["06_dense.kernel"].T.copy())
    ours = keras_layers.torch_outputs(wrong, channels_first(images))
    assert keras_layers.largest_differences(keras, ours)["dense"] > 1e-2


def test_shapes_that_differ_are_refused(weights: Arrays, images: Any) -> None:
    with pytest.raises(ValueError, match="a is"):
        keras_layers.largest_differences({"a": np.zeros(2)}, {"a": np.zeros(3)})


def test_gradients_equal_autograds(weights: Arrays, images: Any, network: ThreeConvNet) -> None:
    targets = np.array([0, 1, 1, 0])
    expected = keras_layers.keras_gradients(weights, images, targets)
    double = copy.deepcopy(network).double()
    logits = double(channels_first(images).double())[:, 0]
    torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets).double()).backward()
    for parameter in double.parameters():
        assert parameter.grad is not None
        parameter.data = parameter.grad
    found = keras_layers.in_keras_layout(double)
    assert max(keras_layers.largest_differences(expected, found).values()) < 1e-10


def test_one_step_of_adam(weights: Arrays, images: Any, network: ThreeConvNet) -> None:
    targets = np.array([0, 1, 1, 0])
    after = keras_layers.keras_adam(weights, keras_layers.keras_gradients(weights, images, targets))
    differences = {}
    for eps in (keras_layers.EPSILON, keras_layers.EPSILON / np.sqrt(1 - keras_layers.BETAS[1])):
        own = copy.deepcopy(network)
        _, new = keras_layers.torch_step(own, channels_first(images), torch.from_numpy(targets), eps=float(eps))
        differences[eps] = max(keras_layers.largest_differences(after, new).values())
    same_number, same_effect = differences.values()
    assert same_effect < WITHIN < same_number


def test_the_layout_of_weights_survives_the_way_there_and_back(weights: Arrays, network: ThreeConvNet) -> None:
    found = keras_layers.in_keras_layout(network)
    assert list(found) == list(weights)
    assert all(np.array_equal(found[name], weights[name]) for name in weights)


def test_keras_itself_where_it_is_installed(weights: Arrays, images: Any) -> None:
    found = keras_layers.outputs_of_keras_itself(weights, images)
    if found is None:
        pytest.skip("needs Keras, which is not a dependency")
    expected = keras_layers.keras_outputs(weights, images)
    assert max(keras_layers.largest_differences(expected, found).values()) < WITHIN


def test_without_keras_there_is_nothing(weights: Arrays, images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert keras_layers.outputs_of_keras_itself(weights, images) is None


def test_figures(weights: Arrays, network: ThreeConvNet) -> None:
    figure = keras_layers.epsilons_figure({"small": 1e-8, "large": 1e-6}, steps=100)
    left, right = figure.axes
    assert left.lines[0].get_ydata()[0] == pytest.approx(1 / np.sqrt(1e-3))  # type: ignore[index]
    small, large = (line.get_ydata() for line in right.lines)
    assert (np.asarray(small) > np.asarray(large)).all()
    figure.draw_without_rendering()
    both = {"Keras": weights, "PyTorch": keras_layers.in_keras_layout(network)}
    figure = keras_layers.initial_weights_figure(both, ["00_conv2d.kernel", "06_dense.kernel"])
    assert [ax.get_title() for ax in figure.axes] == ["conv2d.kernel", "dense.kernel"]
    figure.draw_without_rendering()
