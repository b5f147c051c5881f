"""The progress bar."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar

REFRESH = 5  # steps: often enough for the eye; drawing the bar in each step costs time


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, counting epochs from 1 as every other line does."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=REFRESH)

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: object) -> None:
        """Name the epoch."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")
