"""Images in TensorBoard."""

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from melanoma_pl.training.callbacks.tensorboard import COLUMNS, grid


def test_each_image_stands_in_its_cell_below_its_title() -> None:
    count = COLUMNS + 2  # two rows, the second not full
    colours = torch.arange(count, dtype=torch.uint8) * 40
    figure = grid(colours.view(-1, 1, 1, 1).expand(-1, 3, 16, 16), [f"image {index}" for index in range(count)])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., 0]
    height, width = drawn.shape[0] / 2, drawn.shape[1] / COLUMNS
    centres = [((index // COLUMNS + 0.6) * height, (index % COLUMNS + 0.5) * width) for index in range(2 * COLUMNS)]
    shown = [int(drawn[round(row), round(column)]) for row, column in centres]
    assert shown == [*colours.tolist(), 255, 255]
    assert [text.get_text() for text in figure.axes[0].texts] == [f"image {index}" for index in range(count)]
    for index, text in enumerate(figure.axes[0].texts):
        box = text.get_window_extent()
        assert index // COLUMNS * height <= drawn.shape[0] - box.y1 <= (index // COLUMNS + 0.2) * height
        assert index % COLUMNS * width <= box.x0 <= box.x1 <= (index % COLUMNS + 1) * width
