"""Training on images of one source, and sampling that makes class and source independent."""

import csv
import logging
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import TINY, Command, only_run

from melanoma_pl import train
from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.order import EpochBatches, weighted_order
from melanoma_pl.data.splits import balancing_weights
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing


@pytest.fixture
def two_sources(own_image_folder: Path) -> Path:
    """A folder whose malignant images are mostly from one source, and benign ones mostly from the other."""
    table = own_image_folder / "metadata.csv"
    with table.open() as file:
        rows = list(csv.DictReader(file))
    for index, row in enumerate(rows):
        is_usual = index % 10 >= 4
        row["source"] = "a" if ("/malignant/" in row["image"]) == is_usual else "b"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return own_image_folder


def module(root: Path, **options: object) -> MoleDataModule:
    return MoleDataModule(root, preprocessing=Preprocessing(32), batch_size=8, **options)  # type: ignore[arg-type]


def test_training_and_validation_are_of_one_source_and_the_test_images_stay(two_sources: Path) -> None:
    chosen, every = module(two_sources, where="source=a"), module(two_sources)
    chosen.setup("fit")
    paths = {*chosen.split("train").images.paths, *chosen.split("validation").images.paths}
    with (two_sources / "metadata.csv").open() as file:
        expected = {row["image"] for row in csv.DictReader(file) if row["source"] == "a" and "train/" in row["image"]}
    assert paths == expected
    assert chosen.list_split("test").paths == every.list_split("test").paths


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"where": "camera=a"}, "no column 'camera'"),
        ({"where": "source=c"}, r"data\.where=source=c leaves no training image"),
        ({"where": "source"}, "write column=value"),
        ({"balance": ("label",)}, "name two or more"),
        ({"balance": ("label", "camera")}, "no column 'camera'"),
        ({"where": "source=a", "metadata": None}, r"data\.where=source=a needs a metadata table"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(two_sources: Path, options: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        module(two_sources, **options).train_dataloader()


def test_balanced_images_are_drawn_so_that_class_and_source_are_independent(two_sources: Path) -> None:
    data = module(two_sources, validation_fraction=0.25)
    images = data.split("train").images
    weights = balancing_weights(images, ("label", "source"), two_sources / "metadata.csv", "image")
    with (two_sources / "metadata.csv").open() as file:
        source = {row["image"]: row["source"] for row in csv.DictReader(file)}
    cells = Counter[tuple[str, str]]()
    for path, label, weight in zip(images.paths, images.labels, weights, strict=True):
        cells[label, source[path]] += weight
    total = sum(cells.values())
    assert total == pytest.approx(len(images))
    for label in images.class_names:
        for name in "ab":
            expected = (cells[label, "a"] + cells[label, "b"]) * (cells["benign", name] + cells["malignant", name])
            assert cells[label, name] / total == pytest.approx(expected / total**2), (label, name)
    assert np.ptp(weights) > 0.5


def test_an_epoch_draws_each_image_as_often_as_its_weight_says() -> None:
    weights = torch.rand(50, dtype=torch.float64) * 3 + 0.01
    mean_one = weights / weights.mean()
    total = torch.zeros(50)
    for epoch in range(400):
        counts = torch.bincount(weighted_order(weights, 1, epoch), minlength=50)
        assert (counts >= mean_one.floor()).all() and (counts <= mean_one.ceil()).all()
        total += counts
    assert (total / 400 - mean_one).abs().max() < 0.1
    assert torch.equal(weighted_order(weights, 1, 7), weighted_order(weights, 1, 7))
    batches = EpochBatches(50, 10, seed=1, draw=partial(weighted_order, weights))
    batches.set_epoch(3)
    assert torch.equal(torch.cat([indices for _, indices in batches]), weighted_order(weights, 1, 3))


def test_equal_weights_draw_each_image_once() -> None:
    assert weighted_order(torch.ones(9, dtype=torch.float64), 0, 2).sort().values.tolist() == list(range(9))


def test_a_combination_without_images_is_said(two_sources: Path, caplog: pytest.LogCaptureFixture) -> None:
    images = module(two_sources).list_split("train")
    with (two_sources / "metadata.csv").open() as file:
        table = {row["image"]: row["source"] for row in csv.DictReader(file)}
    kept = images.without([path for path in images.paths if table[path] == "b" and "/benign/" in path])
    with caplog.at_level(logging.WARNING):
        balancing_weights(kept, ("label", "source"), two_sources / "metadata.csv", "image")
    assert "1 of the 4 combinations of label and source have no image" in caplog.text


@pytest.mark.slow
def test_both_are_typed_on_the_command_line(two_sources: Path, run_command: Command, work_folder: Path) -> None:
    options = [*TINY, "data=folder", f"data.root={two_sources}", "trainer.max_epochs=1"]
    for chosen in ("data.where=source=a", "data.balance=[label,source]"):
        result = run_command(train.command, *options, chosen, f"name={chosen[5]}")
        assert result.code == 0, result.error
    assert len((only_run(work_folder, "w") / "images.csv").read_text().splitlines()) < 40
