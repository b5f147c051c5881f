"""One row of figures an epoch, on screen, in `metrics.csv` and in every logger; and the progress bar."""

import logging
import math
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from melanoma_pl.files import TableWriter, write_atomically
from melanoma_pl.messages import EVERY, ON_SCREEN, spent
from melanoma_pl.runs.run_folder import METRICS

logger = logging.getLogger(__name__)

DRAW_EVERY = 1.0  # seconds between two drawings of the progress bar: drawing it at every step costs time
ESTIMATE_AFTER, WORTH_SAYING = 10.0, 60.0  # seconds of training before its duration is said, and its least duration
FORWARD = 1 / 3  # duration of a validation step relative to a training step, until a validation was seen
WIDE_BAR, NARROW_BAR = 12, 4  # columns: the least width of a bar beside "epoch 2/12", and beside "2/12"


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
        self._since = self._validating = 0.0
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
        self._stop()
        self._validating = time.monotonic()

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the time that the network took; its figures are computed and drawn after that."""
        spent["validation"] += time.monotonic() - self._validating

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that this epoch has validation figures, and start the clock again."""
        self._is_validated = True
        self._since = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's row."""
        self._stop()
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

    def _stop(self) -> None:
        """Stop the clock."""
        if self._since:
            spent["training"] += time.monotonic() - self._since
        self._seconds, self._since = self._elapsed(), 0.0

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
        is_terminal: Whether standard output is a terminal of this process alone.
    """

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal
        self._bar: tqdm[Any] | None = None
        self._enabled = True
        self._is_estimated = False
        self._total = self._done = self._first = self._images = 0
        self._began = self._shown = self._since = self._stepped = 0.0  # seconds of the clock
        self._pauses: list[float] = []  # seconds between the last step of an epoch and the first of the next

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
        self._images, self._stepped, self._pauses, self._is_estimated = 0, 0.0, [], False
        if self._enabled and self.is_terminal:
            title = f"{_epoch(trainer)}  the first step"
            self._bar = tqdm(total=self._total, initial=self._done, leave=False, file=sys.stdout, bar_format=title)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note how long validation and saving took at the end of the epoch before."""
        if self._stepped:
            self._pauses.append(time.monotonic() - self._stepped)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the bar, or write a line, if it is time: reading the loss waits for a GPU."""
        self._done += 1
        self._images += len(batch.targets) * trainer.world_size
        self._stepped = time.monotonic()
        if self._enabled and not self._is_estimated and self._stepped - self._began >= ESTIMATE_AFTER:
            self._is_estimated = True
            if (left := self._seconds_left(trainer)) >= WORTH_SAYING:
                logger.info("time        about %.0f min until the last epoch ends", left / 60)
        if self._is_due():
            rate = self._images / (self._stepped - self._since) if self._stepped > self._since else 0.0
            self._images, self._since = 0, self._stepped
            learning_rate = trainer.optimizers[0].param_groups[0]["lr"]
            figures = [f"loss {float(outputs['loss']):.3f}", f"{rate:,.0f} images/s", f"lr {learning_rate:.2g}"]
            self._show(trainer, f"step {self._done:,} of {self._total:,}", figures)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the bar, or write a line, if it is time."""
        if not trainer.sanity_checking and self._is_due():
            fraction = (batch_idx + 1) / trainer.num_val_batches[dataloader_idx]
            self._show(trainer, "validation", [f"{fraction:.0%} validated"])

    def _is_due(self) -> bool:
        every = EVERY if self._bar is None else DRAW_EVERY
        return self._enabled and time.monotonic() - self._shown >= every

    def _show(self, trainer: pl.Trainer, part: str, figures: Sequence[str]) -> None:
        """Draw the bar with the time left, the last AUROC and the figures, or write a line that names the part, too."""
        self._shown = time.monotonic()
        auroc = trainer.callback_metrics.get("val/auroc")
        known = [] if auroc is None else [f"AUROC {float(auroc):.3f}"]
        shown = [f"{tqdm.format_interval(self._seconds_left(trainer))} left", *known, *figures]
        if self._bar is None:
            logger.info("%s, %s", _epoch(trainer), " | ".join([part, *shown]), extra=ON_SCREEN)
            return
        columns = shutil.get_terminal_size().columns - 1  # a full line would wrap on some terminals
        self._bar.ncols, self._bar.bar_format = columns, bar_format(_epoch(trainer), shown, columns)
        self._bar.n = self._done
        self._bar.refresh()

    def _seconds_left(self, trainer: pl.Trainer) -> float:
        """Return the seconds that the remaining steps, validations and savings take at the pace so far."""
        steps, left = self._done - self._first, self._total - self._done
        seconds = self._stepped - self._began - sum(self._pauses)
        step = seconds / max(steps, 1)
        pause = statistics.mean(self._pauses) if self._pauses else sum(trainer.num_val_batches) * step * FORWARD
        return left * step + math.ceil(left / trainer.num_training_batches) * pause

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


def _epoch(trainer: pl.Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"


def bar_format(epoch: str, figures: Sequence[str], columns: int) -> str:
    """Return the layout of the progress bar, for tqdm: a narrow terminal loses the bar first, then the last figures.

    Args:
        epoch: Such as `epoch 2/12`.
        figures: What to show, the most important first.
        columns: Width in characters.
    """
    for count in range(len(figures), 0, -1):
        text = "  ".join(figures[:count])
        short = epoch.removeprefix("epoch ")
        for title, least in ((epoch, WIDE_BAR), (short, NARROW_BAR), (short, 0)):
            room = columns - len(f"{title} 100%   {text}")
            if room >= least:
                return f"{title} {{percentage:3.0f}}% {'{bar}  ' if least else ' '}{text}"
    return "{percentage:3.0f}%"
