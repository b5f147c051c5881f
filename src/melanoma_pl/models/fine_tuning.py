"""Two stages of fine-tuning, as a pure function of the epoch: first the new head alone, then everything."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch import nn


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
