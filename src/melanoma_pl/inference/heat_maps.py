"""Where a network's decision comes from: Grad-CAM on its last convolution.

Selvaraju et al., "Grad-CAM", ICCV 2017, as captum computes it: each channel of the last convolution counts by its mean
gradient, the weighted sum is cut off at zero. The gradient's own place is lost in that mean, so where a network with
dense layers judges by place the map shows only where its features lie.

A heat map laid over its image.

Does a heat map say anything about what was learnt? The check of Adebayo et al.

"Sanity Checks for Saliency Maps", NeurIPS 2018: if a network whose last layers were shuffled draws the same map, the
map shows edges of the image, not what the network learnt.

Heat maps as files: each image in its own shape, with what speaks for its decision laid over it.
"""

import copy
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from captum.attr import LayerGradCam
from matplotlib import colormaps
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from melanoma_pl.image_files import draft, open_image, to_rgb
from melanoma_pl.inference.prediction import Prediction
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.features import last_convolution

_IMAGES_AT_ONCE = 16  # bounds the memory that gradients take


def heat_maps(
    classifier: MelanomaClassifier, pixels: Tensor, is_malignant: ArrayLike | None = None
) -> NDArray[np.float32]:
    """Return where each image speaks for what was decided of it.

    The classifier is left in evaluation mode, without gradients.

    Args:
        classifier: On any device.
        pixels: uint8 `(N, 3, S, S)`.
        is_malignant: bool `(N,)`, the decisions; of an image that was called benign the map shows what speaks for that.
            None shows of every image what speaks for malignant.

    Returns:
        float32 `(N, S, S)` in [0, 1], each map on a scale of its own: 1 is its largest value. An image in which nothing
        speaks for the decision has a map of zeros.

    Raises:
        ValueError: If the network has no convolution that returns a map.
    """
    classifier.eval()
    if len(pixels) == 0:
        return np.empty((0, *pixels.shape[2:]), dtype=np.float32)
    called = np.ones(len(pixels), dtype=bool) if is_malignant is None else np.asarray(is_malignant, dtype=bool)
    # whoever asks may be predicting, where PyTorch keeps no gradients
    with torch.inference_mode(mode=False), torch.enable_grad():
        first = _input(classifier, pixels[:1])
        layer = last_convolution(classifier.network, first)
        if layer is None:
            raise ValueError(f"{type(classifier.network).__name__} has no convolution: there is no map to draw")
        signs = torch.where(torch.from_numpy(called), 1.0, -1.0).to(classifier.device)  # (N,)
        batches = zip(torch.split(pixels, _IMAGES_AT_ONCE), torch.split(signs, _IMAGES_AT_ONCE), strict=True)
        maps = torch.cat([_grad_cam(classifier, layer, images, towards) for images, towards in batches])
    return maps.numpy()


def _grad_cam(classifier: MelanomaClassifier, layer: nn.Module, pixels: Tensor, signs: Tensor) -> Tensor:
    """Return one batch's maps of the logit times its sign, float32 `(B, S, S)` on the CPU."""
    grad_cam = LayerGradCam(lambda inputs: classifier.network(inputs).reshape(-1) * signs, layer)
    coarse: Tensor = grad_cam.attribute(_input(classifier, pixels), relu_attributions=True)  # (B, 1, s, s)
    maps = functional.interpolate(coarse.detach().float(), size=pixels.shape[2:], mode="bilinear", align_corners=False)
    largest = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(largest > 0, maps / largest, 0)[:, 0].cpu()


def _input(classifier: MelanomaClassifier, pixels: Tensor) -> Tensor:
    """Return what the network sees: captum needs the gradient's way to start behind the whole numbers."""
    return classifier.preprocessing.to_input(pixels.to(classifier.device)).requires_grad_()


# Evenly perceived and safe for the colour-blind (van der Walt and Smith 2015); inferno's reds would be lost on skin.
_COLOUR_MAP = "viridis"
_STRONGEST = 0.65  # opacity where the map is 1: the mole stays visible below


