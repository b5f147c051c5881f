"""One step of back-propagation for convolution, pooling and ReLU, against PyTorch's three."""

import pytest
import torch
from torch import Tensor, nn

from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.pooled_convolution import FEW_CHANNELS, pooled_convolution


def three_layers(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    maps = nn.functional.conv2d(images, weight, bias)
    return torch.relu(nn.functional.max_pool2d(maps, 2))


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("channels", [3, FEW_CHANNELS, 24])
@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 11)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_value_and_gradients_are_those_of_three_layers(
    memory: torch.memory_format, channels: int, height: int, width: int, kernel: int
) -> None:
    generator = torch.Generator().manual_seed(channels)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    images = draw(5, channels, height, width).to(memory_format=memory)
    weight, bias = draw(7, channels, kernel, kernel).to(memory_format=memory), draw(7)
    answers = []
    for compute in (three_layers, pooled_convolution):
        inputs = [value.clone().requires_grad_() for value in (images, weight, bias)]
        pooled = compute(*inputs)
        gradient = torch.linspace(-1, 1, pooled.numel(), dtype=torch.float64).view_as(pooled)
        answers.append([pooled, *torch.autograd.grad(pooled, inputs, gradient)])
    for expected, found in zip(*answers, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_first_layer_computes_no_gradient_of_images() -> None:
    weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    pooled_convolution(torch.rand(2, 3, 8, 8), weight, torch.zeros(4, requires_grad=True)).sum().backward()
    assert weight.grad is not None


def gradients(network: ThreeConvNet, images: Tensor) -> list[Tensor]:
    network.zero_grad()
    torch.manual_seed(0)  # of dropout
    network(images).square().sum().backward()
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]


def test_network_trains_the_same_blockwise_up_to_rounding() -> None:
    torch.manual_seed(0)
    network = ThreeConvNet(channels=(16, 16, 20), hidden=10, image_size=40).double()
    images = torch.rand(37, 3, 40, 40, dtype=torch.float64)  # two blocks and a rest
    expected = gradients(network, images)
    network.blockwise = True
    found = gradients(network, images)
    assert len(found) == 10
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


def test_blocks_are_for_training_in_full_precision_only() -> None:
    network = ThreeConvNet(channels=(4, 4, 4), hidden=4, image_size=22)
    network.blockwise = True
    ran: list[str] = []
    network.conv_3.register_forward_hook(lambda *arguments: ran.append("layer"))
    images = torch.rand(2, 3, 22, 22)
    network(images)
    assert ran == []
    with torch.autocast("cpu", torch.bfloat16):
        network(images)
    assert ran == ["layer"]
    network.eval()(images)  # heat maps and features hang on the layers
    assert ran == ["layer", "layer"]
