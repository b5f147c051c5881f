"""A training of seconds on synthetic images, for notebooks that need a trained network to look into.

Pictures of a training's course.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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

BATCH = 16  # images a step


@dataclass(frozen=True)
class ShortRun:
    """What a short training leaves.

    Attributes:
        classifier: Of the epoch with the best validation AUROC, in evaluation mode.
        pixels: The test images, uint8 `(N, 3, S, S)`.
        targets: What they were drawn as, int64 `(N,)`, 1 for malignant.
    """

    classifier: MelanomaClassifier
    pixels: Tensor
    targets: NDArray[np.int64]


@contextmanager
def quietly() -> Iterator[None]:
    """Keep what Lightning says of devices, workers and coming changes out of a notebook; errors still show."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def initial_network(image_size: int, seed: int) -> ThreeConvNet:
    """Return the three-conv network with the initial weights of a seed, the global random numbers left as they were.

    Args:
        image_size: Side of the images, in pixels.
        seed: Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ThreeConvNet(image_size=image_size)


def train_briefly(train: int, test: int, image_size: int, epochs: int, seed: int = 0) -> ShortRun:
    """Draw images into a folder that is gone afterwards, and train the three-conv network on them.

    Args:
        train: Images to train and validate on, a fifth of them for validation.
        test: Images that neither sees.
        image_size: Side of the images, in pixels.
        epochs: How often each training image is used.
        seed: Of images, initial weights, order, turns and dropout.
    """
    keep_freed_memory()
    preprocessing = Preprocessing(image_size)
    classifier = MelanomaClassifier(
        initial_network(image_size, seed), preprocessing=preprocessing, schedule=OneCycle(), seed=seed
    )
    classifier.network.to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as folder, quietly():
        data = MoleDataModule(
            write_images(Path(folder, "images"), train, test, seed, image_size),
            preprocessing=preprocessing,
            batch_size=BATCH,
            group_column="group",
            augmentation=Dihedral(),
            seed=seed,
        )
        _trainer(Path(folder), epochs).fit(classifier, data)
        held_out = data.load("test")
        best = MelanomaClassifier.load(Path(folder, BEST))
    return ShortRun(best, held_out.pixels(torch.arange(len(held_out.images))), held_out.images.targets)


def _trainer(folder: Path, epochs: int) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[RunCheckpoints(folder)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


SPLITS = (("train", "training", BLUE), ("val", "validation", ORANGE))


def curves_figure(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Return loss and accuracy over the epochs, on training and on validation images.

    Args:
        rows: One an epoch, as the epoch log keeps them.
    """
    figure, axes = canvas(2, width=3.8, height=2.7)
    epochs = [row["epoch"] for row in rows]
    for ax, figure_name in zip(axes, ("loss", "accuracy"), strict=True):
        for split, label, color in SPLITS:
            ax.plot(
                epochs, [row[f"{split}/{figure_name}"] for row in rows], "o-", markersize=3, color=color, label=label
            )
        ax.set(title=figure_name, xlabel="epoch", xticks=epochs)
    axes[0].legend(fontsize=8)
    return figure
