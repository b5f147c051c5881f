"""Networks with known heat maps."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from melanoma_pl.inference.heat_maps import heat_maps
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.three_conv import ThreeConvNet
from melanoma_pl.preprocessing import Preprocessing

SIDE = 32


class RedAgainstGreen(nn.Module):
    """Red supports malignant and green benign, wherever they are."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 2, 1, bias=False)
        self.relu = nn.ReLU(inplace=inplace)
        self.head = nn.Linear(2, 1)
        with torch.no_grad():
            self.colours.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]).view(2, 3, 1, 1))
            self.head.weight.copy_(torch.tensor([[1.0, -1]]))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.relu(self.colours(images)).mean((2, 3)))


def red_and_green() -> Tensor:
    """Four images: red upper left and green lower right, red only, green only, black."""
    images = torch.zeros(4, 3, SIDE, SIDE, dtype=torch.uint8)
    images[:2, 0, :8, :8] = 200
    images[::2, 1, -8:, -8:] = 200
    images[3] = 0
    return images


def classifier_of(network: nn.Module) -> MelanomaClassifier:
    return MelanomaClassifier(network, preprocessing=Preprocessing(image_size=SIDE)).eval()


def tiny_classifier(seed: int = 0) -> MelanomaClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return classifier_of(ThreeConvNet(channels=(4, 4, 4), hidden=8, image_size=SIDE))


def random_images(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8).permute(0, 3, 1, 2)


def malignant_maps(classifier: MelanomaClassifier, pixels: Tensor) -> NDArray[np.float32]:
    """Return the maps of what supports malignant, float32 `(N, S, S)`."""
    return heat_maps(classifier, pixels, np.ones(len(pixels), dtype=bool))
