"""The figures of notebooks 01, 05 and 06 draw without a warning and hold what they should."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from melanoma_pl.foundations import display, feature_maps, lesion_leak, original_errors, short_training


def drawn(figure: Figure) -> bool:
    """Lay the figure out and draw it without rendering pixels; a warning would fail the test."""
    figure.draw_without_rendering()
    return all(ax.has_data() for ax in figure.axes)


def test_tiles_have_gaps_between_and_none_around():
    field = display.tiled(np.stack([np.full((2, 3), value) for value in (1, 2, 3)]), columns=2)
    assert field.shape == (5, 7)
    assert field[0].tolist()[:3] == [1, 1, 1]
    assert np.isnan(field[0, 3]) and np.isnan(field[2]).all() and np.isnan(field[4, 4])
    assert field[3, 0] == 3


def test_images():
    image = np.zeros((3, 8, 8, 3), dtype=np.uint8)
    figure = display.images_figure({"one": image[:1], "three": image}, columns=2)
    assert [ax.get_title() for ax in figure.axes] == ["one", "three"]
    assert figure.axes[1].images[0].get_array().shape == (17, 17, 3)
    assert drawn(figure)


def test_curves():
    row = {"train/loss": 0.7, "val/loss": 0.6, "train/accuracy": 0.5, "val/accuracy": 0.6}
    figure = short_training.curves_figure([{"epoch": 1, **row}, {"epoch": 2, **row}])
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]
    assert drawn(figure)


def test_kernels_and_maps():
    rows = {"weights": torch.randn(16, 3, 3), "colours": torch.rand(16, 3, 3, 3)}
    kernels = feature_maps.kernels_figure(rows)
    assert [ax.get_ylabel() for ax in kernels.axes] == ["weights", "colours"]
    lowest, highest = kernels.axes[0].images[0].get_clim()
    assert lowest == -highest == -rows["weights"].abs().max()  # white is 0
    assert drawn(kernels)
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    maps = torch.stack([torch.ones(4, 3, 3), 2 * torch.ones(4, 3, 3)])
    maps[:, 3] = 0
    figure = feature_maps.maps_figure({"benign": image, "malignant": image}, maps, torch.tensor([3, 0]))
    upper, lower = (figure.axes[index].images[0].get_array() for index in (1, 3))
    assert np.nanmax(upper) == pytest.approx(0.5) and np.nanmax(lower) == pytest.approx(1)
    assert drawn(figure)


def test_errors():
    targets, values = np.array([0, 1, 1]), np.array([0.0, 0.4, 1.0], dtype=np.float32)
    assert drawn(original_errors.probabilities_figure({"with": values, "without": values}, targets))
    marked = original_errors.threshold_figure(np.array([0.1, 0.4, 0.9]), targets, threshold=0.5)
    assert [ax.get_title() for ax in marked.axes] == [
        "threshold 0.5: 1 missed, 0 false alarms",
        "sensitivity 0.50, specificity 1.00",
    ]
    assert drawn(marked)
    luck = {tries: (np.array([0.5, 0.6]), np.array([0.4, 0.5])) for tries in (1, 10)}
    assert drawn(original_errors.best_of_many_figure(luck, images=20, sizes=(19, 100)))
    assert drawn(original_errors.small_tests_figure(np.array([0.5, 0.6]), whole=0.55, right=6, images=19))
    by_way = {"image by image": np.array([0.9, 0.8]), "lesion by lesion": np.array([0.5, 0.6])}
    assert drawn(lesion_leak.leak_figure({"as drawn": {2: by_way, 4: by_way}, "random": {2: by_way, 4: by_way}}))
