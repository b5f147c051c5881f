"""Pretrained networks of timm with one logit, fine-tuned in two stages: first the new head alone, then all layers."""

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

    For some epochs only the head learns, because the gradients of a random head would damage the backbone's features.
    The stage is a pure function of the epoch.

    Args:
        head_epochs: Epochs of the first stage, 0 or more. The backbone then keeps its weights and is in evaluation
            mode, so that it keeps its batch statistics as well.
        backbone_lr: Factor of the learning rate for the backbone in the second stage, in (0, 1].
    """

    def __init__(self, head_epochs: int, backbone_lr: float) -> None:
        super().__init__()
        if head_epochs < 0 or head_epochs != int(head_epochs):
            raise ValueError(f"head_epochs={head_epochs}: it must be a whole number, 0 or more")
        if not 0 < backbone_lr <= 1:
            raise ValueError(f"backbone_lr={backbone_lr}: it must be above 0 and at most 1")
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
        """Return the optimizer's parameter groups, the head's first, equal in both stages so that a run can be resumed.

        Args:
            lr: Learning rate of the head.
        """
        head = [parameter for layer in self.head() for parameter in layer.parameters()]
        return [{"params": head}, {"params": self.backbone_parameters, "lr": lr * self.backbone_lr}]

    def enter_stage(self, epoch: int) -> None:
        """Set which parameters learn in an epoch, counted from 0.

        Call this before each training batch: Lightning skips the hook at the start of an epoch that it resumes in the
        middle, and it resets the modes of all modules after validation.
        """
        learns = epoch >= self.head_epochs
        for parameter in self.backbone_parameters:
            if parameter.requires_grad != learns:
                parameter.requires_grad_(learns)
        for module in self.backbone_modules:
            if module.training != learns:  # setting it for hundreds of modules at each step is slower than asking
                module.training = learns
        for layer in self.head():
            layer.train()


class TimmBackbone(FineTuned):
    """A network of timm, pretrained or random, with a new head of one neuron.

    Args:
        backbone: Name of the network, one of `timm.list_models()` or, with a tag, of `timm.list_pretrained()`.
        pretrained: True (weights of timm's hub), False (random weights), `package` (those of a package of the package
            index, for `tf_efficientnet_lite0` to `2`), or a file of weights of that network.
        dropout: Fraction of the head's inputs that training sets to zero, in [0, 1); none in the first stage.
        image_size: Side of the input, in pixels.
        head_epochs: Epochs in which only the head learns, 0 or more.
        backbone_lr: Factor of the learning rate for all other layers afterwards, in (0, 1].

    Raises:
        UserError: If timm is not installed, lacks the network or cannot fetch its weights, or if the network does not
            accept images of that size.
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
            raise ValueError(f"dropout={dropout}: it must be at least 0 and below 1")
        self.backbone = self._build(backbone, pretrained, dropout, image_size)
        # a checkpoint holds the weights, so that loading it fetches nothing
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
        """Return one logit an image.

        Args:
            images: float `(N, 3, S, S)`.

        Returns:
            float `(N, 1)`.
        """
        logits: Tensor = self.backbone(images)
        return logits

    def head(self) -> Sequence[nn.Module]:
        """Return the layers that timm calls the classifier; distilled transformers have two."""
        return heads_of(self.backbone)

    @staticmethod
    def _build(backbone: str, pretrained: bool | str, dropout: float, image_size: int) -> nn.Module:
        """Build the network and run it once, since some networks fail at sizes that reduce their maps to nothing."""
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
    """Return the preprocessing of a network's pretraining, except its size and crop.

    Args:
        backbone: Name of the network in timm, with or without a tag; each tag has its own preprocessing.
        image_size: Side in pixels; images are resized to a square of this side, and nothing is cropped.

    Raises:
        UserError: If timm is not installed or lacks the network.
    """
    configuration = find_configuration(backbone)
    interpolation: Literal["bilinear", "bicubic"] = (
        "bilinear" if configuration.interpolation == "bilinear" else "bicubic"
    )
    return Preprocessing(image_size, tuple(configuration.mean), tuple(configuration.std), interpolation)
