"""One step of back-propagation for convolution, pooling and ReLU, against PyTorch's three."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d

from melanoma_pl.models import ThreeConvNet, three_conv
from melanoma_pl.models.features import tapped
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


@pytest.mark.parametrize("bytes_at_once", [1, three_conv.BYTES_AT_ONCE])
@pytest.mark.parametrize("side", [40, 41])
@pytest.mark.parametrize("convolutions", ["fused", "products", "space_to_depth"])
def test_network_trains_the_same_up_to_rounding(
    convolutions: str, side: int, bytes_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(three_conv, "BYTES_AT_ONCE", bytes_at_once)
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


@pytest.mark.parametrize("convolutions", ["fused", "space_to_depth"])
def test_only_training_without_normalisation_is_fused(convolutions: Any) -> None:
    network = ThreeConvNet(channels=(4, 4, 4), hidden=4, image_size=22, convolutions=convolutions)
    ran: list[str] = []
    network.conv_1.register_forward_hook(lambda *arguments: ran.append("layer"))
    images = torch.rand(2, 3, 22, 22)
    network(images)
    with torch.autocast("cpu", torch.bfloat16):
        network(images)
    assert ran == []
    network.eval()(images)  # heat maps and features hang on the layers
    assert ran == ["layer"]
    normalised = ThreeConvNet(channels=(4, 4, 4), hidden=4, image_size=22, convolutions=convolutions, batch_norm=True)
    normalised.norm_3.register_forward_hook(lambda *arguments: ran.append("normalised"))
    normalised(images)
    assert ran == ["layer", "normalised"]


def test_unknown_way_to_convolve_is_refused() -> None:
    with pytest.raises(ValueError, match="convolutions=blocks"):
        ThreeConvNet(image_size=22, convolutions="blocks")  # type: ignore[arg-type]


def without_fusion(network: ThreeConvNet, images: Tensor) -> Tensor:
    """Return the logits of the layers one after another, since each is watched."""
    handles = [layer.register_forward_hook(lambda *arguments: None) for layer in network.children()]
    logits: Tensor = network(images)
    for handle in handles:
        handle.remove()
    return logits


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that receives the output channels of each block that is predicted in one step."""
    blocks: list[int] = []

    def noted(images: Tensor, weight: Tensor, bias: Tensor, by_products: bool) -> Tensor:
        blocks.append(len(weight))
        assert len(images) > 1 and not by_products
        return pooled_convolution(images, weight, bias)

    monkeypatch.setattr(three_conv, "pooled_convolution", noted)
    return blocks


@pytest.mark.parametrize("is_bf16", [False, True])
@pytest.mark.parametrize("side", [38, 45])
def test_prediction_in_one_step_has_the_bits_of_the_layers(
    side: int, is_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(side)
    blocks = watch(monkeypatch)
    network = ThreeConvNet((5, 6, 7), hidden=8, image_size=side).eval().to(memory_format=torch.channels_last)
    images = (torch.rand(6, 3, side, side) - 0.5).to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        for count in (6, 2, 1):
            found, expected = network(images[:count]), without_fusion(network, images[:count])
            assert torch.equal(found, expected) and found.dtype == expected.dtype
        expected_of_all = without_fusion(network, images)
        assert blocks == [5, 6, 7, 5, 6, 7], "a single small image is not computed by oneDNN"
        with tapped(network) as collected:
            tapped_logits = network(images)
    assert blocks[6:] == [5, 6], "the last convolution is computed for the features"
    assert torch.equal(tapped_logits, expected_of_all) and collected[0].shape == (6, 14)


@pytest.mark.parametrize("is_bf16", [False, True])
@pytest.mark.parametrize("count", [2, 3, 7, 16])
def test_a_few_images_at_a_time_have_the_bits_of_all(
    count: int, is_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(count)
    blocks = watch(monkeypatch)
    monkeypatch.setattr(three_conv, "BYTES_AT_ONCE", 1)
    network = ThreeConvNet((5, 6, 7), hidden=8, image_size=46).eval()
    images = torch.rand(count, 3, 46, 46).to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
        assert torch.equal(network(images), without_fusion(network, images))
    assert blocks == [5, 6, 7] * (count // 2)


def test_larger_images_are_fewer_at_a_time() -> None:
    network = ThreeConvNet()
    for side, precision, count in ((224, torch.float32, 1), (224, torch.bfloat16, 2), (112, torch.float32, 4)):
        at_once = network._images_at_once(torch.empty(128, 3, side, side), precision)
        assert at_once == max(2, count * torch.get_num_threads())


def test_prediction_is_only_fused_where_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = watch(monkeypatch)
    options = {"channels": (4, 4, 4), "hidden": 4, "image_size": 22}
    network = ThreeConvNet(**options).eval()  # type: ignore[arg-type]
    images = torch.rand(2, 3, 22, 22).to(memory_format=torch.channels_last)
    network(images)
    ThreeConvNet(**options, batch_norm=True).eval()(images)  # type: ignore[arg-type]
    with torch.no_grad():
        network(images.contiguous())
        network.double()(images.double())
        torch.export.export(network.float(), (images,), strict=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace(network, images, check_trace=False)
        handle = nn.modules.module.register_module_forward_hook(lambda *arguments: None)
        network(images)
        handle.remove()
    assert blocks == []
    with torch.inference_mode():
        network(images)
    assert blocks == [4, 4, 4]


@pytest.mark.parametrize(
    ("layer", "weight"), [(1, float("nan")), (3, float("nan")), (2, float("inf")), (1, 1e30), (3, -float("nan"))]
)
def test_broken_weights_do_not_look_sound(layer: int, weight: float) -> None:
    torch.manual_seed(0)
    network = ThreeConvNet((4, 4, 4), hidden=4, image_size=30).eval()
    images = torch.rand(3, 3, 30, 30).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for conv in (network.conv_1, network.conv_2, network.conv_3)[layer - 1 :]:
            conv.weight[0] = weight
        assert torch.equal(network(images).isfinite(), without_fusion(network, images).isfinite())
        network.conv_1.weight.nan_to_num_(0, 1, -1)
        assert torch.equal(network(images * float("nan")).isfinite(), torch.zeros(3, 1, dtype=torch.bool))
