"""One row of figures an epoch, on screen, in `metrics.csv` and in every logger; and the progress bar."""

import logging
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar

from melanoma_pl.files import TableWriter, write_atomically
from melanoma_pl.runs.run_folder import METRICS

logger = logging.getLogger(__name__)

REFRESH = 5  # steps between two updates of the progress bar: drawing it at every step costs time


class EpochLog(pl.Callback):
    """Collects the figures of each epoch.

    The rows travel in the checkpoint, and `metrics.csv` is written from them, so that the file holds each epoch once,
    whenever the run was killed. `CSVLogger` would drop the earlier rows when a run is resumed.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, float]] = []
        self._seconds = 0.0
        self._images = 0
        self._since = 0.0
        self._learning_rate = 0.0
        self._is_validated = False

    def state_dict(self) -> dict[str, Any]:
        """Return all rows so far, and time and images of the current epoch."""
        return {"rows": self.rows, "seconds": self._elapsed(), "images": self._images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.rows = list(state_dict["rows"])
        self._seconds, self._images = state_dict["seconds"], state_dict["images"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, also if the run is resumed in mid-epoch."""
        self._since = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set time and images of the epoch to zero."""
        self._seconds, self._images, self._since = 0.0, 0, time.monotonic()
        self._is_validated = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the learning rate of this step; after the step the optimizer already holds that of the next."""
        self._learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the images."""
        self._images += len(batch.targets) * trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock, since images per second are those of training."""
        self._seconds, self._since = self._elapsed(), 0.0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that this epoch has validation figures, and start the clock again."""
        self._is_validated = True
        self._since = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row."""
        self._seconds, self._since = self._elapsed(), 0.0
        wanted = ("train/", "val/") if self._is_validated else ("train/",)
        # of all ranks: computing a metric waits for each of them
        figures = {tag: float(value) for tag, value in trainer.callback_metrics.items() if tag.startswith(wanted)}
        if not trainer.is_global_zero:
            return
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "train/learning_rate": self._learning_rate,
            **dict(sorted(figures.items())),
            "train/images_per_second": self._images / self._seconds if self._seconds else 0.0,
            "train/seconds": self._seconds,
        }
        self.rows.append(row)
        self._write()
        for each in trainer.loggers:
            each.log_metrics({tag: value for tag, value in row.items() if "/" in tag}, int(row["epoch"]))
            each.save()
        logger.info(format_epoch(row, trainer.max_epochs or 0))

    def _write(self) -> None:
        tags = list(dict.fromkeys(tag for row in self.rows for tag in row))
        with write_atomically(self.folder / METRICS) as file:
            writer = TableWriter(file, tags, restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def _elapsed(self) -> float:
        return self._seconds + (time.monotonic() - self._since if self._since else 0.0)


def format_epoch(row: dict[str, float], epochs: int) -> str:
    """Return an epoch's line for the screen."""
    parts = [f"epoch {row['epoch']:.0f}/{epochs}"]
    for split, title in (("train", "train"), ("val", "validation")):
        shown = [("loss", "loss"), ("accuracy", "accuracy"), ("auroc", "AUROC")]
        figures = [f"{label} {row[f'{split}/{name}']:.3f}" for name, label in shown if f"{split}/{name}" in row]
        if figures:
            parts.append(f"{title} {'  '.join(figures)}")
    parts.append(f"{row['train/images_per_second']:.0f} images/s  {row['train/seconds']:.1f} s")
    return " | ".join(parts)


class ProgressBar(TQDMProgressBar):
    """Lightning's progress bar; it counts epochs from 1, as every other line does."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=REFRESH)

    def on_train_epoch_start(self, trainer: pl.Trainer, *args: object) -> None:
        """Name the epoch."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")
