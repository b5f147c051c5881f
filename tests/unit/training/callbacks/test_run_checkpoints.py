"""Checkpoints: whole at any moment, the best by the monitor, no path of the machine in them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from melanoma_pl.errors import UserError
from melanoma_pl.files import copy
from melanoma_pl.training.callbacks.run_checkpoints import RunCheckpoints


class FakeTrainer(SimpleNamespace):
    """Saves its epoch; enough of a trainer for the callback."""

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        torch.save({"epoch": self.current_epoch}, path)


def trainer(epoch: int, score: float, **more: Any) -> Any:
    state = {"is_global_zero": True, "should_stop": False, "max_epochs": 9, "accumulate_grad_batches": 1}
    state |= {"world_size": 1, "sanity_checking": False, "state": SimpleNamespace(fn="fit"), "is_last_batch": True}
    state |= {"global_step": 5 * (epoch + 1), **more}
    return FakeTrainer(current_epoch=epoch, callback_metrics={"val/auroc": torch.tensor(score)}, **state)


def end_epoch(callback: RunCheckpoints, state: Any) -> None:
    """Call what Lightning calls at the end of an epoch with validation."""
    callback.on_validation_end(state, None)  # type: ignore[arg-type]
    callback.on_train_epoch_end(state, None)  # type: ignore[arg-type]


def epochs(folder: Path) -> dict[str, int]:
    return {path.stem: torch.load(path, weights_only=True)["epoch"] for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(("mode", "best"), [("max", 1), ("min", 2)])
def test_best_and_last(mode: str, best: int, tmp_path: Path) -> None:
    callback = RunCheckpoints(tmp_path, mode=mode)
    for epoch, score in enumerate([0.6, 0.8, 0.5, 0.8, float("nan")]):
        end_epoch(callback, trainer(epoch, score))
    assert epochs(tmp_path) == {"best": best, "last": 4}
    assert callback.best_epoch == best + 1


def test_best_is_remembered(tmp_path: Path) -> None:
    callback = RunCheckpoints(tmp_path)
    end_epoch(callback, trainer(0, 0.9))
    resumed = RunCheckpoints(tmp_path)
    resumed.load_state_dict(callback.state_dict())
    end_epoch(resumed, trainer(1, 0.7))
    assert epochs(tmp_path) == {"best": 0, "last": 1}


def test_failing_to_save_leaves_the_old_one(tmp_path: Path) -> None:
    callback = RunCheckpoints(tmp_path / "checkpoints")
    end_epoch(callback, trainer(0, 0.9))

    def fails(path: Path, weights_only: bool) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    full = trainer(1, 0.95)
    full.save_checkpoint = fails
    with pytest.raises(UserError, match="No space left on device"):
        end_epoch(callback, full)
    assert epochs(tmp_path / "checkpoints") == {"best": 0, "last": 0}


def test_weights_that_were_not_validated_are_never_best(tmp_path: Path) -> None:
    callback = RunCheckpoints(tmp_path)
    end_epoch(callback, trainer(0, 0.6))
    middle = trainer(1, 0.9, is_last_batch=False)
    callback.on_validation_end(middle, None)  # type: ignore[arg-type]
    assert epochs(tmp_path) == {"best": 1, "last": 0}, "the best within an epoch is saved at its validation"
    before = (tmp_path / "best.ckpt").read_bytes()
    for epoch in (1, 2):  # further steps, and an epoch without validation, which still shows the old figure
        callback.on_train_epoch_end(trainer(epoch, 0.9), None)  # type: ignore[arg-type]
    assert (tmp_path / "best.ckpt").read_bytes() == before
    assert epochs(tmp_path)["last"] == 2


def test_steps_and_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    callback = RunCheckpoints(tmp_path, every_n_steps=3, every_n_minutes=1)
    saved = []
    for step in range(1, 9):
        clock += 25.0
        before = (tmp_path / "last.ckpt").stat().st_mtime_ns if (tmp_path / "last.ckpt").exists() else 0
        state = trainer(step, 0.5, global_step=step, is_last_batch=step == 8)
        callback.on_train_batch_end(state, None, None, None, 0)  # type: ignore[arg-type]
        if (tmp_path / "last.ckpt").exists() and (tmp_path / "last.ckpt").stat().st_mtime_ns != before:
            saved.append(step)
    assert saved == [3, 6]  # by steps; the clock starts anew with each
    clock += 61
    callback.on_train_batch_end(trainer(0, 0.5, global_step=10, is_last_batch=False), None, None, None, 0)  # type: ignore[arg-type]
    assert epochs(tmp_path) == {"last": 0}


def test_copy_survives_a_new_last(tmp_path: Path) -> None:
    (tmp_path / "last").write_text("one")
    copy(tmp_path / "last", tmp_path / "best")
    (tmp_path / "new").write_text("two")
    (tmp_path / "new").replace(tmp_path / "last")
    assert (tmp_path / "best").read_text() == "one"
