"""Two processes share the balanced epochs of `data.sampler=balanced`, also after both were killed in mid-epoch."""

import signal
from pathlib import Path

import pytest
import torch

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.order import balanced_order
from melanoma_pl.preprocessing import Preprocessing
from tests.conftest import SIZE, TINY, only_run
from tests.integration.test_ddp import TWO, assert_same, train

SEED, EPOCHS, STEPS, BATCH = 3, 3, 6, 2  # 16 malignant and 8 of 16 benign images an epoch
BALANCED = ["data.sampler=balanced", "data.benign_per_malignant=0.5", f"data.batch_size={BATCH}"]

# notes the images of each step
NOTES = """
import os, signal
import lightning.pytorch as pl


class Notes(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, index):
        with open(f"rank_{trainer.global_rank}.txt", "a") as file:
            print(trainer.current_epoch, index, *batch.positions.tolist(), file=file)


class Killer(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.current_epoch == 1 and index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
"""
Batches = dict[tuple[int, int, int], list[int]]
"""Rank, epoch and index → images of a batch."""


def start(folder: Path, images: Path, *arguments: str) -> int:
    """Train two processes in a folder, or go on with a run, and return the exit code."""
    (folder / "notes.py").write_text(NOTES)
    words = [*TINY, *TWO, *BALANCED, "data=folder", f"data.root={images}", f"seed={SEED}", "optimizer.lr=1e-2"]
    words += [f"trainer.max_epochs={EPOCHS}", "checkpoint.every_n_steps=4", "+callbacks.notes._target_=notes.Notes"]
    answer = train(folder, *(arguments if "resume" in arguments[0] else [*words, *arguments]))
    assert answer.returncode in (0, -signal.SIGKILL), answer.stdout + answer.stderr
    return answer.returncode


def noted(folder: Path) -> Batches:
    """Return the images of each batch; one that was trained on again after a kill must be the same."""
    found: Batches = {}
    for rank in (0, 1):
        for line in (folder / f"rank_{rank}.txt").read_text().splitlines():
            epoch, index, *positions = map(int, line.split())
            assert found.setdefault((rank, epoch, index), positions) == positions
    return found


@pytest.mark.ddp
@pytest.mark.slow
def test_each_drawn_image_comes_once_an_epoch_and_a_killed_run_ends_with_the_same_bits(
    image_folder: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    assert start(whole, image_folder, "test=false") == 0
    split = MoleDataModule(image_folder, preprocessing=Preprocessing(SIZE)).split("train")
    batches: Batches = {}
    for epoch in range(EPOCHS):
        order = split.positions[balanced_order(split.targets, 0.5, SEED, epoch)]
        assert len(order) == len(set(order.tolist())) == 24
        for rank in (0, 1):
            for index, positions in enumerate(torch.split(order[rank::2], BATCH)):
                batches[rank, epoch, index] = positions.tolist()
    assert noted(whole) == batches
    killer = "+callbacks.killer._target_=notes.Killer"
    assert start(killed, image_folder, "test=false", killer) == -signal.SIGKILL
    run = only_run(killed)
    assert not (run / "report").exists()
    assert start(killed, image_folder, f"resume={run}", "trust=notes", "callbacks.killer=null") == 0
    assert noted(killed) == batches
    lines = [(killed / f"rank_{rank}.txt").read_text().splitlines() for rank in (0, 1)]
    assert [len(each) for each in lines] == [EPOCHS * STEPS + 2] * 2, "steps 9 and 10 came again"
    assert_same(run, only_run(whole))
