"""Two stages of fine-tuning, as a pure function of the epoch: first the new head alone, then everything.

Any network of timm with one logit, and the preprocessing that it was pretrained with.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from melanoma_pl.errors import UserError
from melanoma_pl.models.pretrained import create_network, find_configuration, heads_of, one_line
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import TARGET, name_of


class FineTuned(nn.Module, ABC):
    """A pretrained network with a new head, which `MelanomaClassifier` trains in two stages.

    The gradients of a random head would spoil what the backbone knows: for some epochs the head learns alone.

    Args:
        head_epochs: Epochs of the first stage, 0 or more: the backbone keeps its weights and is in evaluation mode, so
            that it keeps its batch statistics too.
        backbone_lr: Factor of the learning rate for the backbone in the second stage, above 0 to 1.
    """

    def __init__(self, head_epochs: int, backbone_lr: float) -> None:
        super().__init__()
        if head_epochs < 0 or head_epochs != int(head_epochs):
            raise ValueError(f"head_epochs={head_epochs}: allowed are whole numbers, 0 or more")
        if not 0 < backbone_lr <= 1:
            raise ValueError(f"backbone_lr={backbone_lr}: allowed is above 0 to 1")
        self.head_epochs = head_epochs
        self.backbone_lr = backbone_lr

    @abstractmethod
    def head(self) -> Sequence[nn.Module]:
        """Return the new layers; everything else is the backbone."""

    @cached_property
    def backbone_parameters(self) -> list[nn.Parameter]:
        """All parameters but the head's."""
        of_head = {id(parameter) for layer in self.head() for parameter in layer.parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in of_head]

    @cached_property
    def backbone_modules(self) -> list[nn.Module]:
        """All modules but the head's."""
        of_head = {id(module) for layer in self.head() for module in layer.modules()}
        return [module for module in self.modules() if id(module) not in of_head]

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return the optimizer's groups, the head's first: the same in both stages, so that a run can be resumed.

        Args:
            lr: Learning rate of the head.
        """
        head = [parameter for layer in self.head() for parameter in layer.parameters()]
        return [{"params": head}, {"params": self.backbone_parameters, "lr": lr * self.backbone_lr}]

    def enter_stage(self, epoch: int) -> None:
        """Put the network into the stage of an epoch, counted from 0.

        To be called before each training batch: Lightning skips the start of an epoch that it resumes in the middle,
        and puts all modules into training mode, or back into the mode that they had, whenever it comes from elsewhere.
        """
        learns = epoch >= self.head_epochs
        for parameter in self.backbone_parameters:
            if parameter.requires_grad != learns:
                parameter.requires_grad_(learns)
        for module in self.backbone_modules:
            if module.training != learns:  # to set it costs more than to ask, for each of hundreds in each step
                module.training = learns
        for layer in self.head():
            layer.train()


class TimmBackbone(FineTuned):
    """A network of timm, pretrained or not, with a new head of one neuron.

    Args:
        backbone: Name of the network, as `timm.list_models()` and, with a tag, `timm.list_pretrained()` give it.
        pretrained: True (the weights of timm's hub), False (random), or a file of weights for that network.
        dropout: Share of what the head is given that is set to zero in training, in [0, 1); in the first stage nothing.
        image_size: Side of the input, in pixels.
        head_epochs: Epochs in which only the head is trained, 0 or more.
        backbone_lr: Factor of the learning rate for all but the head after those, above 0 to 1.

    Raises:
        UserError: If timm is not installed, does not have the network, cannot fetch its weights, or its network does
            not take images of that size.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        pretrained: bool | str = True,
        dropout: float = 0.0,
        image_size: int = 224,
        head_epochs: int = 1,
        backbone_lr: float = 0.1,
    ) -> None:
        super().__init__(head_epochs, backbone_lr)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: allowed is 0 to below 1")
        self.backbone = self._build(backbone, pretrained, dropout, image_size)
        # a checkpoint holds the weights: nothing is fetched again
        self.spec: dict[str, Any] = {
            TARGET: name_of(type(self)),
            "backbone": backbone,
            "pretrained": False,
            "dropout": dropout,
            "image_size": image_size,
            "head_epochs": head_epochs,
            "backbone_lr": backbone_lr,
        }

    def forward(self, images: Tensor) -> Tensor:
        """Return a logit an image.

        Args:
            images: float `(N, 3, S, S)`.

        Returns:
            float `(N, 1)`.
        """
        logits: Tensor = self.backbone(images)
        return logits

    def head(self) -> Sequence[nn.Module]:
        """Return what timm calls the classifier; distilled transformers have two."""
        return heads_of(self.backbone)

    @staticmethod
    def _build(backbone: str, pretrained: bool | str, dropout: float, image_size: int) -> nn.Module:
        """Build the network and run it once: some fail at sizes that leave no places in their maps."""
        configuration = find_configuration(backbone)
        options: dict[str, Any] = {"drop_rate": dropout} if dropout else {}
        if configuration.fixed_input_size:
            options["img_size"] = image_size
        with_size = f"{backbone} with data.image_size={image_size}"
        way_out = f"it was pretrained with data.image_size={configuration.input_size[-1]}"
        try:
            network = create_network(backbone, pretrained, **options)
            with torch.no_grad():
                logits = network.eval()(torch.zeros(1, 3, image_size, image_size))
        except UserError:
            raise
        except Exception as error:  # each network has its own way to refuse a size
            raise UserError(f"{with_size} cannot be built ({one_line(error)})", way_out) from error
        if not isinstance(logits, Tensor) or logits.shape != (1, 1):
            raise UserError(f"{with_size} does not return one logit an image", "take another network")
        return network.train()


def backbone_preprocessing(backbone: str, image_size: int) -> Preprocessing:
    """Return the preprocessing that a network of timm was pretrained with, but for size and crop.

    Args:
        backbone: Its name, with a tag or without; each tag has its own.
        image_size: Side in pixels; images are squashed to it and nothing is cropped.

    Raises:
        UserError: If timm is not installed or does not have the network.
    """
    configuration = find_configuration(backbone)
    interpolation: Literal["bilinear", "bicubic"] = (
        "bilinear" if configuration.interpolation == "bilinear" else "bicubic"
    )
    return Preprocessing(image_size, tuple(configuration.mean), tuple(configuration.std), interpolation)
