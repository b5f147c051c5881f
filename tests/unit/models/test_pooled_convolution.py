"""One step of back-propagation for convolution, pooling and ReLU, against PyTorch's three."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.pooled_convolution import (
    FEW_CHANNELS,
    _pool,
    _unpool,
    max_pool,
    pooled_convolution,
    space_to_depth_convolution,
)


def three_layers(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    maps = conv2d(images, weight, bias)
    return torch.relu(max_pool2d(maps, 2))


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


def gradients(network: nn.Module, images: Tensor) -> list[Tensor]:
    network.zero_grad()
    torch.manual_seed(0)  # of dropout
    network(images).square().sum().backward()
    return [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("side", [14, 15])
def test_pooling_and_its_gradient_have_the_bits_of_pytorch(precision: torch.dtype, side: int) -> None:
    torch.manual_seed(side)
    maps = torch.randn(3, 8, side, side).mul(2).round().add(0.0).to(precision)  # many equal neighbours, no -0.0
    maps = maps.to(memory_format=torch.channels_last).requires_grad_()
    expected = max_pool2d(torch.relu(maps), 2)
    gradient = torch.randn(expected.shape).to(precision)
    (of_maps,) = torch.autograd.grad(expected, maps, gradient)
    pooled, is_right, is_lower = _pool(torch.relu(maps.detach()))
    assert torch.equal(pooled, expected)
    found = _unpool(gradient * (pooled > 0), is_right, is_lower, maps.shape)
    assert torch.equal(found, of_maps)
    assert found.dtype == precision


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_values_have_the_bits_of_the_layers(precision: torch.dtype) -> None:
    torch.manual_seed(0)
    images, weight, bias = (torch.randn(*shape).to(precision) for shape in ((3, 5, 17, 17), (7, 5, 3, 3), (7,)))
    images = images.to(memory_format=torch.channels_last)
    assert torch.equal(pooled_convolution(images, weight, bias), three_layers(images, weight, bias))


@pytest.mark.parametrize("side", [40, 41])
@pytest.mark.parametrize("convolutions", ["fused", "products", "space_to_depth"])
def test_network_trains_the_same_up_to_rounding(convolutions: str, side: int) -> None:
    torch.manual_seed(0)
    network = ThreeConvNet(channels=(16, 16, 20), hidden=10, image_size=side).double()
    images = torch.rand(37, 3, side, side, dtype=torch.float64)  # two blocks and a rest
    expected = gradients(network, images)
    network.convolutions = convolutions
    found = gradients(network, images)
    assert len(found) == 10
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("convolutions", ["fused", "products", "space_to_depth"])
def test_network_trains_the_same_in_bf16_up_to_its_rounding(convolutions: str) -> None:
    torch.manual_seed(0)
    network = ThreeConvNet(channels=(16, 16, 20), hidden=10, image_size=40)
    images = torch.rand(9, 3, 40, 40)
    with torch.autocast("cpu", torch.bfloat16):
        expected = gradients(network, images)
        network.convolutions = convolutions
        found = gradients(network, images)
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == torch.float32
        assert (other - one).norm() <= 0.02 * one.norm()


@pytest.mark.parametrize("height", [8, 9, 12])
def test_space_to_depth_is_convolution_and_pooling_with_their_gradients(height: int) -> None:
    torch.manual_seed(0)
    images, weight, bias = (torch.randn(*shape) for shape in ((2, 3, height, 13), (5, 3, 3, 3), (5,)))
    leaves = [each.requires_grad_() for each in (images, weight, bias)]
    expected = max_pool2d(conv2d(images, weight, bias), 2)
    found = space_to_depth_convolution(images, weight, bias)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    gradient = torch.randn(expected.shape)
    for one, other in zip(*(torch.autograd.grad(each, leaves, gradient) for each in (expected, found)), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [8, 9])
def test_pooling_for_a_compiler_has_the_bits_of_pytorch(side: int) -> None:
    torch.manual_seed(0)
    maps = torch.randint(-2, 3, (2, 3, side, side)).float().requires_grad_()  # many numbers are equal
    expected, found = max_pool2d(maps, 2), max_pool(maps)
    assert torch.equal(found, expected)
    gradient = torch.randn(expected.shape)
    one, other = (torch.autograd.grad(each, maps, gradient)[0] for each in (expected, found))
    assert torch.equal(one, other)


def test_space_to_depth_is_one_graph_for_a_compiler() -> None:
    torch.manual_seed(0)
    network = ThreeConvNet(channels=(4, 4, 4), hidden=4, image_size=22, dropout=0, convolutions="space_to_depth")
    images = torch.rand(3, 3, 22, 22)
    expected = gradients(network, images)
    network.compile(backend="aot_eager", fullgraph=True)
    found = gradients(network, images)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_space_to_depth_trains_the_same_on_a_gpu() -> None:
    torch.manual_seed(0)
    network = ThreeConvNet(channels=(16, 16, 20), hidden=10, image_size=40, dropout=0).double().cuda()
    images = torch.rand(9, 3, 40, 40, dtype=torch.float64, device="cuda")
    expected = gradients(network, images)
    network.convolutions = "space_to_depth"
    network.compile(fullgraph=True)
    for one, other in zip(expected, gradients(network, images), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-12)


def test_only_training_without_normalisation_is_fused() -> None:
    network = ThreeConvNet(channels=(4, 4, 4), hidden=4, image_size=22, convolutions="fused")
    ran: list[str] = []
    network.conv_3.register_forward_hook(lambda *arguments: ran.append("layer"))
    images = torch.rand(2, 3, 22, 22)
    network(images)
    with torch.autocast("cpu", torch.bfloat16):
        network(images)
    assert ran == []
    network.eval()(images)  # heat maps and features hang on the layers
    assert ran == ["layer"]
    normalised = ThreeConvNet(channels=(4, 4, 4), hidden=4, image_size=22, convolutions="fused", batch_norm=True)
    normalised.norm_3.register_forward_hook(lambda *arguments: ran.append("normalised"))
    normalised(images)
    assert ran == ["layer", "normalised"]


def test_unknown_way_to_convolve_is_refused() -> None:
    with pytest.raises(ValueError, match="convolutions=blocks"):
        ThreeConvNet(image_size=22, convolutions="blocks")  # type: ignore[arg-type]
