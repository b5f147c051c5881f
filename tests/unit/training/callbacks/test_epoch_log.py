"""The progress of a run: one bar on a terminal, a line now and then elsewhere."""

import io
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from melanoma_pl.training.callbacks import epoch_log
from melanoma_pl.training.callbacks.epoch_log import RunProgress

BATCH = SimpleNamespace(targets=torch.zeros(32))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(epoch_log, "time", clock)
    return clock


def trainer(**values: Any) -> Any:
    """A trainer of three epochs of 100 batches."""
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.001}])
    common = {"max_epochs": 3, "num_training_batches": 100, "max_steps": -1, "accumulate_grad_batches": 1}
    state = {"global_step": 0, "current_epoch": 0, "world_size": 1, "callback_metrics": {}, "optimizers": [optimizer]}
    return SimpleNamespace(**(common | state | values))


def train_on(progress: RunProgress, own: Any, clock: Clock, steps: int, seconds: float) -> None:
    for _ in range(steps):
        clock.now += seconds
        progress.on_train_batch_end(own, None, {"loss": torch.tensor(0.5)}, BATCH, 0)  # type: ignore[arg-type]


def test_a_log_file_has_a_line_every_thirty_seconds(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress, own = RunProgress(is_terminal=False), trainer()
    progress.on_train_start(own, None)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        train_on(progress, own, clock, steps=29, seconds=1)
        assert not caplog.messages
        train_on(progress, own, clock, steps=71, seconds=1)
    assert len(caplog.messages) == 3
    assert caplog.messages[0] == ("epoch 1/3, step 30 of 300 | 0:04:30 left | loss 0.500 | 32 images/s | lr 1.0e-03")


def test_the_time_left_is_that_of_the_whole_run_and_counts_validation(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress, own = RunProgress(is_terminal=False), trainer(global_step=100, current_epoch=1)
    progress.on_train_start(own, None)  # type: ignore[arg-type]
    train_on(progress, own, clock, steps=20, seconds=1)
    clock.now += 20  # validation
    progress.on_validation_end(own, None)  # type: ignore[arg-type]
    own.callback_metrics["val/auroc"] = torch.tensor(0.8125)
    with caplog.at_level(logging.INFO):
        train_on(progress, own, clock, steps=1, seconds=1)
    (line,) = caplog.messages
    left = round(41 * 179 / 21)  # seconds: 21 of 200 steps took 41
    assert f"0:{left // 60:02d}:{left % 60:02d} left | AUROC 0.812 | loss 0.500 | 32 images/s" in line
    assert "step 121 of 300" in line


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_is_one_for_the_run_and_fits_the_terminal(
    columns: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    progress, own = RunProgress(is_terminal=True), trainer(callback_metrics={"val/auroc": torch.tensor(0.9)})
    progress.on_train_start(own, None)  # type: ignore[arg-type]
    progress._bar.ncols, progress._bar.dynamic_ncols = columns, None  # type: ignore[union-attr]
    train_on(progress, own, clock, steps=150, seconds=0.25)
    progress.on_train_end(own, None)  # type: ignore[arg-type]
    drawn = [line for line in re.split(r"[\r\n]", screen.getvalue()) if "epoch" in line]
    assert max(map(len, drawn)) <= columns
    assert "50%" in drawn[-1] or "49%" in drawn[-1]
    assert "left  AUROC 0.900  loss 0.500" in drawn[-1]
    assert len(drawn) < 60, "not at every step"
    assert "0/?" not in screen.getvalue()


def test_nothing_is_shown_by_other_ranks(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress, own = RunProgress(is_terminal=False), trainer()
    progress.disable()
    progress.on_train_start(own, None)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        train_on(progress, own, clock, steps=100, seconds=1)
    assert not caplog.messages
