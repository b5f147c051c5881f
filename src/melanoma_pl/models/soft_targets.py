"""Training targets between 0 and 1: mixed images, smoothed labels, and the answers of other networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SoftTargets:
    """Changes the images and targets of each training step; the defaults change nothing.

    Args:
        label_smoothing: Fraction of each target that is 1/2 instead, in [0, 1) (Szegedy et al., CVPR 2016).
        mixup: Parameter of the beta distribution by which each image is mixed with another one of its batch (Zhang et
            al., ICLR 2018); 0 mixes none.
        teachers: Classifiers whose mean answer to the same augmented images becomes a part of the targets (Beyer et
            al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
        teacher_weight: That part, in (0, 1].

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        teachers: Sequence[nn.Module] = (),
        teacher_weight: float = 0.5,
    ) -> None:
        if not (0 <= label_smoothing < 1 and mixup >= 0 and 0 < teacher_weight <= 1):
            raise ValueError(
                f"label_smoothing={label_smoothing}, mixup={mixup}, teacher_weight={teacher_weight}: they must be in "
                "[0, 1), 0 or more, and in (0, 1]"
            )
        self.label_smoothing, self.mixup = label_smoothing, mixup
        self.teachers, self.teacher_weight = tuple(teachers), teacher_weight

    def __call__(self, pixels: Tensor, targets: Tensor, oversampling: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return a training step's images and targets as the loss takes them.

        Args:
            pixels: uint8 `(N, 3, S, S)`, augmented.
            targets: int64 `(N,)`.
            oversampling: How many times as frequent malignant images are in training as among its images; it raises the
                odds that the teachers give.

        Returns:
            uint8 `(N, 3, S, S)` and float `(N,)` in [0, 1]; the arguments themselves if nothing is changed.
        """
        if self.mixup:
            fraction = float(torch.distributions.Beta(self.mixup, self.mixup).sample())
            order = torch.randperm(len(targets)).to(pixels.device)
            pixels = (fraction * pixels + (1 - fraction) * pixels[order]).round().to(torch.uint8)
            targets = fraction * targets + (1 - fraction) * targets[order]
        if self.label_smoothing:
            targets = (1 - self.label_smoothing) * targets + self.label_smoothing / 2
        if self.teachers:
            with torch.no_grad():
                logits = torch.stack([teacher(pixels).float() / teacher.temperature for teacher in self.teachers])
            taught = torch.sigmoid(logits.mean(dim=0) + math.log(oversampling))
            targets = (1 - self.teacher_weight) * targets + self.teacher_weight * taught
        return pixels, targets

    def move_teachers(self, device: torch.device) -> None:
        """Move the teachers to the device of the training."""
        for teacher in self.teachers:
            teacher.to(device).eval()
