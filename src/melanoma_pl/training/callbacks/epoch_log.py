"""One row of figures an epoch, on screen, in `metrics.csv` and in every logger; and the progress bar."""

import logging
import math
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from melanoma_pl.files import TableWriter, write_atomically
from melanoma_pl.messages import EVERY, ON_SCREEN
from melanoma_pl.runs.run_folder import METRICS

logger = logging.getLogger(__name__)

DRAW_EVERY = 1.0  # seconds between two drawings of the progress bar: drawing it at every step costs time


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


class RunProgress(ProgressBar):
    """One bar for the whole run on a terminal; elsewhere, such as in a log file, a line every `EVERY` seconds.

    Lightning's own bar starts anew in each epoch, has a second one for validation, and cannot tell when the run ends.

    Args:
        is_terminal: Whether standard output is a terminal.
    """

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal
        self._bar: tqdm[Any] | None = None
        self._enabled = True
        self._total = self._done = self._first = 0
        self._began = self._shown = self._since = 0.0
        self._images = 0

    def disable(self) -> None:
        """Show nothing, as Lightning asks on all ranks but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the progress again."""
        self._enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the steps of the whole run, and those that an earlier start has done."""
        batches = trainer.num_training_batches
        self._total = int((trainer.max_epochs or 0) * batches) if math.isfinite(batches) else 0
        if trainer.max_steps > 0:
            self._total = min(self._total, trainer.max_steps * trainer.accumulate_grad_batches)
        self._first = self._done = trainer.global_step * trainer.accumulate_grad_batches
        self._began = self._shown = self._since = time.monotonic()
        self._images = 0
        if self._enabled and self.is_terminal:
            self._bar = tqdm(
                total=self._total, initial=self._done, leave=False, dynamic_ncols=True, mininterval=DRAW_EVERY,
                bar_format="{desc} {percentage:3.0f}%|{bar}|{postfix}", file=sys.stdout,
            )  # fmt: skip

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the bar, or write a line, if it is time: reading the loss waits for a GPU."""
        self._done += 1
        self._images += len(batch.targets) * trainer.world_size
        now = time.monotonic()
        if not self._enabled or now - self._shown < (DRAW_EVERY if self._bar is not None else EVERY):
            return
        self._shown = now
        shown = self._figures(trainer, float(outputs["loss"]), now)
        if self._bar is None:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            logger.info(
                "%s, step %s", epoch, " | ".join([f"{self._done:,} of {self._total:,}", *shown]), extra=ON_SCREEN
            )
        else:
            self._bar.set_description_str(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", refresh=False)
            self._bar.set_postfix_str("  ".join(shown), refresh=False)
            self._bar.n = self._done
            self._bar.refresh()

    def _figures(self, trainer: pl.Trainer, loss: float, now: float) -> list[str]:
        """Return the time left, AUROC, loss, images per second and learning rate: a narrow screen cuts the end."""
        rate = self._images / (now - self._since) if now > self._since else 0.0
        self._images, self._since = 0, now
        left = (now - self._began) * (self._total - self._done) / max(self._done - self._first, 1)
        auroc = trainer.callback_metrics.get("val/auroc")
        return [
            f"{timedelta(seconds=round(left))} left",
            *([f"AUROC {float(auroc):.3f}"] if auroc is not None else []),
            f"loss {loss:.3f}",
            f"{rate:.0f} images/s",
            f"lr {trainer.optimizers[0].param_groups[0]['lr']:.1e}",
        ]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the time of validation out of the images per second."""
        self._images, self._since = 0, time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
