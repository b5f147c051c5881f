"""Callbacks that draw images, curves and the network's graph in TensorBoard."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.evaluation.calibration import probabilities
from melanoma_pl.evaluation.metrics import auroc
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.specs import TARGET, build

COLUMNS = 4
INCHES = 2.4  # side of one image in a grid, with half a gap around it
HPARAM_METRICS = ("auroc", "average_precision", "accuracy", "sensitivity", "specificity", "log_loss")
TITLE_INCHES, GAP = 0.3, 0.04


class TrainingImages(pl.Callback):
    """Show some training images with their labels, augmented as the network sees them.

    Args:
        count: Number of images.
    """

    def __init__(self, count: int = 16) -> None:
        self.count = at_least_one("count", count)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show them once, at the start of the run."""
        if trainer.current_epoch > 0 or not writers(trainer):
            return
        data, classifier = data_of(trainer), cast(MelanomaClassifier, pl_module)
        dataset = data.split("train")
        chosen = torch.linspace(0, len(dataset) - 1, min(self.count, len(dataset))).long()
        batch = data.augment(dataset[0, chosen])
        titles = [classifier.class_names[target] for target in batch.targets.tolist()]
        for writer in writers(trainer):
            writer.add_figure("images/training", grid(batch.pixels, titles), global_step=1)


