"""What a resumed run derives anew from its recorded epochs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping

from melanoma_pl.training.callbacks import resumed_checkpoint
from melanoma_pl.training.callbacks.resumed_checkpoint import (
    begin_epoch,
    is_in_mid_epoch,
    kept_best,
    stopping_state,
    would_stop,
)

ROWS = [
    {"epoch": 1, "step": 4, "val/auroc": 0.6, "val/loss": 0.50},
    {"epoch": 2, "step": 8, "val/auroc": 0.9, "val/loss": 0.70},
    {"epoch": 3, "step": 12, "val/auroc": 0.8, "val/loss": 0.60},
]


def checkpoint(step: int = 12, **callbacks: Any) -> dict[str, Any]:
    return {"global_step": step, "callbacks": {"EpochLog": {"rows": ROWS}, **callbacks}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Checkpoints whose best.ckpt holds the epoch that is best by AUROC."""
    (tmp_path / "best.ckpt").touch()
    monkeypatch.setattr(resumed_checkpoint, "read_checkpoint", lambda path: {"global_step": 8})
    return tmp_path


def test_the_best_is_one_whose_weights_are_still_there(folder: Path) -> None:
    assert kept_best(folder, checkpoint(), "val/auroc", "max") == ("best.ckpt", 0.9, 2)
    assert kept_best(folder, checkpoint(), "val/loss", "min") == ("last.ckpt", 0.60, 3)  # epoch 1 was better
    assert kept_best(folder, checkpoint(step=14), "val/loss", "min") == ("best.ckpt", 0.70, 2)  # last is not validated
    assert kept_best(folder, checkpoint(), "val/f1", "max") is None


def test_a_figure_that_is_not_a_number_is_never_best(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        resumed_checkpoint, "recorded_epochs", lambda _: [{**ROWS[2], "val/loss": float("nan")}, ROWS[1]]
    )
    best = kept_best(folder, checkpoint(), "val/loss", "min")
    assert best is not None
    assert best.epoch == 2


def stopping(patience: int, monitor: str = "val/auroc", **options: Any) -> EarlyStopping:
    return EarlyStopping(monitor, patience=patience, mode="max" if monitor == "val/auroc" else "min", **options)


def test_patience_counts_the_recorded_epochs() -> None:
    state = stopping_state(stopping(5), checkpoint(), True)
    assert (state["wait_count"], state["patience"]) == (1, 5)
    assert state["best_score"] == torch.tensor(0.9)
    state = stopping_state(stopping(5, "val/loss"), checkpoint(), True)
    assert state["wait_count"] == 2
    state = stopping_state(stopping(5, min_delta=0.5), checkpoint(), True)
    assert state["wait_count"] == 2


def test_a_larger_patience_lets_a_stopped_training_go_on() -> None:
    assert would_stop(stopping(2, "val/loss"), checkpoint(), True)
    assert not would_stop(stopping(3, "val/loss"), checkpoint(), True)


def test_several_validations_an_epoch_keep_what_was_counted() -> None:
    saved = {"wait_count": 4, "patience": 5, "best_score": torch.tensor(0.9)}
    one = stopping(6)
    content = checkpoint(**{one.state_key: saved})
    assert stopping_state(one, content, False) == saved | {"patience": 6}
    assert not would_stop(one, content, False)
    assert would_stop(stopping(4), content, False)


def test_an_epoch_is_begun_at_its_beginning() -> None:
    def progress(**stages: int) -> dict[str, int]:
        return {"ready": 3, "started": 3, "processed": 2, "completed": 2} | stages

    loop = {
        "epoch_progress": {"total": progress(), "current": progress()},
        "epoch_loop.batch_progress": {"current": progress(), "is_last_batch": False},
    }
    content = {"loops": {"fit_loop": loop}}
    assert is_in_mid_epoch(content)
    begin_epoch(content, 3)
    assert not is_in_mid_epoch(content)
    assert set(loop["epoch_progress"]["current"].values()) == {3}
    assert set(loop["epoch_loop.batch_progress"]["current"].values()) == {0}  # type: ignore[union-attr]
