"""Heat maps of a network's decisions (Grad-CAM), overlays, files, and a randomised control.

Grad-CAM (Selvaraju et al., ICCV 2017), as captum computes it, weights each channel of the last convolution by its mean
gradient and cuts the weighted sum off at zero. The mean loses the gradient's position, so for a network with dense
layers, which can judge by position, a map shows only where its features lie.

The control is that of Adebayo et al. ("Sanity Checks for Saliency Maps", NeurIPS 2018): if a network with shuffled last
layers draws the same map, the map shows edges of the image, not what the network has learnt.
"""

import copy
import os
from collections.abc import Sequence
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

# perceptually uniform and safe for the colour-blind (van der Walt and Smith 2015); inferno's reds would vanish on skin
_COLOUR_MAP = "viridis"
_STRONGEST = 0.65  # opacity where the map is 1: the mole stays visible
_IMAGES_AT_ONCE = 16  # bounds the memory of the gradients
SIDE = 1024  # pixels: longest side of a written file


def heat_maps(classifier: MelanomaClassifier, pixels: Tensor, is_malignant: ArrayLike) -> NDArray[np.float32]:
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
    classifier.eval()
    if len(pixels) == 0:
        return np.empty((0, *pixels.shape[2:]), dtype=np.float32)
    with torch.inference_mode(mode=False), torch.enable_grad():  # the caller may be in inference mode
        layer = last_convolution(classifier.network, _input(classifier, pixels[:1]))
        if layer is None:
            raise ValueError(f"{type(classifier.network).__name__} has no convolution: there is no map to draw")
        signs = torch.where(torch.from_numpy(np.asarray(is_malignant)), 1.0, -1.0).to(classifier.device)  # (N,)
        batches = zip(torch.split(pixels, _IMAGES_AT_ONCE), torch.split(signs, _IMAGES_AT_ONCE), strict=True)
        maps = torch.cat([_grad_cam(classifier, layer, images, batch_signs) for images, batch_signs in batches])
    return maps.numpy()


def _grad_cam(classifier: MelanomaClassifier, layer: nn.Module, pixels: Tensor, signs: Tensor) -> Tensor:
    """Return one batch's maps of the logit times its sign, float32 `(B, S, S)` on the CPU."""
    grad_cam = LayerGradCam(lambda inputs: classifier.network(inputs).reshape(-1) * signs, layer)
    coarse: Tensor = grad_cam.attribute(_input(classifier, pixels), relu_attributions=True)  # (B, 1, s, s)
    maps = functional.interpolate(coarse.detach().float(), size=pixels.shape[2:], mode="bilinear", align_corners=False)
    largest = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(largest > 0, maps / largest, 0)[:, 0].cpu()


def _input(classifier: MelanomaClassifier, pixels: Tensor) -> Tensor:
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


def shuffled(classifier: MelanomaClassifier, seed: int = 0) -> MelanomaClassifier:
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
    convolution = last_convolution(control.network)
    if convolution is None:
        raise ValueError(f"{type(control.network).__name__} has no convolution: there is no map to check")
    modules, generator = list(control.network.modules()), torch.Generator().manual_seed(seed)
    parameters = [each for module in modules[modules.index(convolution) :] for each in module.parameters(recurse=False)]
    with torch.no_grad():
        for weights in filter(lambda each: each.ndim > 1, parameters):
            rows = weights.flatten(1)  # (neurons, weights of each)
            order = torch.rand(rows.shape, generator=generator).argsort(dim=1)
            weights.copy_(rows.gather(1, order.to(rows.device)).view_as(weights))
    return control


def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    """Return Spearman's rank correlation of two maps, float `(S, S)` each, in [-1, 1].

    Returns:
        None if one of the maps is constant and so has no order.
    """
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def heat_map_files(paths: Sequence[Path], folder: Path) -> list[Path]:
    """Return each image's heat map file; the images' folders are kept below `folder`, since names repeat in them."""
    parents = [path.resolve().parent for path in paths]
    try:
        common = os.path.commonpath(parents)
    except ValueError:  # no images, or images on two drives of Windows
        common = ""
    pairs = zip(paths, parents, strict=True)
    return [folder / parent.relative_to(common or parent.anchor) / f"{path.name}.png" for path, parent in pairs]


def write_heat_map(classifier: MelanomaClassifier, prediction: Prediction, target: Path) -> Path | None:
    """Write an image file's heat map, laid over the image in its own shape.

    Returns:
        The written file; None if the image is broken or was not predicted from a file.

    Raises:
        ValueError: If the network has no convolution.
    """
    if prediction.pixels is None or prediction.path is None:
        return None
    heat = heat_maps(classifier, prediction.pixels[None], [prediction.is_malignant])[0]
    with open_image(prediction.path) as file:
        draft(file, SIDE // 2)
        image = to_rgb(file)
    image.thumbnail((SIDE, SIDE), reducing_gap=2.0)
    # the network saw the image squeezed into a square: stretch the map to the image's shape
    stretched = np.asarray(Image.fromarray(heat).resize(image.size, Image.Resampling.BILINEAR)).clip(0, 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(overlay(np.asarray(image), stretched)).save(target)
    return target
