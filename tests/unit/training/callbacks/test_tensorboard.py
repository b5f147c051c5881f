"""Losses of steps, HPARAMS and images in TensorBoard."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg

from melanoma_pl.config.composition import jobs_beforehand
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.specs import validated
from melanoma_pl.training.callbacks.tensorboard import COLUMNS, HELD, STEP_LOSS, StepLoss, columns, grid


class Noted(CSVLogger):
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[int, float]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        assert step is not None
        self.given.append((step, metrics[STEP_LOSS]))


def trainer_at(step: int, logger: Noted, accumulated: int = 1) -> Any:
    return SimpleNamespace(
        global_step=step,
        loggers=[logger],
        is_global_zero=True,
        accumulate_grad_batches=accumulated,
        current_epoch=0,
    )


def take_steps(callback: StepLoss, logger: Noted, first: int, last: int) -> None:
    for step in range(first, last + 1):
        outputs = {"loss": torch.tensor(step / 10)}
        callback.on_train_batch_end(trainer_at(step, logger), None, outputs, None, 0)  # type: ignore[arg-type]


def test_losses_stay_on_the_device_until_the_epoch_ends() -> None:
    callback, logger = StepLoss(every_n_steps=3), Noted()
    take_steps(callback, logger, 1, 10)
    assert logger.given == []
    callback.on_train_epoch_end(trainer_at(10, logger), None)  # type: ignore[arg-type]
    assert logger.given == [(3, pytest.approx(0.3)), (6, pytest.approx(0.6)), (9, pytest.approx(0.9))]
    callback.on_train_epoch_end(trainer_at(10, logger), None)  # type: ignore[arg-type]
    assert len(logger.given) == 3


def test_no_step_reads_the_value_of_its_loss() -> None:
    callback, logger = StepLoss(every_n_steps=1), Noted()
    for step in range(1, HELD):
        loss = torch.tensor(0.5, device="meta")  # reading it, for which a GPU would have to finish, is an error
        callback.on_train_batch_end(trainer_at(step, logger), None, {"loss": loss}, None, 0)  # type: ignore[arg-type]
    with pytest.raises((NotImplementedError, RuntimeError)):
        callback.on_train_epoch_end(trainer_at(HELD, logger), None)  # type: ignore[arg-type]


def test_many_losses_are_written_in_the_midst_of_an_epoch() -> None:
    callback, logger = StepLoss(every_n_steps=1), Noted()
    take_steps(callback, logger, 1, HELD - 1)
    assert logger.given == []
    take_steps(callback, logger, HELD, HELD)
    assert [step for step, _ in logger.given] == list(range(1, HELD + 1))


def test_micro_batches_of_a_step_count_once_and_their_loss_is_whole() -> None:
    callback, logger = StepLoss(every_n_steps=1), Noted()
    for step in (0, 1, 1, 2):  # two micro-batches a step: Lightning counts the step at the second
        trainer = trainer_at(step, logger, accumulated=2)
        callback.on_train_batch_end(trainer, None, {"loss": torch.tensor(0.25)}, None, 0)  # type: ignore[arg-type]
    callback.on_train_epoch_end(trainer_at(2, logger), None)  # type: ignore[arg-type]
    assert logger.given == [(1, 0.5), (2, 0.5)]


def test_a_checkpoint_holds_the_losses_that_are_not_written_yet() -> None:
    callback, logger = StepLoss(every_n_steps=2), Noted()
    take_steps(callback, logger, 1, 4)
    callback.on_train_epoch_end(trainer_at(4, logger), None)  # type: ignore[arg-type]
    take_steps(callback, logger, 5, 6)
    state = callback.state_dict()
    assert state["steps"].tolist() == [2, 4, 6] and state["losses"].tolist() == pytest.approx([0.2, 0.4, 0.6])
    resumed = StepLoss(every_n_steps=2)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.state_dict()["losses"], state["losses"])
    assert len(StepLoss().state_dict()["steps"]) == 0


def test_hparams_show_a_metric_and_the_choices_that_matter_most() -> None:
    settings = validated(TrainSettings, next(jobs_beforehand("train", ["logger=none"])))
    shown = sorted(columns(settings, "32-true", {"val_final/auroc": 0.87654}))  # as TensorBoard sorts
    assert shown[:5] == ["AUROC (validation)", "Image size", "Learning rate", "Network", "Precision"]
    assert columns(settings, "32-true", {"val_final/auroc": 0.87654})["AUROC (validation)"] == 0.8765
    assert columns(settings, "bf16-mixed", {})["Precision"] == "bf16-mixed"


def test_each_image_stands_in_its_cell_below_its_title() -> None:
    count = COLUMNS + 2  # two rows, the second not full
    colours = torch.arange(count, dtype=torch.uint8) * 40
    figure = grid(
        colours.view(-1, 1, 1, 1).expand(-1, 3, 16, 16), [f"malignant\np = 0.00{index}" for index in range(count)]
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., 0]
    height, width = drawn.shape[0] / 2, drawn.shape[1] / COLUMNS
    centres = [((index // COLUMNS + 0.6) * height, (index % COLUMNS + 0.5) * width) for index in range(2 * COLUMNS)]
    shown = [int(drawn[round(row), round(column)]) for row, column in centres]
    assert shown == [*colours.tolist(), *[255] * (2 * COLUMNS - count)]
    assert [text.get_text() for text in figure.axes[0].texts] == [
        f"malignant\np = 0.00{index}" for index in range(count)
    ]
    for index, text in enumerate(figure.axes[0].texts):
        box = text.get_window_extent()
        assert index // COLUMNS * height <= drawn.shape[0] - box.y1 <= (index // COLUMNS + 0.22) * height
        assert index % COLUMNS * width <= box.x0 <= box.x1 <= (index % COLUMNS + 1) * width
