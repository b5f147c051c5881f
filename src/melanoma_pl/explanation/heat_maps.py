"""Where a network's decision comes from: Grad-CAM on its last convolution.

Selvaraju et al., "Grad-CAM", ICCV 2017, as captum computes it: each channel of the last convolution counts by its mean
gradient, the weighted sum is cut off at zero. The gradient's own place is lost in that mean, so where a network with
dense layers judges by place the map shows only where its features lie.
"""

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.features import last_convolution

_PHOTOS_AT_ONCE = 16  # bounds the memory that gradients take


def heat_maps(
    classifier: MelanomaClassifier, pixels: Tensor, is_malignant: ArrayLike | None = None
) -> NDArray[np.float32]:
    """Return where each photo speaks for what was decided of it.

    The classifier is left in evaluation mode, without gradients.

    Args:
        classifier: On any device.
        pixels: uint8 `(N, 3, S, S)`.
        is_malignant: bool `(N,)`, the decisions; of a photo that was called benign the map shows what speaks for that.
            None shows of every photo what speaks for malignant.

    Returns:
        float32 `(N, S, S)` in [0, 1], each map on a scale of its own: 1 is its largest value. A photo in which nothing
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
        batches = zip(torch.split(pixels, _PHOTOS_AT_ONCE), torch.split(signs, _PHOTOS_AT_ONCE), strict=True)
        maps = torch.cat([_grad_cam(classifier, layer, photos, towards) for photos, towards in batches])
    return maps.numpy()


def _grad_cam(classifier: MelanomaClassifier, layer: nn.Module, pixels: Tensor, signs: Tensor) -> Tensor:
    """Return one batch's maps of the logit times its sign, float32 `(B, S, S)` on the CPU."""
    grad_cam = LayerGradCam(lambda images: classifier.network(images).reshape(-1) * signs, layer)
    coarse: Tensor = grad_cam.attribute(_input(classifier, pixels), relu_attributions=True)  # (B, 1, s, s)
    maps = functional.interpolate(coarse.detach().float(), size=pixels.shape[2:], mode="bilinear", align_corners=False)
    largest = maps.amax(dim=(2, 3), keepdim=True)
    return torch.where(largest > 0, maps / largest, 0)[:, 0].cpu()


def _input(classifier: MelanomaClassifier, pixels: Tensor) -> Tensor:
    """Return what the network sees: captum needs the gradient's way to start behind the whole numbers."""
    return classifier.preprocessing.to_input(pixels.to(classifier.device)).requires_grad_()
