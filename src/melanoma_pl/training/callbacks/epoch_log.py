"""One row an epoch: on screen, in `metrics.csv`, and to every logger.

The progress bar.
"""

import csv
import logging
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint, TQDMProgressBar

from melanoma_pl.files import write_atomically

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.csv"


class EpochLog(Checkpoint):
    """Gathers each epoch's figures.

    The rows travel in the checkpoint, and `metrics.csv` is written from them: whatever was killed when, each epoch
    stands there once. (A `Checkpoint` only because Lightning calls those after the module's own end of an epoch.)

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []
        self._seconds = 0.0
        self._images = 0
        self._since = 0.0
        self._validated = False

    def state_dict(self) -> dict[str, Any]:
        """Return all rows so far, and what was counted of the epoch under way."""
        return {"rows": self.rows, "seconds": self._elapsed(), "images": self._images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them back."""
        self.rows = list(state_dict["rows"])
        self._seconds, self._images = state_dict["seconds"], state_dict["images"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, also in the middle of an epoch."""
        self._since = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting anew."""
        self._seconds, self._images, self._since = 0.0, 0, time.monotonic()
        self._validated = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count images."""
        self._images += len(batch.targets) * trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock: the rate is that of training."""
        self._seconds, self._since = self._elapsed(), 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that this epoch has validation figures."""
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row."""
        if not trainer.is_global_zero:
            return
        self._seconds, self._since = self._elapsed(), 0.0
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        kept = {name: value for name, value in figures.items() if self._validated or not name.startswith("val/")}
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train/learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
            **dict(sorted(kept.items())),
            "train/images_per_second": self._images / self._seconds if self._seconds else 0.0,
            "train/seconds": self._seconds,
        }
        self.rows.append(row)
        self.write()
        for each in trainer.loggers:
            each.log_metrics(
                {name: value for name, value in row.items() if name not in ("epoch", "step")}, int(row["epoch"])
            )
            each.save()
        logger.info(line(row, trainer.max_epochs or 0))

    def write(self) -> None:
        """Write `metrics.csv` from all rows."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with write_atomically(self.folder / METRICS_FILE) as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def _elapsed(self) -> float:
        return self._seconds + (time.monotonic() - self._since if self._since else 0.0)


def line(row: dict[str, float], epochs: int) -> str:
    """Return an epoch's line for the screen."""
    parts = [f"epoch {row['epoch']:.0f}/{epochs}"]
    for split, title in (("train", "train"), ("val", "validation")):
        shown = [("loss", "loss"), ("accuracy", "accuracy"), ("auroc", "AUROC")]
        figures = [f"{label} {row[f'{split}/{key}']:.3f}" for key, label in shown if f"{split}/{key}" in row]
        if figures:
            parts.append(f"{title} {'  '.join(figures)}")
    parts.append(f"{row['train/images_per_second']:.0f} images/s  {row['train/seconds']:.1f} s")
    return " | ".join(parts)


REFRESH = 5  # steps: often enough for the eye; drawing the bar in each step costs time


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, counting epochs from 1 as every other line does."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=REFRESH)

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: object) -> None:
        """Name the epoch."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")
