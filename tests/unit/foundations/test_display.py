"""Images for display: choosing them, and turning them into arrays and tiles."""

import numpy as np
import pytest
import torch

from melanoma_pl.foundations.display import as_arrays, as_jpeg, clearest_of_each, first_of_each
from melanoma_pl.report.figures.canvas import canvas


def test_the_first_of_each_class():
    first = first_of_each(np.array([1, 0, 0, 1, 1]), count=2)
    assert {name: positions.tolist() for name, positions in first.items()} == {"benign": [1, 2], "malignant": [0, 3]}


def test_a_class_may_have_fewer():
    assert first_of_each(np.array([0, 0]), count=2)["malignant"].tolist() == []


def test_the_clearest_images_are_right_and_certain():
    probabilities = np.array([0.9, 0.3, 0.1, 0.2, 0.8, 0.95])
    assert clearest_of_each(probabilities, np.array([1, 0, 0, 1, 1, 0])) == {"benign": 2, "malignant": 0}


def test_arrays_have_their_colours_last():
    pixels = torch.zeros(1, 3, 2, 4, dtype=torch.uint8)
    pixels[0, 2, 1, 3] = 7
    images = as_arrays(pixels)
    assert images.shape == (1, 2, 4, 3)
    assert images[0, 1, 3].tolist() == [0, 0, 7]


def test_a_jpeg_is_drawn_at_twice_its_size():
    pytest.importorskip("IPython")
    figure, (ax,) = canvas(1, width=3, height=2)
    ax.imshow(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    image = as_jpeg(figure)
    data, metadata = image._repr_jpeg_()
    assert data[:2] == b"\xff\xd8" or isinstance(data, str)
    width, height = (int(inches * figure.dpi) for inches in figure.get_size_inches())
    assert (metadata["width"], metadata["height"]) == (width, height)
