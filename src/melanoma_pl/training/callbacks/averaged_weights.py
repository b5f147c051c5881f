"""Average the weights over the steps of a training, and validate, save and predict with the average."""

from collections.abc import Mapping
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from melanoma_pl.errors import UserError
from melanoma_pl.models.classifier import MelanomaClassifier


class AveragedWeights(pl.Callback):
    """Exponential moving average of weights and batch statistics (Polyak and Juditsky, 1992).

    Validation, `best.ckpt` and every prediction use the average; `last.ckpt` also holds the weights that are trained.
    Lightning's `EMAWeightAveraging` validates untrained weights before its first update, and saves no decision that was
    fitted with the average.

    Args:
        decay: Weight of the average so far at each step, in (0, 1): 0.998 averages over about the last 500 steps. At
            step t it is at most (1 + t) / (10 + t), so that the initial weights are soon forgotten.

    Raises:
        ValueError: If `decay` is out of its range.
    """

    def __init__(self, decay: float = 0.998) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay={decay}: it must be above 0 and below 1")
        self.decay = decay
        self.averages: dict[str, Tensor] = {}
        self._trained: dict[str, Tensor] = {}  # the weights, while validation uses the average
        self._step = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the averages."""
        return {"averages": self.averages}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the averages."""
        self.averages = dict(state_dict["averages"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin with the present weights, or go on with the restored averages.

        Raises:
            UserError: If the training is shorter than what is averaged over.
        """
        steps, reach = trainer.estimated_stepping_batches, round(1 / (1 - self.decay))
        if steps < reach:
            raise UserError(
                f"the average with decay={self.decay} reaches back {reach} steps, and the training has {steps:.0f}",
                f"take a decay of at most {max(0.1, 1 - 3 / steps):.3g}, or train longer",
            )
        network = network_of(pl_module)
        state = {name: value.detach() for name, value in network.state_dict().items()}
        before = self.averages or {name: value.clone() for name, value in state.items()}
        self.averages = {name: before[name].to(value.device) for name, value in state.items()}
        self._step = trainer.global_step
        cast(MelanomaClassifier, pl_module).averages = self.averages

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the averages towards the weights once the optimizer has changed them."""
        if trainer.global_step == self._step:  # gradients were only accumulated
            return
        self._step = trainer.global_step
        decay = min(self.decay, (1 + self._step) / (10 + self._step))
        state = network_of(pl_module).state_dict()
        moving = [name for name, value in state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.averages[name] for name in moving], [state[name] for name in moving], 1 - decay)
        for name in state.keys() - set(moving):  # counters
            self.averages[name].copy_(state[name])

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the average."""
        if trainer.state.fn == "fit" and self.averages:
            network = network_of(pl_module)
            self._trained = {name: value.detach().clone() for name, value in network.state_dict().items()}
            set_state(network, self.averages)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on training with the weights."""
        if self._trained:
            set_state(network_of(pl_module), self._trained)
            self._trained = {}


def network_of(module: pl.LightningModule) -> nn.Module:
    """Return the network of a classifier."""
    return cast(MelanomaClassifier, module).network


@torch.no_grad()
def set_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy values into a network's weights and buffers, which the optimizer refers to."""
    for name, value in network.state_dict().items():
        value.copy_(state[name])
