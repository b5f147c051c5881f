import numpy as np
import pytest
import torch
from matplotlib import colormaps
from tests.unit.inference.heat_map_examples import random_images

from melanoma_pl.inference.heat_maps import overlay


def test_the_image_is_unchanged_where_the_map_is_zero_and_visible_elsewhere() -> None:
    image = random_images(1)[0]
    heat = np.zeros((32, 32), dtype=np.float32)
    heat[:16] = 1
    laid = overlay(image, heat)
    plain = image.permute(1, 2, 0).numpy()
    assert laid.shape == (32, 32, 3) and laid.dtype == np.uint8
    np.testing.assert_array_equal(laid[16:], plain[16:])
    hottest = 255 * np.asarray(colormaps["viridis"](1.0)[:3])
    np.testing.assert_allclose(laid[:16], 0.35 * plain[:16] + 0.65 * hottest, atol=0.51)
    assert np.corrcoef(laid[:16, :, 0].ravel(), plain[:16, :, 0].ravel())[0, 1] > 0.99


def test_a_tensor_and_an_array_give_the_same_and_stay_unchanged() -> None:
    image = random_images(1)[0]
    before = image.clone()
    heat = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    np.testing.assert_array_equal(overlay(image, heat), overlay(image.permute(1, 2, 0).numpy(), heat))
    assert torch.equal(image, before)


def test_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="they should be equal"):
        overlay(random_images(1)[0], np.zeros((8, 8), dtype=np.float32))
