"""Callbacks that record steps, charts, images, curves and the network's graph in TensorBoard and other loggers."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
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
from melanoma_pl.specs import TARGET

COLUMNS = 3  # of a grid: TensorBoard shows a figure about 350 pixels wide, and the titles must stay legible
INCHES = 1.8  # side of one image in a grid, with half a gap around it
HPARAM_METRICS = ("average_precision", "accuracy", "sensitivity", "specificity", "log_loss", "auroc")
FIRST_METRIC = "AUROC (validation)"
COLUMN_NAMES = {"network": "Network", "image_size": "Image size", "precision": "Precision", "lr": "Learning rate"}
TITLE_INCHES, GAP = 0.5, 0.04
STEP_LOSS = "train/loss_step"  # as Lightning names a step's figure
HELD = 50  # losses on the device, before they are fetched in the midst of an epoch
CHARTS = {  # title → pattern of the tags that share a chart
    "loss": "^(train|val)/loss$",
    "accuracy": "^(train|val)/accuracy$",
    "AUROC": "^(train|val)/auroc$",
}


class StepLoss(pl.Callback):
    """Record the loss of every few steps in all loggers.

    The losses are fetched together, at the end of an epoch or when `HELD` of them have come, so that no step waits for
    the device. They travel in the checkpoint, because the other figures of TensorBoard count epochs: what a killed run
    wrote from the resumed epoch on is dropped there, steps of this number included, and written again from here.

    Args:
        every_n_steps: Steps between two losses.
    """

    def __init__(self, every_n_steps: int = 5) -> None:
        self.every_n_steps = at_least_one("every_n_steps", every_n_steps)
        self._written: dict[int, float] = {}  # step → loss
        self._held: dict[int, Tensor] = {}
        self._step = 0  # that of the newest loss; micro-batches that are accumulated share a step

    def state_dict(self) -> dict[str, Tensor]:
        """Return all steps so far, int64 `(N,)`, and their losses, float32 `(N,)`."""
        losses = self._written | self._fetch()
        return {"steps": torch.tensor(list(losses), dtype=torch.int64), "losses": torch.tensor(list(losses.values()))}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._written = dict(zip(state_dict["steps"].tolist(), state_dict["losses"].tolist(), strict=True))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write again what TensorBoard drops of a resumed run."""
        self._step = trainer.global_step
        for writer in writers(trainer):
            for step, loss in self._written.items():
                if step > trainer.current_epoch:
                    writer.add_scalar(STEP_LOSS, loss, step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep this step's loss on the device, if it is due."""
        step = trainer.global_step
        if not trainer.loggers or not trainer.is_global_zero or step == self._step or step % self.every_n_steps:
            return
        self._step = step
        self._held[step] = outputs["loss"].detach() * trainer.accumulate_grad_batches  # Lightning divided it
        if len(self._held) == HELD:
            self._write(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the rest of the epoch."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        losses = self._fetch()
        for step, loss in losses.items():
            for each in trainer.loggers:
                each.log_metrics({STEP_LOSS: loss}, step)
        self._written |= losses
        self._held.clear()

    def _fetch(self) -> dict[int, float]:
        values = torch.stack(list(self._held.values())).tolist() if self._held else []
        return dict(zip(self._held, values, strict=True))


class SharedCharts(pl.Callback):
    """Show training and validation in one chart, under CUSTOM SCALARS."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the layout of the charts once, at the start of the run."""
        for writer in writers(trainer) if trainer.current_epoch == 0 else []:
            layout = {title: ["Multiline", [tags]] for title, tags in CHARTS.items()}
            writer.add_custom_scalars({"training and validation": layout})


class TrainingImages(pl.Callback):
    """Show some training images with their labels, augmented as the network sees them.

    Args:
        count: Number of images.
    """

    def __init__(self, count: int = 12) -> None:
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
            writer.add_figure("visuals/training_images", grid(batch.pixels, titles), global_step=1)


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
        titles = [f"{classifier.class_names[targets[index]]}\np = {malignant[index]:.3f}" for index in worst]
        pixels = data.split("validation")[0, torch.from_numpy(worst)].pixels
        for writer in writers(trainer):
            writer.add_figure("visuals/worst_mistakes", grid(pixels, titles), global_step=trainer.current_epoch + 1)


SHOW_IMAGES = (TrainingImages, WorstMistakes)
"""Callbacks that write images of the dataset; `images_in_report=false` leaves them out."""


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
        axis.text(left + INCHES / 2, bottom + INCHES, title, fontsize=15, ha="center", linespacing=1.0)
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
            writer.add_figure("visuals/roc", draw_roc(malignant, targets, classifier.threshold), epoch)


def draw_roc(malignant: NDArray[np.float64], targets: NDArray[np.int64], threshold: float) -> Figure:
    """Draw the ROC curve and the operating point of the threshold."""
    false_positives, sensitivities, _ = roc_curve(targets, malignant)
    figure = Figure(figsize=(4, 4), layout="constrained")  # inches: small, so that its letters are legible
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


def hyper_parameters(settings: TrainSettings, precision: str) -> dict[str, Any]:
    """Return the choices that runs are compared by."""

    def name_of(spec: Mapping[str, Any]) -> str:
        return str(spec[TARGET]).rpartition(".")[2]

    return {
        "network": settings.model.get("backbone") or name_of(settings.model),
        "image_size": settings.data.image_size,
        "precision": precision,
        "lr": settings.optimizer.lr,
        "augmentation": name_of(settings.augmentation),
        "optimizer": name_of(settings.optimizer.model_dump()),
        "scheduler": name_of(settings.scheduler),
        "batch_size": settings.data.batch_size,
        "max_epochs": settings.trainer.max_epochs,
        "dropout": settings.model.get("dropout", ""),
        "pos_weight": settings.loss.pos_weight,
        "seed": settings.seed,
        "experiment": settings.name,
        "images": settings.images_note or "real",
    }


def columns(settings: TrainSettings, precision: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return the columns of TensorBoard's HPARAMS.

    TensorBoard shows five in the order of their bytes, capitals first, and the metrics to the right of them, often out
    of sight. So the four choices that matter most have a capital, and the AUROC is a column of its own.
    """
    chosen = {COLUMN_NAMES.get(name, name): value for name, value in hyper_parameters(settings, precision).items()}
    auroc = metrics.get("val_final/auroc")
    return chosen if auroc is None else {FIRST_METRIC: round(auroc, 4), **chosen}


def describe_run(loggers: Sequence[Logger], settings: TrainSettings, precision: str) -> None:
    """Give every logger the hyper-parameters before training; TensorBoard wants them with the final figures."""
    for each in loggers:
        if not isinstance(each, TensorBoardLogger):
            each.log_hyperparams(hyper_parameters(settings, precision))


def log_final_figures(
    loggers: Sequence[Logger],
    settings: TrainSettings,
    precision: str,
    figures: Mapping[str, float],
    only_evaluated: bool = False,
) -> None:
    """Log the final validation figures, by which runs are compared; to TensorBoard with the hyper-parameters.

    Args:
        loggers: Those of the trainer, which has finished.
        settings: The run's settings.
        precision: The precision of training, such as `32-true`.
        figures: The final figures by tag, such as `val/auroc`.
        only_evaluated: Whether training had ended before: other loggers than TensorBoard would begin a new run.
    """
    metrics = {f"val_final/{name}": figures[f"val/{name}"] for name in HPARAM_METRICS if f"val/{name}" in figures}
    for each in loggers:
        if isinstance(each, TensorBoardLogger):
            Path(each.log_dir, each.NAME_HPARAMS_FILE).unlink(missing_ok=True)  # Lightning wrote an empty one
            each.log_hyperparams(columns(settings, precision, metrics), metrics, step=settings.trainer.max_epochs)
            each.finalize("success")
        elif isinstance(each, WandbLogger | MLFlowLogger) and not only_evaluated:
            each.log_metrics(metrics, step=settings.trainer.max_epochs)
        if isinstance(each, WandbLogger) and not only_evaluated:
            each.experiment.finish()  # the next job of a sweep is another run
