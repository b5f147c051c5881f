import numpy as np
import pytest
from matplotlib import colormaps
from tests.unit.inference.heat_map_examples import random_images

from melanoma_pl.inference.heat_maps import overlay


def test_the_image_is_unchanged_where_the_map_is_zero_and_visible_elsewhere() -> None:
    image = random_images(1)[0].permute(1, 2, 0).numpy()
    heat = np.zeros((32, 32), dtype=np.float32)
    heat[:16] = 1
    laid = overlay(image, heat)
    assert laid.shape == (32, 32, 3) and laid.dtype == np.uint8
    np.testing.assert_array_equal(laid[16:], image[16:])
    hottest = 255 * np.asarray(colormaps["viridis"](1.0)[:3])
    np.testing.assert_allclose(laid[:16], 0.35 * image[:16] + 0.65 * hottest, atol=0.51)
    assert np.corrcoef(laid[:16, :, 0].ravel(), image[:16, :, 0].ravel())[0, 1] > 0.99


def test_the_image_itself_stays_unchanged() -> None:
    image = random_images(1)[0].permute(1, 2, 0).numpy()
    before = image.copy()
    overlay(image, np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32))
    np.testing.assert_array_equal(image, before)


def test_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="they should be equal"):
        overlay(random_images(1)[0].permute(1, 2, 0).numpy(), np.zeros((8, 8), dtype=np.float32))
