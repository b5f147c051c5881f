from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.unit.inference.heat_map_examples import (
    SIDE,
    classifier_of,
    malignant_maps,
    random_images,
    tiny_classifier,
)
from torch import Tensor, nn

from melanoma_pl.inference.heat_maps import control_maps, heat_maps, shuffled, similarity
from melanoma_pl.models.classifier import MelanomaClassifier

SHUFFLED = ("conv_3.weight", "dense_1.weight", "dense_2.weight")


def test_each_neurons_weights_of_the_last_layers_are_permuted_and_all_else_stays() -> None:
    classifier = tiny_classifier()
    before = {name: value.clone() for name, value in classifier.network.state_dict().items()}
    for name, value in shuffled(classifier).network.state_dict().items():
        assert torch.equal(classifier.network.state_dict()[name], before[name])
        assert torch.equal(value, before[name]) == (name not in SHUFFLED), name
        if name in SHUFFLED:
            assert torch.equal(value.flatten(1).sort().values, before[name].flatten(1).sort().values)


def test_a_wide_layer_whose_weights_are_mostly_negative_is_not_silenced() -> None:
    classifier = classifier_of(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * SIDE * SIDE, 20)))
    with torch.no_grad():
        classifier.network[0].weight.abs_()
        classifier.network[0].bias.zero_()
        classifier.network[2].weight += torch.linspace(-0.09, 0.03, 20)[:, None]  # some neurons speak, most are silent
    inputs = random_images(4) / 255
    speaking = (classifier.network(inputs) > 0).float().mean().item()
    assert 0.1 < speaking < 0.4
    assert (shuffled(classifier).network(inputs) > 0).float().mean().item() == pytest.approx(speaking, abs=0.1)


def test_the_control_keeps_everything_else() -> None:
    classifier = tiny_classifier()
    classifier.temperature, classifier.threshold = 1.5, 0.3
    control = shuffled(classifier)
    assert (control.temperature, control.threshold) == (1.5, 0.3)
    assert control.preprocessing == classifier.preprocessing
    assert not control.training


def test_the_seed_decides_and_the_global_generator_is_not_used() -> None:
    classifier = tiny_classifier()
    state = torch.get_rng_state()
    first, again, other = (shuffled(classifier, seed).network.dense_1.weight for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_control_draws_other_maps() -> None:
    values = []
    for seed in range(8):  # some networks of random weights are silent
        classifier, images = tiny_classifier(seed), random_images(4)
        pairs = zip(malignant_maps(classifier, images), malignant_maps(shuffled(classifier), images), strict=True)
        values += [similarity(first, second) for first, second in pairs]
    known = [value for value in values if value is not None]
    assert len(known) >= 8
    assert np.mean(known) < 0.7


def plain_control(classifier: MelanomaClassifier, pixels: Tensor, shuffles: int) -> NDArray[np.float32]:
    """Return the mean of both decisions' maps of each shuffled network, computed one by one."""
    controls = [shuffled(classifier, seed) for seed in range(shuffles)]
    maps = [heat_maps(each, pixels, np.full(len(pixels), called)) for each in controls for called in (True, False)]
    mean = np.mean(maps, axis=0, dtype=np.float64)
    return np.asarray(mean / np.maximum(mean.max(axis=(1, 2), keepdims=True), 1e-12), np.float32)


class Overwriting(nn.Module):
    """Blocks of layers, a layer used twice, normalisation, and operations that overwrite what came before."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 5, 3)
        self.norm, self.relu, self.head = nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Linear(5, 1)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)))
        self.added = nn.Conv2d(4, 4, 1)
        self.last, self.head = self._modules.pop("last"), self._modules.pop("head")  # defined last

    def forward(self, images: Tensor) -> Tensor:
        features = self.relu(self.norm(self.first(images)))
        features = self.relu(self.twice(self.relu(self.twice(features)) + features))
        features = self.block(features)
        added = self.added(features)
        added += features
        return self.head(self.relu(self.last(added)).mean((2, 3)))


def overwriting_classifier() -> MelanomaClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return classifier_of(Overwriting())


def test_layers_before_the_shuffled_ones_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = overwriting_classifier()
    runs: list[str] = []
    plain = nn.Conv2d.forward

    def counted(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
        runs.append(layer.name)
        return plain(layer, inputs)

    for name, module in classifier.network.named_modules():
        module.name = name  # the control is a copy
    monkeypatch.setattr(nn.Conv2d, "forward", counted)
    control_maps(classifier, random_images(2), shuffles=5)
    found = {name: runs.count(name) for name in ("first", "block.0", "block.1.0", "added", "last")}
    once, always = 2, 2 + 5  # two runs find the layer of the map and record
    assert found == {"first": once, "block.0": once, "block.1.0": once, "added": always, "last": always}


@pytest.mark.parametrize("build", [tiny_classifier, overwriting_classifier])
@pytest.mark.parametrize("is_trainable", [True, False])
def test_the_control_is_the_mean_of_the_shuffled_networks_maps(
    build: Callable[[], MelanomaClassifier], is_trainable: bool
) -> None:
    classifier, images = build().requires_grad_(is_trainable), random_images(18)  # more than one batch
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    with torch.inference_mode():
        found = control_maps(classifier, images, shuffles=3)
    np.testing.assert_allclose(found, plain_control(classifier, images, 3), atol=1e-5)
    assert found.dtype == np.float32 and found.max() == 1
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert not any("forward" in vars(module) for module in classifier.modules())


def test_the_control_is_the_same_each_time_and_depends_on_the_number_of_shuffles() -> None:
    classifier, images = tiny_classifier(), random_images(3)
    first = control_maps(classifier, images)
    assert np.array_equal(first, control_maps(classifier, images))
    assert not np.array_equal(first, control_maps(classifier, images, shuffles=1))
    assert control_maps(classifier, images[:0]).shape == (0, SIDE, SIDE)


def test_the_control_is_not_empty_where_the_map_of_a_shuffled_network_is() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    with torch.no_grad():  # every feature is positive and speaks for benign, in whatever order
        network[0].weight.abs_(), network[0].bias.zero_(), network[4].weight.abs_().neg_()
    classifier, images = classifier_of(network), random_images(2)
    assert not malignant_maps(shuffled(classifier), images).any()
    assert (control_maps(classifier, images).reshape(2, -1).max(axis=1) == 1).all()


def test_the_control_of_a_network_without_convolution_is_refused() -> None:
    dense = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 1))
    with pytest.raises(ValueError, match="Sequential has no convolution"):
        shuffled(classifier_of(dense))
    with pytest.raises(ValueError, match="Sequential has no convolution"):
        control_maps(classifier_of(dense), random_images(1))


def test_similarity_is_a_rank_correlation() -> None:
    heat = np.random.default_rng(0).random((9, 9), dtype=np.float32)
    assert similarity(heat, heat**3) == pytest.approx(1)
    assert similarity(heat, 1 - heat) == pytest.approx(-1)
    assert similarity(np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 3], [2, 4]], np.float32)) == pytest.approx(
        0.8
    )


def test_a_constant_map_has_no_similarity() -> None:
    heat, plain = np.eye(4, dtype=np.float32), np.zeros((4, 4), dtype=np.float32)
    assert similarity(heat, plain) is None
    assert similarity(plain, heat) is None
