"""Heat maps of a network's decisions (Grad-CAM), overlays, and a randomised control.

Grad-CAM (Selvaraju et al., ICCV 2017), as captum computes it, weights each channel of the last convolution by its mean
gradient and cuts the weighted sum off at zero. The mean loses the gradient's position, so for a network with dense
layers, which can judge by position, a map shows only where its features lie.

The control is that of Adebayo et al. ("Sanity Checks for Saliency Maps", NeurIPS 2018): if networks with shuffled last
layers draw the same map, the map shows edges of the image, not what the network has learnt.

One shuffle is not enough. For the false decisions of two small networks (three convolutions, 600 images of 64 pixels, 3
and 6 epochs), the similarity of heat map and control varied between twelve disjoint sets of seeds by a standard
deviation of 0.39 and 0.14 with one shuffle, 0.15 and 0.12 with 8, 0.06 and 0.07 with 16, and 0.05 with 32. After 2
epochs on 100 images it varied more: by 0.35, 0.28, 0.23 and 0.14. A single control of one decision is often empty,
since a shuffled network often takes every feature for benign. As it knows neither class, the maps of both decisions are
equally valid controls; their mean is empty only if no feature reaches the output.
"""

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradCam
from matplotlib import colormaps
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from melanoma_pl.inference.prediction import Classifier
from melanoma_pl.models.features import last_convolution

# perceptually uniform and safe for the colour-blind (van der Walt and Smith 2015); inferno's reds would vanish on skin
_COLOUR_MAP = "viridis"
_STRONGEST = 0.65  # opacity where the map is 1: the mole stays visible
_IMAGES_AT_ONCE = 16  # bounds the memory of the gradients
SHUFFLES = 16  # of a control; twice as many vary little less


def heat_maps(classifier: Classifier, pixels: Tensor, is_malignant: ArrayLike) -> NDArray[np.float32]:
    """Compute where each image supports its decision.

    The classifier is left in evaluation mode, without gradients.

    Args:
        classifier: On any device.
        pixels: uint8 `(N, 3, S, S)`.
        is_malignant: bool `(N,)`, the decisions: the map of an image that was called benign shows what supports benign.

    Returns:
        float32 `(N, S, S)` in [0, 1]; each map is scaled by its own largest value. The map is zero for an image in
        which nothing supports the decision.

    Raises:
        ValueError: If the network has no convolution that returns a map.
    """
    targets = torch.where(torch.from_numpy(np.asarray(is_malignant)), 1.0, -1.0)  # (N,)
    return _maps(classifier, pixels, targets[:, None])[:, 0]


def control_maps(classifier: Classifier, pixels: Tensor, shuffles: int = SHUFFLES) -> NDArray[np.float32]:
    """Compute the control of the heat maps: the mean map of networks with shuffled last layers, for both decisions.

    Args:
        classifier: It stays unchanged but for evaluation mode.
        pixels: uint8 `(N, 3, S, S)`.
        shuffles: Number of shuffled networks; their seeds are 0, 1, 2, ….

    Returns:
        float32 `(N, S, S)` in [0, 1]; each map is scaled by its own largest value.

    Raises:
        ValueError: If the network has no convolution that returns a map.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():  # the caller may be in inference mode
        control = copy.deepcopy(classifier).eval()
        weights, changed = _last_weights(control.network)
        originals = [each.detach().clone() for each in weights]
        found = [np.empty((0, *pixels.shape[2:]), np.float32)]
        for batch in torch.split(pixels, _IMAGES_AT_ONCE) if len(pixels) else ():
            both, mean = torch.tensor([[1.0, -1.0]]).expand(len(batch), 2), np.zeros((len(batch), *pixels.shape[2:]))
            inputs = _input(control, batch)
            layer = _mapped_layer(control.network, inputs[:1])
            with _replayed(control.network, {layer, *changed}, inputs):
                for seed in range(shuffles):
                    _shuffle(weights, originals, seed)
                    mean += _grad_cam(control, layer, inputs, both).numpy().sum(axis=1)
            largest = mean.max(axis=(1, 2), keepdims=True)
            found.append(np.divide(mean, largest, out=np.zeros_like(mean), where=largest > 0).astype(np.float32))
    return np.concatenate(found)


@contextmanager
def _replayed(network: nn.Module, changed: Collection[nn.Module], inputs: Tensor) -> Iterator[None]:
    """Let the modules that end before any of the changed ones return what they return now, without running.

    They cost most of the time, and their output is the same for all shuffles. A module whose output is overwritten
    later, as by a ReLU in place, runs each time, and so does a module that is used twice.
    """
    recorded: dict[nn.Module, tuple[Tensor, int]] = {}
    seen: set[nn.Module] = set()

    def note(module: nn.Module, _: Any, outputs: Any) -> None:
        recorded.pop(module, None)
        if module not in seen and isinstance(outputs, Tensor) and seen.isdisjoint(changed):
            recorded[module] = outputs, outputs._version
        seen.add(module)

    handles = [module.register_forward_hook(note) for module in network.modules()]
    with torch.no_grad():
        network(inputs)
    for handle in handles:
        handle.remove()
    kept = [
        module
        for module, (outputs, version) in recorded.items()
        if module not in changed and outputs._version == version  # of a tensor that was not overwritten
    ]
    within = {child for module in kept for child in module.modules() if child is not module}
    replayed = [module for module in kept if module not in within]
    for module in replayed:
        module.forward = partial(_replay, recorded[module][0])
    recorded.clear()
    yield
    for module in replayed:
        del module.forward  # the class's own again


def _replay(outputs: Tensor, *_: Any, **__: Any) -> Tensor:
    """Return recorded outputs, from which gradients start."""
    return outputs.detach().requires_grad_()


def _maps(classifier: Classifier, pixels: Tensor, signs: Tensor) -> NDArray[np.float32]:
    """Return maps of the logit times each of the image's D signs, float32 `(N, D, S, S)`.

    Args:
        classifier: It is left in evaluation mode, without gradients.
        pixels: uint8 `(N, 3, S, S)`.
        signs: 1 or -1, `(N, D)`.
    """
    classifier.eval()
    if len(pixels) == 0:
        return np.empty((0, signs.shape[1], *pixels.shape[2:]), dtype=np.float32)
    with torch.inference_mode(mode=False), torch.enable_grad():  # the caller may be in inference mode
        layer = _mapped_layer(classifier.network, _input(classifier, pixels[:1]))
        batches = zip(torch.split(pixels, _IMAGES_AT_ONCE), torch.split(signs, _IMAGES_AT_ONCE), strict=True)
        maps = [_grad_cam(classifier, layer, _input(classifier, images), own) for images, own in batches]
    return torch.cat(maps).numpy()


def _mapped_layer(network: nn.Module, inputs: Tensor) -> nn.Module:
    """Return the layer whose output becomes the map.

    Raises:
        ValueError: If there is none.
    """
    layer = last_convolution(network, inputs)
    if layer is None:
        raise ValueError(f"{type(network).__name__} has no convolution: there is no map to draw")
    return layer


def _grad_cam(classifier: Classifier, layer: nn.Module, inputs: Tensor, signs: Tensor) -> Tensor:
    """Return one batch's maps, float32 `(B, D, S, S)` on the CPU; the opposite decision only changes the sign."""
    grad_cam = LayerGradCam(lambda images: classifier.network(images).reshape(-1), layer)
    coarse = grad_cam.attribute(inputs).detach().float()  # (B, 1, s, s)
    signed = functional.relu(coarse * signs[:, :, None, None].to(coarse.device))  # (B, D, s, s)
    maps = functional.interpolate(signed, size=inputs.shape[2:], mode="bilinear", align_corners=False)
    largest = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(largest > 0, maps / largest, 0).cpu()


