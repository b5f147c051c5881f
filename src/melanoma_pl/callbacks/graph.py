"""The network's graph, in TensorBoard."""

import warnings
from typing import cast

import lightning.pytorch as pl
import torch

from melanoma_pl.callbacks.pictures import writers
from melanoma_pl.models.classifier import MelanomaClassifier


class NetworkGraph(pl.Callback):
    """Draws the graph once, when the run begins."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw it."""
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
