"""End the training of a search's job that is hopeless, at the end of an epoch and with its checkpoint."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl

from melanoma_pl.training.callbacks.resumed_checkpoint import callback_state

logger = logging.getLogger(__name__)


class Pruning(pl.Callback):
    """Asks after each epoch but the last whether to go on.

    The decision is taken before the epoch is saved, and travels in its checkpoint: a job that is killed between the two
    takes the same decision again. Values of earlier epochs travel along, because an interrupted trial of Optuna loses
    what was reported to it.

    Args:
        metric: Tag of the figure.
        is_hopeless: Takes its value by epoch, from 1, and tells whether to end the training.
    """

    def __init__(self, metric: str, is_hopeless: Callable[[Mapping[int, float]], bool]) -> None:
        self.metric = metric
        self.is_hopeless = is_hopeless
        self.by_epoch: dict[int, float] = {}
        self.is_pruned = False

    def state_dict(self) -> dict[str, Any]:
        """Return the values so far and the decision."""
        return {"by_epoch": self.by_epoch, "is_pruned": self.is_pruned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.by_epoch, self.is_pruned = dict(state_dict["by_epoch"]), state_dict["is_pruned"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the value of this epoch, and end the training if it is hopeless."""
        value = trainer.callback_metrics.get(self.metric)
        if value is None:
            return
        epoch = trainer.current_epoch + 1
        self.by_epoch[epoch] = float(value)
        if epoch != trainer.max_epochs and self.is_hopeless(self.by_epoch):
            self.is_pruned = trainer.should_stop = True
            logger.info("pruned after epoch %d: %s is below the median of the other trials", epoch, self.metric)


def was_saved_as_pruned(checkpoint: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint is that of a training that was pruned."""
    return bool(callback_state(checkpoint, Pruning.__qualname__).get("is_pruned"))
