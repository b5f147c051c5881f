"""A hopeless job ends at the end of an epoch, and its checkpoint says so."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from melanoma_pl.training.callbacks.pruning import Pruning, was_saved_as_pruned


def end_epoch(callback: Pruning, epoch: int, value: float | None, epochs: int = 3) -> Any:
    metrics = {} if value is None else {"val/auroc": value}
    trainer = SimpleNamespace(callback_metrics=metrics, current_epoch=epoch - 1, max_epochs=epochs, should_stop=False)
    callback.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    return trainer


def test_a_hopeless_job_ends() -> None:
    asked: list[Mapping[int, float]] = []

    def is_hopeless(by_epoch: Mapping[int, float]) -> bool:
        asked.append(dict(by_epoch))
        return by_epoch[max(by_epoch)] < 0.5

    callback = Pruning("val/auroc", is_hopeless)
    assert not end_epoch(callback, 1, 0.6).should_stop and not callback.is_pruned
    assert end_epoch(callback, 2, 0.4).should_stop and callback.is_pruned
    assert asked == [{1: 0.6}, {1: 0.6, 2: 0.4}]


def test_the_last_epoch_is_not_pruned() -> None:
    callback = Pruning("val/auroc", lambda by_epoch: True)
    assert not end_epoch(callback, 3, 0.1).should_stop
    assert not end_epoch(callback, 1, None).should_stop, "an epoch without validation has no figure"


@pytest.mark.parametrize("hopeless", [True, False])
def test_a_checkpoint_holds_values_and_decision(hopeless: bool) -> None:
    callback = Pruning("val/auroc", lambda by_epoch: hopeless)
    end_epoch(callback, 1, 0.25)
    saved = callback.state_dict()
    assert was_saved_as_pruned({"callbacks": {"Pruning": saved}}) is hopeless
    assert not was_saved_as_pruned({"callbacks": {}})
    other = Pruning("val/auroc", lambda by_epoch: False)
    other.load_state_dict(saved)
    assert other.by_epoch == {1: 0.25} and other.is_pruned is hopeless
