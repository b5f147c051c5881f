"""The checkpoint that a run goes on from, adapted to the settings that have changed since it was saved.

Lightning restores what a checkpoint holds: a best figure of the former metric, the former patience, and a position in
an epoch that was divided among the former devices. What depends on them is derived anew from the recorded epochs.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.callbacks import EarlyStopping

from melanoma_pl.models.checkpoint import read_checkpoint
from melanoma_pl.runs.run_folder import BEST, LAST

Checkpoint = Mapping[str, Any]
Rows = Sequence[Mapping[str, float]]


class KeptBest(NamedTuple):
    """The best of the weights that a run still has.

    Attributes:
        name: `best.ckpt` or `last.ckpt`.
        score: The figure.
        epoch: The epoch, from 1.
    """

    name: str
    score: float
    epoch: int


def callback_state(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """Return the state of a callback in a checkpoint, by the name of its class; empty if it has none."""
    return dict(checkpoint["callbacks"].get(name, {}))


def recorded_epochs(checkpoint: Checkpoint) -> Rows:
    """Return the rows of `metrics.csv` up to a checkpoint."""
    return list(callback_state(checkpoint, "EpochLog").get("rows", ()))


def kept_best(folder: Path, checkpoint: Checkpoint, monitor: str, mode: str) -> KeptBest | None:
    """Return which of `best.ckpt` and `last.ckpt` is the better by the recorded epochs; None if neither has a figure.

    The weights of other epochs are gone, however good they were.

    Args:
        folder: Folder of the checkpoints.
        checkpoint: The content of `last.ckpt`.
        monitor: Tag of the figure.
        mode: `min` or `max`.
    """
    steps = {LAST: checkpoint["global_step"]}
    if (folder / BEST).is_file():
        steps = {BEST: read_checkpoint(folder / BEST)["global_step"], **steps}
    kept = [
        KeptBest(name, row[monitor], int(row["epoch"]))
        for name, step in steps.items()
        for row in recorded_epochs(checkpoint)
        if row["step"] == step and row.get(monitor, torch.nan) == row.get(monitor)  # NaN is never best
    ]
    # of equal figures the first: it is that of the earlier epoch
    return (min if mode == "min" else max)(kept, key=lambda best: best.score, default=None)


def replayed(stopping: EarlyStopping, rows: Rows) -> tuple[EarlyStopping, bool]:
    """Return a copy of a callback that has seen the recorded epochs, and whether it stops after the last of them."""
    copy, stops = deepcopy(stopping), False
    for row in rows:
        if stopping.monitor in row:
            stops, _ = copy._evaluate_stopping_criteria(torch.tensor(row[stopping.monitor]))
    return copy, stops


def stopping_state(stopping: EarlyStopping, checkpoint: Checkpoint, is_once_an_epoch: bool) -> dict[str, Any]:
    """Return the state in which a callback goes on.

    Args:
        stopping: The callback, with the present settings.
        checkpoint: The content of `last.ckpt`.
        is_once_an_epoch: Whether an epoch has one validation, so that the recorded epochs hold them all. If not, the
            saved state stays, except for the patience.
    """
    saved = callback_state(checkpoint, stopping.state_key)
    if saved and not is_once_an_epoch:
        return {**saved, "patience": stopping.patience}
    return replayed(stopping, recorded_epochs(checkpoint))[0].state_dict()


def would_stop(stopping: EarlyStopping, checkpoint: Checkpoint, is_once_an_epoch: bool) -> bool:
    """Tell whether a callback stops the training where the checkpoint was saved; the arguments as above."""
    saved = callback_state(checkpoint, stopping.state_key)
    if saved and not is_once_an_epoch:
        return bool(saved["wait_count"] >= stopping.patience)
    return replayed(stopping, recorded_epochs(checkpoint))[1]


def is_in_mid_epoch(checkpoint: Checkpoint) -> bool:
    """Tell whether a checkpoint was saved within an epoch."""
    progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    return bool(progress["started"] > progress["processed"])


def begin_epoch(checkpoint: Checkpoint, epoch: int) -> None:
    """Let a checkpoint that was saved within an epoch go on at the beginning of an epoch.

    Args:
        checkpoint: It is changed in place.
        epoch: The epoch, from 0.
    """
    loop = checkpoint["loops"]["fit_loop"]
    stages = ("ready", "started", "processed", "completed")
    for kind in ("total", "current"):
        loop["epoch_progress"][kind].update(dict.fromkeys(stages, epoch))
    loop["epoch_loop.batch_progress"]["current"].update(dict.fromkeys(stages, 0))
    loop["epoch_loop.batch_progress"]["is_last_batch"] = False
