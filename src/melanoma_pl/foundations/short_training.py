"""Trainings of a few seconds on synthetic images, for notebooks that examine a trained network."""

import logging
import tempfile
import time
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
from torch import Tensor, nn
from torch.nn import functional

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.augmentation import Dihedral
from melanoma_pl.data.synthetic.synthetic_images import write_images
from melanoma_pl.foundations.display import canvas
from melanoma_pl.foundations.minibatches import shuffled_minibatches
from melanoma_pl.inference.hardware import keep_freed_memory
from melanoma_pl.messages import Progress
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.models.schedules import OneCycle
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.report.figures.canvas import BLUE, ORANGE
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
    """Silence Lightning's notes about devices and workers, and all warnings; errors still appear.

    The clock of `Progress` starts again afterwards: a training is not a pause of the reading before it.
    """
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)
        Progress.said = Progress.active = time.monotonic()


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
    with tempfile.TemporaryDirectory() as folder:
        data = MoleDataModule(
            write_images(Path(folder, "images"), train, test, seed, image_size),
            preprocessing=preprocessing,
            batch_size=16,
            group_column="group",
            augmentation=Dihedral(),
            seed=seed,
        )
        with quietly():
            keeper = RunCheckpoints(Path(folder))
            trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", callbacks=[keeper], **QUIET)
            trainer.fit(classifier, data)
            best = MelanomaClassifier.load_from_checkpoint(Path(folder, BEST))
        held_out = data.load("test")  # after `quietly`, whose end tells that the training was not a pause
    return ShortRun(best, held_out.pixels(torch.arange(len(held_out.images))), held_out.images.targets)


class KernelCourse(NamedTuple):
    """The result of `learn_large_kernels`.

    Attributes:
        network: The network, in evaluation mode; its layer 0 is the convolution with the large kernels.
        kernels: Its kernels before the first epoch and after each epoch, float32 `(epochs + 1, O, 3, K, K)`.
    """

    network: nn.Sequential
    kernels: Tensor


def learn_large_kernels(
    pixels: Tensor, targets: NDArray[np.int64], epochs: int, kernels: int = 8, side: int = 9, seed: int = 0
) -> KernelCourse:
    """Train a small network whose first kernels are large enough to be looked at, by a plain loop.

    Weight decay shrinks what the images do not ask for, so the random part of the initial kernels fades.

    Args:
        pixels: uint8 `(N, 3, S, S)`.
        targets: int64 `(N,)`, 1 for malignant.
        epochs: Number of passes over the images.
        kernels: Number of kernels of the first layer.
        side: Side of these kernels, pixels.
        seed: Seed of the initial weights, the order and the random turns.
    """
    keep_freed_memory()
    images, answers = pixels.float() / 255 - 0.5, torch.from_numpy(targets).float()
    left = ((pixels.shape[-1] - side + 1) // 4 - 2) // 2  # side of the last maps
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        convolutions = (nn.Conv2d(3, kernels, side), nn.Conv2d(kernels, 32, 3))
        dense = nn.Linear(32 * left**2, 1)
    network = nn.Sequential(
        *(convolutions[0], nn.MaxPool2d(4), nn.ReLU()),
        *(convolutions[1], nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), dense),
    )
    with torch.no_grad():
        convolutions[0].weight *= 0.3
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.005, weight_decay=0.3)
    course = [convolutions[0].weight.detach().clone()]
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = 0.005 * OneCycle().factor(epoch, epochs)
        for indices in shuffled_minibatches(len(images), 50, generator):
            turned = torch.rot90(images[indices], int(torch.randint(4, (), generator=generator)), (2, 3))
            loss = functional.binary_cross_entropy_with_logits(network(turned)[:, 0], answers[indices])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        course.append(convolutions[0].weight.detach().clone())
    return KernelCourse(network.eval(), torch.stack(course))


def curves_figure(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Draw loss and accuracy over the epochs, for training and validation images.

    Args:
        rows: One row of metrics per epoch, as in `EpochLog.rows`.
    """
    figure, axes = canvas(2)
    epochs = [row["epoch"] for row in rows]
    for ax, metric in zip(axes, ("loss", "accuracy"), strict=True):
        for split, label, color in (("train", "training", BLUE), ("val", "validation", ORANGE)):
            values = [row[f"{split}/{metric}"] for row in rows]
            ax.plot(epochs, values, "o-", markersize=3, color=color, label=label)
        ax.set(title=metric, xlabel="epoch", xticks=epochs)
    axes[0].legend(fontsize=8)
    return figure
