"""Pixels on the training device: the same batches, made there."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from tests.conftest import SIZE

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.augmentation import Dermoscopy
from melanoma_pl.data.loader import Batch, ResidentBatches
from melanoma_pl.preprocessing import Preprocessing

CPU = torch.device("cpu")


class Collector(pl.LightningModule):
    """Keeps what training and validation steps are given, and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.collected: list[Batch] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        self.collected.append(batch)
        return self.weight

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.collected.append(batch)


def train(root: Path, accelerator: str = "cpu", **options: object) -> list[Batch]:
    data = MoleDataModule(
        root,
        preprocessing=Preprocessing(SIZE),
        batch_size=8,
        augmentation=Dermoscopy(),
        seed=3,
        **options,  # type: ignore[arg-type]
    )
    collector = Collector()
    trainer = pl.Trainer(
        accelerator=accelerator, max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(collector, data)
    return collector.collected


def test_batches_are_those_that_are_streamed(image_folder: Path) -> None:
    streamed, resident = (train(image_folder, resident=wanted) for wanted in (False, True))
    assert len(streamed) == len(resident) == 10  # two epochs of four batches and one of validation
    for one, other in zip(streamed, resident, strict=True):
        assert all(torch.equal(part, twin) for part, twin in zip(one, other, strict=True))


def test_data_module_makes_batches_where_it_is_told_to(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = ResidentBatches.__getitem__
    monkeypatch.setattr(ResidentBatches, "__getitem__", lambda self, key: made.append(1) or original(self, key))
    train(image_folder, resident="auto")
    assert made == []  # on a CPU the cache already lies where it is needed
    train(image_folder, resident=True, num_workers=2)
    assert len(made) == 10


def test_images_that_are_read_from_files_cannot_be_resident(image_folder: Path) -> None:
    data = MoleDataModule(image_folder, preprocessing=Preprocessing(SIZE), cache_fraction=0, cache_folder=None)
    assert not data.split("train").is_resident(CPU, True)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_trains_on_the_same_images(image_folder: Path) -> None:
    streamed, resident = train(image_folder, resident=False), train(image_folder, "gpu", resident="auto")
    for one, other in zip(streamed, resident, strict=True):
        assert other.pixels.is_cuda
        assert torch.equal(one.positions, other.positions.cpu())
        assert torch.equal(one.targets, other.targets.cpu())
        assert (one.pixels.int() - other.pixels.cpu().int()).abs().max() <= 1
