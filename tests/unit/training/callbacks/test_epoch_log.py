"""The progress of a run: one bar on a terminal, a line now and then elsewhere."""

import io
import logging
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from melanoma_pl.training.callbacks import epoch_log
from melanoma_pl.training.callbacks.epoch_log import RunProgress, bar_format

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
    validation = {"sanity_checking": False, "num_val_batches": [10]}
    return SimpleNamespace(**(common | state | validation | values))


def train_on(progress: RunProgress, own: Any, clock: Clock, steps: int, seconds: float) -> None:
    for _ in range(steps):
        clock.now += seconds
        progress.on_train_batch_end(own, None, {"loss": torch.tensor(0.5)}, BATCH, 0)  # type: ignore[arg-type]


def validate_on(progress: RunProgress, own: Any, clock: Clock, seconds: float) -> None:
    for index in range(10):
        clock.now += seconds / 10
        progress.on_validation_batch_end(own, None, None, BATCH, index)  # type: ignore[arg-type]
    progress.on_validation_end(own, None)  # type: ignore[arg-type]


def start(progress: RunProgress, own: Any) -> None:
    progress.on_train_start(own, None)  # type: ignore[arg-type]
    progress.on_train_epoch_start(own, None)  # type: ignore[arg-type]


def test_a_log_file_has_a_line_every_thirty_seconds(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress, own = RunProgress(is_terminal=False), trainer()
    start(progress, own)
    with caplog.at_level(logging.INFO):
        train_on(progress, own, clock, steps=29, seconds=1)
        assert caplog.messages == ["time        about 5 min until the last epoch ends"]
        train_on(progress, own, clock, steps=71, seconds=1)
    assert len(caplog.messages) == 4
    assert caplog.messages[1] == "epoch 1/3, step 30 of 300 | 04:40 left | loss 0.500 | 32 images/s | lr 0.001"


def test_a_short_run_does_not_say_its_duration(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress, own = RunProgress(is_terminal=False), trainer()
    start(progress, own)
    with caplog.at_level(logging.INFO):
        train_on(progress, own, clock, steps=145, seconds=0.2)
    assert not caplog.messages


def test_a_long_validation_has_lines_too(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress, own = RunProgress(is_terminal=False), trainer()
    start(progress, own)
    with caplog.at_level(logging.INFO):
        train_on(progress, own, clock, steps=20, seconds=1)
        caplog.clear()
        validate_on(progress, own, clock, seconds=45)
        own.sanity_checking = True
        validate_on(progress, own, clock, seconds=45)
    assert caplog.messages == [f"epoch 1/3, validation | 04:50 left | {done}% validated" for done in (30, 100)]


def test_the_time_left_is_that_of_the_whole_run_and_counts_validation(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    progress, own = RunProgress(is_terminal=False), trainer(global_step=100, current_epoch=1, max_epochs=4)
    start(progress, own)
    train_on(progress, own, clock, steps=100, seconds=0.25)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        validate_on(progress, own, clock, seconds=4)
        own.current_epoch = 2
        own.callback_metrics["val/auroc"] = torch.tensor(0.8125)
        progress.on_train_epoch_start(own, None)  # type: ignore[arg-type]
        train_on(progress, own, clock, steps=4, seconds=0.25)
    (line,) = caplog.messages
    left = 196 * 0.25 + 2 * 4  # seconds: two epochs remain, each with its validation
    assert f"step 204 of 400 | 00:{left:.0f} left | AUROC 0.812 | loss 0.500 | 128 images/s" in line


@pytest.mark.parametrize("columns", [80, 120])
def test_the_bar_is_one_for_the_run_and_fits_the_terminal(
    columns: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    progress, own = RunProgress(is_terminal=True), trainer()
    start(progress, own)
    train_on(progress, own, clock, steps=100, seconds=0.25)
    validate_on(progress, own, clock, seconds=10)
    own.current_epoch, own.callback_metrics["val/auroc"] = 1, torch.tensor(0.9)
    progress.on_train_epoch_start(own, None)  # type: ignore[arg-type]
    train_on(progress, own, clock, steps=50, seconds=0.25)
    progress.on_train_end(own, None)  # type: ignore[arg-type]
    drawn = [line for line in re.split(r"[\r\n]", screen.getvalue()) if re.search(r"\d/3", line)]
    assert max(map(len, drawn)) < columns, "a full line wraps on some terminals"
    assert drawn[0] == "epoch 1/3  the first step"
    assert re.fullmatch(
        r"(epoch )?2/3  49% \S+ +00:58 left  AUROC 0.900  loss 0.500  128 images/s  lr 0.001", drawn[-1]
    )
    assert len(drawn) < 60, "not at every step"
    assert "0/?" not in screen.getvalue() and screen.getvalue().count("\n") == 0


class Loss:
    """A loss whose value is asked for now and then: on a GPU, each time waits for it."""

    asked = 0

    def __float__(self) -> float:
        self.asked += 1
        return 0.5


@pytest.mark.parametrize(("is_terminal", "asked"), [(True, 100), (False, 3)])
def test_the_loss_is_read_only_when_it_is_shown(
    is_terminal: bool, asked: int, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    progress, own, loss = RunProgress(is_terminal), trainer(), Loss()
    start(progress, own)
    for _ in range(1000):
        clock.now += 0.1
        progress.on_train_batch_end(own, None, {"loss": loss}, BATCH, 0)  # type: ignore[arg-type]
    progress.on_train_end(own, None)  # type: ignore[arg-type]
    assert asked - 10 <= loss.asked <= asked


def test_a_narrow_terminal_loses_the_bar_before_any_figure() -> None:
    figures = ["12:01 left", "AUROC 0.737", "loss 0.716", "206 images/s", "lr 0.001"]
    every = "  ".join(figures)
    assert bar_format("epoch 2/12", figures, 119) == f"epoch 2/12 {{percentage:3.0f}}% {{bar}}  {every}"
    assert bar_format("epoch 2/12", figures, 79) == f"2/12 {{percentage:3.0f}}% {{bar}}  {every}"
    assert bar_format("epoch 12/100", figures, 76) == f"12/100 {{percentage:3.0f}}%  {every}"
    assert bar_format("epoch 2/12", figures, 66) == f"2/12 {{percentage:3.0f}}% {{bar}}  {every[:-10]}"
    assert bar_format("epoch 2/12", figures, 5) == "{percentage:3.0f}%"


def test_nothing_is_shown_by_other_ranks(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    progress, own = RunProgress(is_terminal=False), trainer()
    progress.disable()
    start(progress, own)
    with caplog.at_level(logging.INFO):
        train_on(progress, own, clock, steps=100, seconds=1)
    assert not caplog.messages
