"""Save `best.ckpt` and `last.ckpt`, each whole at any moment, and stop at a signal without losing a step."""

import logging
import math
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from melanoma_pl.errors import STOPPING, RunStopped, UserError
from melanoma_pl.files import copy, flush_folder, flush_to_disk, replacement
from melanoma_pl.messages import ON_SCREEN
from melanoma_pl.models.checkpoint import PREDICTION_KEY, for_prediction
from melanoma_pl.runs.run_folder import BEST, LAST, Run
from melanoma_pl.training.callbacks.resumed_checkpoint import (
    begin_epoch,
    callback_state,
    is_in_mid_epoch,
    kept_best,
    stopping_state,
)

logger = logging.getLogger(__name__)


class DirectCheckpointIO(TorchCheckpointIO):
    """Write checkpoints straight into their folder; Lightning's own writer fills memory and `$TMPDIR` first."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save a checkpoint with `torch.save`; `RunCheckpoints` flushes and renames the file."""
        torch.save(checkpoint, path)


class RunCheckpoints(Checkpoint):
    """Save a run so that it can be killed at any moment and resumed to the same bits.

    Lightning's own `ModelCheckpoint` keeps absolute paths, forgets the best epoch once the folder moved, and cannot
    save by steps and by minutes at once.

    Args:
        folder: Folder of `best.ckpt` and `last.ckpt`.
        monitor: Tag of the figure that decides which epoch is best.
        mode: `min` or `max`.
        every_n_steps: Steps after which `last.ckpt` is also saved within an epoch, or None.
        every_n_minutes: The same in minutes, or None.
        needs_best: Whether a training that would end before its first validation is refused.
    """

    def __init__(
        self,
        folder: str | Path,
        monitor: str = "val/auroc",
        mode: str = "max",
        every_n_steps: int | None = None,
        every_n_minutes: float | None = None,
        needs_best: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.monitor = monitor
        self.mode = mode
        self.every_n_steps = every_n_steps
        self.every_n_minutes = every_n_minutes
        self.needs_best = needs_best
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self.ended = False
        self.max_epochs = 0
        self.world_size = 1
        self._is_best = False
        self._saved_at = time.monotonic()
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Return which epoch is best, and whether the training has ended."""
        return {
            "monitor": self.monitor,
            "mode": self.mode,
            "world_size": self.world_size,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "ended": self.ended,
            "max_epochs": self.max_epochs,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which epoch is best."""
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adapt the checkpoint, before anything is restored from it, to settings that have changed since."""
        saved = callback_state(checkpoint, self.state_key)
        if trainer.state.fn != "fit" or not saved:
            return
        if (saved.get("monitor", self.monitor), saved.get("mode", self.mode)) != (self.monitor, self.mode):
            best = kept_best(self.folder, checkpoint, self.monitor, self.mode)
            saved |= {"best_score": best and best.score, "best_epoch": best and best.epoch}
            checkpoint["callbacks"][self.state_key] = saved
        for stopping in trainer.early_stopping_callbacks:
            state = stopping_state(stopping, checkpoint, trainer.val_check_interval == 1.0)
            checkpoint["callbacks"][stopping.state_key] = state
        before = saved.get("world_size", trainer.world_size)
        if before != trainer.world_size and is_in_mid_epoch(checkpoint):
            self._leave_epoch(trainer, checkpoint, before)

    def _leave_epoch(self, trainer: pl.Trainer, checkpoint: dict[str, Any], before: int) -> None:
        """Go on at the beginning of an epoch, since the batches of the interrupted one were divided otherwise."""
        epoch = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        is_last = epoch + 1 == trainer.max_epochs
        begin_epoch(checkpoint, epoch if is_last else epoch + 1)
        if trainer.is_global_zero:
            logger.warning(
                "devices     %d instead of %d, which divide the batches otherwise: %s",
                trainer.world_size,
                before,
                f"epoch {epoch + 1}, the last one, begins anew"
                if is_last
                else f"the rest of epoch {epoch + 1} is left out, going on with epoch {epoch + 2}",
            )

    @property
    def best_model_path(self) -> str:
        """Path of `best.ckpt`, for Lightning's `ckpt_path="best"`; empty before there is one."""
        path = self.folder / BEST
        return str(path) if path.is_file() else ""

    # Signals

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let a signal set a flag, because saving in the signal's handler could save half a step.

        Raises:
            UserError: If there would be no best epoch.
        """
        if self.needs_best and self.monitor.startswith("val/") and trainer.global_step == 0:
            _check_validates(trainer)
        self._saved_at = time.monotonic()
        self.max_epochs, self.world_size = trainer.max_epochs or 0, trainer.world_size
        if threading.current_thread() is threading.main_thread():
            numbers = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]  # nohup
            self._handlers = {number: signal.signal(number, self._on_signal) for number in numbers}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            raise RunStopped(number)
        self._signal = number
        logger.warning("stopping after this step, once it is saved; a second signal stops at once", extra=ON_SCREEN)

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the handlers of the signals."""
        self._restore_handlers()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the handlers of the signals."""
        self._restore_handlers()

    # When to save

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch; a save due at the epoch's last step follows its validation."""
        is_mid_step = (batch_idx + 1) % trainer.accumulate_grad_batches != 0  # accumulated gradients are not saved
        if trainer.is_last_batch or is_mid_step:
            return
        by_steps = self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0
        minutes = (time.monotonic() - self._saved_at) / 60
        by_clock = self.every_n_minutes is not None and minutes >= self.every_n_minutes
        stops = _any_rank(trainer, self._signal is not None)
        if stops or by_steps or (self.every_n_minutes is not None and _any_rank(trainer, by_clock)):
            self.save(trainer)
        if stops:
            raise RunStopped(self._signal or signal.SIGTERM)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the best within an epoch; a validation at the epoch's end is followed by the save of the epoch."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        is_best = self._note_best(trainer)
        self._is_best = is_best and trainer.is_last_batch
        if is_best and not trainer.is_last_batch:
            self.save(trainer, [BEST])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epoch, also as the best if it is the best."""
        is_best = self._is_best if self.monitor.startswith("val/") else self._note_best(trainer)
        self.ended = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        self.save(trainer, [BEST, LAST] if is_best else [LAST])
        self._is_best = False
        if _any_rank(trainer, self._signal is not None):
            raise RunStopped(self._signal or signal.SIGTERM)

    def _note_best(self, trainer: pl.Trainer) -> bool:
        """Tell whether the monitored figure is the best so far, and if so note it."""
        score = trainer.callback_metrics.get(self.monitor)
        if score is None or not self._is_better(float(score)):
            return False
        self.best_score, self.best_epoch = float(score), trainer.current_epoch + 1
        return True

    def _is_better(self, score: float) -> bool:
        if score != score:  # NaN is never best
            return False
        if self.best_score is None:
            return True
        return score < self.best_score if self.mode == "min" else score > self.best_score

    # How to save

    def save(self, trainer: pl.Trainer, names: Sequence[str] = (LAST,)) -> None:
        """Save the whole training under one or two names; an old file stays until the new one is on the disk.

        The best is saved first: a run killed between the two repeats this epoch and saves the same best again.

        Raises:
            UserError: At every rank, if it cannot be written, for instance because the disk is full.
        """
        failure = self._write(trainer, names)
        if not _any_rank(trainer, failure is not None):
            self._saved_at = time.monotonic()
            return
        if failure is None:
            raise UserError("")  # another rank tells it
        told = f"{self.folder / names[-1]} cannot be saved ({str(failure).splitlines()[0]})"
        raise UserError(told, Run(self.folder.parent).way_on) from failure

    def _write(self, trainer: pl.Trainer, names: Sequence[str]) -> Exception | None:
        """Save, and return the error of the disk, of which the other ranks must learn before they go on."""
        temporary = self.folder / f".{LAST}.part"
        is_saved = False
        try:
            if trainer.is_global_zero:
                self.folder.mkdir(exist_ok=True)  # it fails if the run's folder was moved
            trainer.save_checkpoint(temporary, weights_only=False)
            is_saved = True
            if trainer.is_global_zero:
                flush_to_disk(temporary)
                if BEST in names:
                    copy_best(temporary, self.folder / BEST)
                if LAST in names:
                    temporary.replace(self.folder / LAST)
                flush_folder(self.folder)
        except (OSError, RuntimeError) as error:
            if trainer.world_size > 1 and not is_saved:
                trainer.strategy.barrier()  # the one of Lightning's, at which the others wait
            return error
        finally:
            if trainer.is_global_zero:
                temporary.unlink(missing_ok=True)
        return None


def copy_best(source: Path, target: Path) -> None:
    """Copy a checkpoint as the best; if another network predicts than is trained, without what only training needs."""
    checkpoint = torch.load(source, map_location="cpu", weights_only=True, mmap=True)
    if PREDICTION_KEY not in checkpoint:
        copy(source, target)
        return
    with replacement(target) as temporary:
        torch.save(for_prediction(checkpoint), temporary)


def _check_validates(trainer: pl.Trainer) -> None:
    """Refuse a training that ends before its first validation.

    Raises:
        UserError: Naming the batches of both.
    """
    batches, epochs, steps = trainer.num_training_batches, trainer.max_epochs or -1, trainer.max_steps
    first = ((trainer.check_val_every_n_epoch or 1) - 1) * batches + (trainer.val_check_batch or 0)
    last = min(
        epochs * batches if epochs > 0 else math.inf, steps * trainer.accumulate_grad_batches if steps > 0 else math.inf
    )
    if last < first:
        raise UserError(
            f"training would end after {last} batches and validate after {first}, so no epoch would be the best",
            "add checkpoint.evaluate=last, or train longer",
        )


def _any_rank(trainer: pl.Trainer, is_due: bool) -> bool:
    """Tell whether something is due at any rank, since saving waits for all ranks and each has a clock of its own."""
    return (trainer.world_size > 1 and trainer.strategy.reduce_boolean_decision(is_due, all=False)) or is_due