class WorstMistakes(pl.Callback):
    """Show the validation images with the largest errors, and their probability of malignant.

    Args:
        count: Number of images.
        every_n_epochs: Epochs between two drawings.
    """

    def __init__(self, count: int = 12, every_n_epochs: int = 5) -> None:
        self.count = at_least_one("count", count)
        self.every_n_epochs = at_least_one("every_n_epochs", every_n_epochs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show them if they are due."""
        if not is_due(trainer, self.every_n_epochs) or not writers(trainer):
            return
        data, classifier = data_of(trainer), cast(MelanomaClassifier, pl_module)
        malignant = probabilities(classifier.validation_logits, classifier.temperature)
        targets = classifier.validation_targets
        worst = most_wrong(malignant, targets, self.count)
        titles = [f"{classifier.class_names[targets[index]]}, p = {malignant[index]:.3f}" for index in worst]
        pixels = data.split("validation")[0, torch.from_numpy(worst)].pixels
        for writer in writers(trainer):
            writer.add_figure("images/worst mistakes", grid(pixels, titles), global_step=trainer.current_epoch + 1)


def data_of(trainer: pl.Trainer) -> MoleDataModule:
    """Return the trainer's data module."""
    data: MoleDataModule = trainer.datamodule  # type: ignore[attr-defined]
    return data


def most_wrong(malignant: NDArray[np.float64], targets: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the indices of the largest differences between probability and target, the largest first."""
    return np.argsort(-np.abs(malignant - targets), kind="stable")[:count].astype(np.int64)


def at_least_one(name: str, value: int) -> int:
    """Return a value of 1 or more.

    Raises:
        ValueError: If it is below 1.
    """
    if value < 1:
        raise ValueError(f"{name}={value}: it must be 1 or more")
    return value


def is_due(trainer: pl.Trainer, every_n_epochs: int) -> bool:
    """Tell whether a drawing of every few epochs is due now; in the last epoch it always is."""
    epoch = trainer.current_epoch + 1
    return trainer.is_global_zero and (epoch % every_n_epochs == 0 or epoch == trainer.max_epochs)


def writers(trainer: pl.Trainer) -> list[SummaryWriter]:
    """Return the writers of all TensorBoard loggers."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def grid(pixels: Tensor, titles: list[str]) -> Figure:
    """Draw images, uint8 `(N, 3, S, S)`, with a title above each.

    All are drawn on one axis in inches, because an axis for each takes a second, and the first training step waits.
    """
    columns, rows = COLUMNS, -(-len(titles) // COLUMNS)
    width, height = columns * INCHES, rows * (INCHES + TITLE_INCHES)
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    for index, (image, title) in enumerate(zip(pixels.cpu().permute(0, 2, 3, 1).numpy(), titles, strict=True)):
        left, bottom = index % columns * INCHES, height - (index // columns + 1) * (INCHES + TITLE_INCHES)
        axis.imshow(image, extent=(left + GAP, left + INCHES - GAP, bottom + GAP, bottom + INCHES - GAP))
        axis.text(left + INCHES / 2, bottom + INCHES, title, fontsize=13, ha="center")
    axis.set(xlim=(0, width), ylim=(0, height))
    return figure


class ValidationCurves(pl.Callback):
    """Draw the precision-recall and the ROC curve of validation every few epochs.

    Args:
        every_n_epochs: Epochs between two drawings.
    """

    def __init__(self, every_n_epochs: int = 5) -> None:
        self.every_n_epochs = at_least_one("every_n_epochs", every_n_epochs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw them if they are due and validation has images of both classes."""
        classifier = cast(MelanomaClassifier, pl_module)
        targets = classifier.validation_targets
        if not is_due(trainer, self.every_n_epochs) or len(np.unique(targets)) < 2:
            return
        malignant = probabilities(classifier.validation_logits, classifier.temperature)
        epoch = trainer.current_epoch + 1
        for writer in writers(trainer):
            writer.add_pr_curve("val/precision_recall", targets, malignant, epoch)
            writer.add_figure("val/roc", draw_roc(malignant, targets, classifier.threshold), epoch)


def draw_roc(malignant: NDArray[np.float64], targets: NDArray[np.int64], threshold: float) -> Figure:
    """Draw the ROC curve and the operating point of the threshold."""
    false_positives, sensitivities, _ = roc_curve(targets, malignant)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.8", linestyle="--")
    axis.plot(false_positives, sensitivities, label=f"AUROC {auroc(malignant, targets):.3f}, n = {len(targets)}")
    decided = malignant >= threshold
    axis.plot(decided[targets == 0].mean(), decided[targets == 1].mean(), "o", label=f"threshold {threshold:.3f}")
    axis.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axis.legend(loc="lower right")
    return figure


class NetworkGraph(pl.Callback):
    """Draw the network's graph once, at the start of the run."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Trace the network with one black image and draw its graph."""
        if trainer.current_epoch > 0 or not trainer.is_global_zero:
            return
        classifier = cast(MelanomaClassifier, pl_module)
        side = classifier.preprocessing.image_size
        example = torch.zeros(1, 3, side, side, device=classifier.device)
        classifier.network.eval()
        for writer in writers(trainer):
            with warnings.catch_warnings():
                # TensorBoard's graphs are made by torch.jit.trace, which is deprecated and has no successor there
                warnings.simplefilter("ignore")
                writer.add_graph(classifier.network, example)
        classifier.network.train()


def log_hyper_parameters(settings: TrainSettings, folder: Path, figures: Mapping[str, float]) -> None:
    """Log the final validation figures to TensorBoard's HPARAMS, so that runs can be compared there.

    Args:
        settings: The run's settings.
        folder: The run's folder.
        figures: The final figures by tag, such as `val/auroc`.
    """
    spec = settings.logger.get("tensorboard")
    if spec is None:
        return
    chosen = {
        "experiment": settings.name,
        "images": settings.images_note or "real",
        "seed": settings.seed,
        "augmentation": settings.augmentation[TARGET].rpartition(".")[2],
        "scheduler": settings.scheduler[TARGET].rpartition(".")[2],
        "optimizer": settings.optimizer.model_dump()[TARGET].rpartition(".")[2],
        "lr": settings.optimizer.lr,
        "batch_size": settings.data.batch_size,
        "max_epochs": settings.trainer.max_epochs,
        "dropout": settings.model.get("dropout", ""),
        "pos_weight": settings.loss.pos_weight,
    }
    metrics = {f"val_final/{name}": figures[f"val/{name}"] for name in HPARAM_METRICS if f"val/{name}" in figures}
    (folder / TensorBoardLogger.NAME_HPARAMS_FILE).unlink(missing_ok=True)  # Lightning wrote an empty one
    board = build(spec, TensorBoardLogger)
    board.log_hyperparams(chosen, metrics, step=settings.trainer.max_epochs)
    board.finalize("success")
