"""Tiny untrained networks on the tiny images."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from melanoma_pl.data import MoleDataModule
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.inference.ensemble import Member
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.preprocessing import Preprocessing
from tests.conftest import SIZE


def member(root: Path, name: str = "one", seed: int = 0, **options: object) -> Member:
    """Return an untrained network with the images of a folder."""
    torch.manual_seed(seed)
    network = ThreeConvNet((4, 4, 4), hidden=8, image_size=SIZE, initial_weights="keras")
    classifier = MelanomaClassifier(network, preprocessing=Preprocessing(SIZE)).eval()
    classifier.decide(Decision())
    data = MoleDataModule(root, preprocessing=Preprocessing(SIZE), **options)  # type: ignore[arg-type]
    return Member(name, classifier, data, data)


def save_checkpoint(classifier: MelanomaClassifier, path: Path) -> None:
    """Save a checkpoint as training does, without a training."""
    classifier.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    checkpoint: dict[str, Any] = {"state_dict": classifier.state_dict()}
    classifier.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)


@pytest.fixture
def members(image_folder: Path) -> list[Member]:
    """Three networks on one split of the same images."""
    return [member(image_folder, name, seed) for seed, name in enumerate(("one", "two", "three"))]