def overlay(pixels: Tensor | NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return an image with its heat map over it, the more opaque the hotter: where the map is zero it is the image.

    Args:
        pixels: The image: a uint8 tensor `(3, S, S)` on any device, or a uint8 array `(S, S, 3)`.
        heat: Float `(S, S)` in [0, 1].

    Returns:
        RGB, uint8 `(S, S, 3)`.

    Raises:
        ValueError: If map and image differ in size.
    """
    image = pixels.permute(1, 2, 0).cpu().numpy() if isinstance(pixels, Tensor) else pixels
    if image.shape[:2] != heat.shape:
        raise ValueError(f"the image's sides are {image.shape[:2]} and the map's {heat.shape}: they should be equal")
    colours = 255 * colormaps[_COLOUR_MAP](heat)[..., :3]
    opacity = _STRONGEST * heat[..., None]
    return np.asarray(np.rint(image + opacity * (colours - image)), dtype=np.uint8)


def shuffled(classifier: MelanomaClassifier, seed: int = 0) -> MelanomaClassifier:
    """Return a copy whose last convolution, and all layers defined after it, have their weights shuffled.

    Each neuron's (filter's) weights are permuted among themselves, so that the copy differs only in what it learnt:
    shuffled across neurons, weights whose mean is a little below zero silence every neuron of a wide dense layer
    behind ReLUs, and a dead network's empty map is no control. Biases and scales of normalisation belong to a neuron
    and stay. In a vision transformer all blocks come after the one convolution: the whole network is shuffled.

    Args:
        classifier: Left as it is.
        seed: Of the permutations.

    Returns:
        In evaluation mode, on the same device, with the same preprocessing, temperature and threshold.

    Raises:
        ValueError: If the network has no convolution.
    """
    network = copy.deepcopy(classifier.network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in _last_weights(network):
            rows = weights.flatten(1)  # (neurons, weights of each)
            order = torch.rand(rows.shape, generator=generator).argsort(dim=1)
            weights.copy_(rows.gather(1, order.to(rows.device)).view_as(weights))
    control = MelanomaClassifier(
        network, preprocessing=classifier.preprocessing, class_names=classifier.class_names, fit_decision=False
    )
    control.temperature, control.threshold = classifier.temperature, classifier.threshold
    return control.to(classifier.device).eval()


def _last_weights(network: nn.Module) -> Iterator[nn.Parameter]:
    convolution = last_convolution(network)
    if convolution is None:
        raise ValueError(f"{type(network).__name__} has no convolution: there is no map to check")
    modules = list(network.modules())
    for module in modules[modules.index(convolution) :]:
        yield from (parameter for parameter in module.parameters(recurse=False) if parameter.ndim > 1)


def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    """Return the rank correlation (Spearman) of two maps: 1 is the same order of places, 0 none, -1 the reverse.

    Args:
        first: Float `(S, S)`.
        second: Float `(S, S)`.

    Returns:
        In [-1, 1]; None where one of the maps is the same everywhere and so has no order.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


SIDE = 1024  # pixels: the longer side of a written picture, where the image is larger


def heat_map_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return where each image's heat map goes: below `folder` as the images lie, since names repeat in folders."""
    parents = [path.resolve().parent for path in paths]
    try:
        common = os.path.commonpath(parents)
    except ValueError:  # no images, or on two drives of Windows
        common = ""
    pairs = zip(paths, parents, strict=True)
    return [folder / parent.relative_to(common or parent.anchor) / f"{path.name}.png" for path, parent in pairs]


def write_heat_map(classifier: MelanomaClassifier, prediction: Prediction, target: Path) -> Path | None:
    """Write one image with its heat map.

    Returns:
        The file; None where the image could not be read.

    Raises:
        ValueError: If the network has no convolution.
    """
    if prediction.pixels is None:
        return None
    heat = heat_maps(classifier, prediction.pixels[None], [prediction.is_malignant])[0]
    with open_image(prediction.path) as image:
        draft(image, SIDE // 2)
        picture = to_rgb(image)
    picture.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(overlay(np.asarray(picture), _resized(heat, picture.size))).save(target)
    return target


def _resized(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Stretch a map to an image's own shape, which the network saw squeezed into a square."""
    return np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)
