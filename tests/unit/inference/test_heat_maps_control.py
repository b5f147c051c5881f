import numpy as np
import pytest
import torch
from tests.unit.inference.heat_map_examples import (
    SIDE,
    classifier_of,
    malignant_maps,
    random_images,
    tiny_classifier,
)
from torch import nn

from melanoma_pl.inference.heat_maps import shuffled, similarity

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
    for seed in range(6):  # some networks of random weights are silent
        classifier, images = tiny_classifier(seed), random_images(4)
        pairs = zip(malignant_maps(classifier, images), malignant_maps(shuffled(classifier), images), strict=True)
        values += [similarity(first, second) for first, second in pairs]
    known = [value for value in values if value is not None]
    assert len(known) >= 8
    assert np.mean(known) < 0.7


def test_the_control_of_a_network_without_convolution_is_refused() -> None:
    dense = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 1))
    with pytest.raises(ValueError, match="Sequential has no convolution"):
        shuffled(classifier_of(dense))


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