def _input(classifier: Classifier, pixels: Tensor) -> Tensor:
    """Return the network's input; captum needs gradients from there on, since uint8 pixels cannot have any."""
    return classifier.preprocessing.to_input(pixels.to(classifier.device)).requires_grad_()


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay a heat map over its image, with an opacity in proportion to the map.

    Args:
        image: RGB, uint8 `(S, S, 3)`.
        heat: Float `(S, S)` in [0, 1].

    Returns:
        RGB, uint8 `(S, S, 3)`.

    Raises:
        ValueError: If map and image differ in size.
    """
    if image.shape[:2] != heat.shape:
        raise ValueError(f"the image's sides are {image.shape[:2]} and the map's {heat.shape}: they should be equal")
    colours = 255 * colormaps[_COLOUR_MAP](heat)[..., :3]
    opacity = _STRONGEST * heat[..., None]
    return np.asarray(np.rint(image + opacity * (colours - image)), dtype=np.uint8)


def shuffled(classifier: Classifier, seed: int = 0) -> Classifier:
    """Return a copy with shuffled weights in its last convolution and in all layers defined after it.

    The weights of each neuron (filter) are permuted among themselves, so that the copy differs only in what was learnt.
    Shuffled across neurons, weights with a mean a little below zero would silence a wide dense layer behind ReLUs, and
    the empty map of a dead network is not a control. Biases and the scales of normalisation stay. In a vision
    transformer, all blocks come after the only convolution, so the whole network is shuffled.

    Args:
        classifier: It stays unchanged.
        seed: Seed of the permutations.

    Returns:
        A classifier in evaluation mode, on the same device, with the same preprocessing, temperature and threshold.

    Raises:
        ValueError: If the network has no convolution.
    """
    control = copy.deepcopy(classifier).eval()
    weights, _ = _last_weights(control.network)
    _shuffle(weights, weights, seed)
    return control


def _last_weights(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Module]]:
    """Return the weights of the last convolution and of all layers defined after it, and these layers."""
    convolution = last_convolution(network)
    if convolution is None:
        raise ValueError(f"{type(network).__name__} has no convolution: there is no map to check")
    modules = list(network.modules())
    changed = modules[modules.index(convolution) :]
    return [each for own in changed for each in own.parameters(recurse=False) if each.ndim > 1], changed


def _shuffle(weights: Sequence[Tensor], originals: Sequence[Tensor], seed: int) -> None:
    """Replace the weights by the original ones, permuted within each row."""
    generator = np.random.default_rng(seed)
    with torch.no_grad():
        for target, original in zip(weights, originals, strict=True):
            rows = original.detach().flatten(1).float().cpu().numpy()  # (neurons, weights of each)
            target.copy_(torch.from_numpy(generator.permuted(rows, axis=1)).view_as(target))


def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    """Return Spearman's rank correlation of two maps, float `(S, S)` each, in [-1, 1].

    Returns:
        None if one of the maps is constant and so has no order.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)
