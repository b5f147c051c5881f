"""A training of a few seconds on synthetic images, for notebooks that examine a trained network."""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.augmentation import Dihedral
from melanoma_pl.data.synthetic.synthetic_images import write_images
from melanoma_pl.inference.hardware import keep_freed_memory
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.models.schedules import OneCycle
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.report.figures.canvas import BLUE, ORANGE, canvas
from melanoma_pl.runs.run_folder import BEST
from melanoma_pl.training.callbacks.run_checkpoints import RunCheckpoints

QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class ShortRun(NamedTuple):
    """The result of a short training.

    Attributes:
        classifier: Classifier of the epoch with the best validation AUROC, in evaluation mode.
        pixels: The test images, uint8 `(N, 3, S, S)`.
        targets: Classes that the test images were drawn as, int64 `(N,)`, 1 for malignant.
    """

    classifier: MelanomaClassifier
    pixels: Tensor
    targets: NDArray[np.int64]


@contextmanager
def quietly() -> Iterator[None]:
    """Silence Lightning's notes about devices and workers, and all warnings; errors still appear."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)


def initial_network(image_size: int, seed: int) -> ThreeConvNet:
    """Return the three-conv network with the initial weights of a seed; the global random state stays as it is.

    Args:
        image_size: Side of the images, pixels.
        seed: Seed of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ThreeConvNet(image_size=image_size)


def train_briefly(train: int, test: int, image_size: int, epochs: int, seed: int = 0) -> ShortRun:
    """Draw images into a temporary folder, and train the three-conv network on them.

    Args:
        train: Number of images for training and validation, a fifth of them for validation.
        test: Number of test images.
        image_size: Side of the images, pixels.
        epochs: Number of passes over the training images.
        seed: Seed of the images, initial weights, order, augmentation and dropout.
    """
    keep_freed_memory()
    preprocessing = Preprocessing(image_size)
    network = initial_network(image_size, seed).to(memory_format=torch.channels_last)
    classifier = MelanomaClassifier(network, preprocessing=preprocessing, schedule=OneCycle(), seed=seed)
    with tempfile.TemporaryDirectory() as folder, quietly():
        data = MoleDataModule(
            write_images(Path(folder, "images"), train, test, seed, image_size),
            preprocessing=preprocessing,
            batch_size=16,
            group_column="group",
            augmentation=Dihedral(),
            seed=seed,
        )
        trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[RunCheckpoints(Path(folder))], **QUIET)
        trainer.fit(classifier, data)
        held_out = data.load("test")
        best = MelanomaClassifier.load_from_checkpoint(Path(folder, BEST))
    return ShortRun(best, held_out.pixels(torch.arange(len(held_out.images))), held_out.images.targets)


def curves_figure(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Draw loss and accuracy over the epochs, for training and validation images.

    Args:
        rows: One row of metrics per epoch, as in `EpochLog.rows`.
    """
    figure, axes = canvas(2, width=3.8, height=2.7)
    epochs = [row["epoch"] for row in rows]
    for ax, metric in zip(axes, ("loss", "accuracy"), strict=True):
        for split, label, color in (("train", "training", BLUE), ("val", "validation", ORANGE)):
            values = [row[f"{split}/{metric}"] for row in rows]
            ax.plot(epochs, values, "o-", markersize=3, color=color, label=label)
        ax.set(title=metric, xlabel="epoch", xticks=epochs)
    axes[0].legend(fontsize=8)
    return figure
