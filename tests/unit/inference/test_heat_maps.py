import numpy as np
import pytest
import torch
from tests.unit.inference.heat_map_examples import (
    SIDE,
    RedAgainstGreen,
    classifier_of,
    malignant_maps,
    random_images,
    red_and_green,
    tiny_classifier,
)
from torch import Tensor, nn

from melanoma_pl.inference.heat_maps import heat_maps


@pytest.mark.parametrize("inplace", [False, True])
def test_a_map_shows_only_what_supports_malignant(inplace: bool) -> None:
    both, red, green, black = malignant_maps(classifier_of(RedAgainstGreen(inplace)), red_and_green())
    expected = np.zeros((SIDE, SIDE), dtype=np.float32)
    expected[:8, :8] = 1
    np.testing.assert_allclose(both, expected, atol=1e-6)
    np.testing.assert_allclose(red, expected, atol=1e-6)
    assert not green.any() and not black.any()


def test_the_map_of_an_image_called_benign_shows_what_supports_benign() -> None:
    classifier, images = classifier_of(RedAgainstGreen(False)), red_and_green()
    _, red, green, _ = heat_maps(classifier, images, [True, False, False, False])
    assert not red.any(), "red supports malignant"
    assert green.any()


def test_shape_type_and_range() -> None:
    maps = malignant_maps(tiny_classifier(), random_images(20))
    assert maps.shape == (20, SIDE, SIDE) and maps.dtype == np.float32
    largest = maps.max(axis=(1, 2))
    assert maps.min() >= 0 and set(largest.round(6)) <= {0, 1} and largest.any()
    assert malignant_maps(tiny_classifier(), random_images(0)).shape == (0, SIDE, SIDE)


def test_a_batch_equals_one_by_one_and_again() -> None:
    classifier, images = tiny_classifier(), random_images(20)
    maps = malignant_maps(classifier, images)
    np.testing.assert_array_equal(maps, malignant_maps(classifier, images))
    singly = np.concatenate([malignant_maps(classifier, image[None]) for image in images])
    np.testing.assert_allclose(maps, singly, atol=1e-4)


@pytest.mark.parametrize("trainable", [False, True])
def test_the_classifier_stays_unchanged(trainable: bool) -> None:
    classifier = tiny_classifier().requires_grad_(trainable).train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    images = random_images(3)
    assert malignant_maps(classifier, images).any()
    assert not any(module.training for module in classifier.modules() if isinstance(module, nn.Conv2d | nn.Dropout))
    for parameter in classifier.parameters():
        assert parameter.grad is None and parameter.requires_grad is trainable
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())
    assert not images.requires_grad


def test_maps_can_be_drawn_while_predicting() -> None:
    classifier = tiny_classifier()
    expected = malignant_maps(classifier, random_images(3))
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            np.testing.assert_array_equal(malignant_maps(classifier, random_images(3)), expected)


def test_a_network_that_returns_one_dimension() -> None:
    class Squeezed(RedAgainstGreen):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images)[:, 0]

    np.testing.assert_array_equal(
        malignant_maps(classifier_of(Squeezed()), red_and_green()),
        malignant_maps(classifier_of(RedAgainstGreen()), red_and_green()),
    )


def test_a_network_without_convolution_is_refused() -> None:
    dense = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 1))
    with pytest.raises(ValueError, match="Sequential has no convolution"):
        malignant_maps(classifier_of(dense), random_images(1))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_a_gpu() -> None:
    expected = malignant_maps(tiny_classifier(), random_images(3))
    np.testing.assert_allclose(malignant_maps(tiny_classifier().cuda(), random_images(3)), expected, atol=1e-2)
