"""The table of the three-conv network, against torch's own layers."""

import torch
from torch import nn

from melanoma_pl.foundations.layer_table import as_text, three_conv_layers


def torch_layers(pool: type[nn.Module]) -> list[nn.Module]:
    """The network's layers that have a row in the table, of torch's own modules."""
    flatten_and_hidden = nn.Sequential(nn.Flatten(), nn.Linear(64 * 26 * 26, 100))
    layers = [nn.Conv2d(3, 16, 3), pool(2), nn.Conv2d(16, 64, 3), pool(2), nn.Conv2d(64, 64, 3), pool(2)]
    return [*layers, flatten_and_hidden, nn.Linear(100, 1)]


def test_parameters_are_the_originals():
    counts = [layer.parameters for layer in three_conv_layers() if layer.parameters]
    assert counts == [448, 9_280, 36_928, 4_326_500, 101]
    assert sum(counts) == 4_373_257


def test_shapes_and_parameters_are_torchs():
    values = torch.zeros(1, 3, 224, 224)
    for row, layer in zip(three_conv_layers()[1:], torch_layers(nn.MaxPool2d), strict=True):
        values = layer(values)
        assert tuple(values.shape[1:]) == row.shape
        assert sum(parameter.numel() for parameter in layer.parameters()) == row.parameters


def test_receptive_fields_are_where_torchs_gradient_is_not_zero():
    image = torch.zeros(1, 3, 224, 224, requires_grad=True)
    values = image
    # Mean pooling instead of maximum: its gradient shows the whole window, not only the winner.
    for row, layer in zip(three_conv_layers()[1:7], torch_layers(nn.AvgPool2d)[:6], strict=True):
        values = layer(values)
        middle = row.shape[-1] // 2
        (slope,) = torch.autograd.grad(values[0, 0, middle, middle], image, retain_graph=True)
        seen = slope[0].abs().sum(dim=0) > 0
        assert seen.any(dim=1).sum() == seen.any(dim=0).sum() == row.receptive_field
        (neighbour,) = torch.autograd.grad(values[0, 0, middle, middle + 1], image, retain_graph=True)
        columns = (neighbour[0].abs().sum(dim=(0, 1)) > 0).int().argmax() - seen.any(dim=0).int().argmax()
        assert columns == row.jump


def test_the_dense_layer_sees_all_but_the_last_two_rows_and_columns():
    image = torch.zeros(1, 3, 224, 224, requires_grad=True)
    values = image
    for layer in torch_layers(nn.AvgPool2d)[:6]:
        values = layer(values)
    (slope,) = torch.autograd.grad(values.sum(), image)
    seen = slope[0].abs().sum(dim=0) > 0
    assert three_conv_layers()[-1].receptive_field == three_conv_layers()[-2].receptive_field == 222
    assert seen[:222, :222].all()
    assert not seen[222:].any()
    assert not seen[:, 222:].any()


def test_a_smaller_network_is_counted_too():
    rows = three_conv_layers(channels=(2, 3), hidden=5, image_size=20)
    assert [row.shape for row in rows] == [(3, 20, 20), (2, 18, 18), (2, 9, 9), (3, 7, 7), (3, 3, 3), (5,), (1,)]
    assert [row.parameters for row in rows] == [0, 56, 0, 57, 0, 140, 6]


def test_text_has_a_line_for_each_layer_and_the_sum():
    lines = as_text(three_conv_layers()).splitlines()
    assert len(lines) == 1 + 9 + 1
    assert lines[-1].split() == ["total", "4,373,257"]
    assert lines[2].split() == ["convolution", "3×3,", "ReLU", "16", "×", "222", "×", "222", "448", "3", "×", "3"]
