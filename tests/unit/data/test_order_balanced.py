"""Epochs of every malignant image and of as many benign ones, drawn anew."""

from functools import partial
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from tests.conftest import SIZE

from melanoma_pl.config.composition import compose_config
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.order import EpochBatches, balanced_count, balanced_order
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import validated

TARGETS = torch.zeros(400, dtype=torch.int64).index_fill(0, torch.arange(0, 400, 50), 1)  # 8 malignant images
MALIGNANT = set(range(0, 400, 50))


@pytest.mark.parametrize(("ratio", "benign"), [(1.0, 8), (2.5, 20), (0.01, 1), (1000.0, 392)])
def test_an_epoch_has_every_malignant_image_and_different_benign_ones(ratio: float, benign: int) -> None:
    order = balanced_order(TARGETS, ratio, seed=3, epoch=0).tolist()
    assert len(order) == len(set(order)) == balanced_count(TARGETS, ratio) == 8 + benign
    assert set(order) >= MALIGNANT
    assert order != sorted(order)


def test_benign_images_are_drawn_anew_by_seed_and_epoch_alone() -> None:
    drawn = [frozenset(balanced_order(TARGETS, 1, 0, epoch).tolist()) - MALIGNANT for epoch in range(200)]
    assert len(set(drawn)) == 200
    assert len(frozenset().union(*drawn)) > 380, "each of 392 is drawn about four times in 200 epochs"
    assert torch.equal(balanced_order(TARGETS, 1, 0, 7), balanced_order(TARGETS, 1, 0, 7))
    assert not torch.equal(balanced_order(TARGETS, 1, 0, 7), balanced_order(TARGETS, 1, 1, 7))


def test_ranks_share_an_epoch() -> None:
    draw, count = partial(balanced_order, TARGETS, 2), balanced_count(TARGETS, 2)
    seen: list[int] = []
    for rank in range(3):
        batches = EpochBatches(count, 4, seed=1, draw=draw, rank=rank, world_size=3)
        batches.set_epoch(5)
        seen += torch.cat([indices for _, indices in batches]).tolist()
    assert sorted(seen) == sorted(balanced_order(TARGETS, 2, 1, 5).tolist())


def module(root: Path, **options: object) -> MoleDataModule:
    return MoleDataModule(root, preprocessing=Preprocessing(SIZE), sampler="balanced", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_a_resumed_epoch_change_nothing(workers: int, image_folder: Path) -> None:
    def batches(number: int, skip: int = 0) -> list[list[int]]:
        data = module(image_folder, batch_size=4, num_workers=number, benign_per_malignant=0.5)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(2)  # type: ignore[attr-defined]
        loader.sampler.skip = skip  # type: ignore[attr-defined]
        return [batch.positions.tolist() for batch in loader]

    whole = batches(0)
    assert batches(workers) == whole
    assert batches(workers, skip=3) == whole[3:]


def test_a_batch_is_no_larger_than_an_epoch(image_folder: Path) -> None:
    natural = len(module(image_folder).split("train"))
    data = module(image_folder, batch_size=natural, benign_per_malignant=0.2)
    with pytest.raises(
        UserError, match=f"data.batch_size={natural} is larger than the .* images of an epoch, balanced"
    ):
        data.check_listed()


def test_oversampling_is_the_ratio_of_the_odds(image_folder: Path) -> None:
    data = module(image_folder, benign_per_malignant=0.5)
    targets = data.split("train").targets
    malignant, benign = int((targets == 1).sum()), int((targets == 0).sum())
    assert data.oversampling == pytest.approx(benign / round(0.5 * malignant))
    assert MoleDataModule(image_folder, preprocessing=Preprocessing(SIZE)).oversampling == 1


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.sampler=balanced", "data.balance=[label,source]"],
        ["data.sampler=balanced", "loss.pos_weight=balanced"],
        ["data.benign_per_malignant=3"],
        ["data.sampler=balanced", "data.benign_per_malignant=0"],
    ],
)
def test_settings_that_balance_twice_or_not_at_all_are_refused(overrides: list[str]) -> None:
    with pytest.raises(UserError, match="data.(sampler|benign_per_malignant)"):
        validated(
            TrainSettings, OmegaConf.to_container(compose_config("train", ["logger=none", *overrides]), resolve=True)
        )  # type: ignore[arg-type]
