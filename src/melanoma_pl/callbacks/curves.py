"""Precision-recall and ROC curve on validation, in TensorBoard."""

from typing import cast

import lightning.pytorch as pl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from melanoma_pl.callbacks.pictures import at_least_one, is_due, writers
from melanoma_pl.evaluation.calibration import probabilities
from melanoma_pl.evaluation.metrics import auroc
from melanoma_pl.models.classifier import MelanomaClassifier


class ValidationCurves(pl.Callback):
    """Draws the curves every few epochs.

    Args:
        every_n_epochs: How often.
    """

    def __init__(self, every_n_epochs: int = 5) -> None:
        self.every_n_epochs = at_least_one("every_n_epochs", every_n_epochs)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw them, where validation has photos of both classes."""
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
    """Draw the ROC curve with the operating point of the threshold."""
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
