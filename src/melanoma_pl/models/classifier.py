"""The LightningModule: any network with one logit, and how it learns to tell malignant from benign."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy,
    BinaryAUROC,
    BinaryAveragePrecision,
    BinaryRecall,
    BinarySpecificity,
)

from melanoma_pl import __version__
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision, fit_decision
from melanoma_pl.evaluation.out_of_distribution import OutOfDistributionDetector
from melanoma_pl.models.checkpoint import CHECKPOINT_KEY, network_state, read_checkpoint
from melanoma_pl.models.schedules import Constant, Schedule
from melanoma_pl.models.timm_backbone import FineTuned
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import build

ADAM = {"_target_": "torch.optim.Adam", "lr": 1e-3}
SENSITIVE = {"rule": "sensitivity", "sensitivity": 0.95}
UNDECIDED = {"rule": "fixed", "value": 0.5}


class MelanomaClassifier(pl.LightningModule):
    """A network that gives an image one logit, trained with binary cross-entropy.

    Its checkpoints hold plain values and tensors only, and all that prediction needs: network, preprocessing, class
    names, temperature and threshold; once training has ended also what images it knows, and, where an evaluation fitted
    it, the decision for the mean of an image's eight views.

    Args:
        network: Takes float `(N, 3, S, S)`, returns one logit an image, `(N, 1)` or `(N,)`; or a spec of it
            (`{"_target_": <class>, **options}`), from which a checkpoint can build it again.
        preprocessing: What turns pixels into the network's input.
        class_names: Negative class, positive class.
        optimizer: Spec of a `torch.optim.Optimizer`, with `lr`.
        schedule: Factor of the learning rate in each step.
        pos_weight: How much more a malignant image counts in the loss than a benign one.
        threshold: How validation chooses the threshold: the arguments of `evaluation.choose_threshold`.
        fit_decision: Whether temperature and threshold are fitted at the end of each validation. Must be False where
            validation runs on the test images: then they stay at 1 and 0.5.
        seed: Of dropout, in each step anew.
        extra_metrics: Further live curves, name → torchmetrics class that takes probabilities and targets.
        images_note: What the network was trained on, where that must be said beside its results ("synthetic").
    """

    def __init__(
        self,
        network: nn.Module | Mapping[str, Any],
        *,
        preprocessing: Preprocessing | None = None,
        class_names: Sequence[str] = ("benign", "malignant"),
        optimizer: Mapping[str, Any] = ADAM,
        schedule: Schedule | None = None,
        pos_weight: float = 1.0,
        threshold: Mapping[str, Any] = SENSITIVE,
        fit_decision: bool = True,
        seed: int = 0,
        extra_metrics: Mapping[str, Metric] | None = None,
        images_note: str = "",
    ) -> None:
        super().__init__()
        is_module = isinstance(network, nn.Module)
        self.network: nn.Module = network if is_module else build(network, nn.Module)  # type: ignore[assignment,arg-type]
        self.network_spec = dict(getattr(network, "spec", {}) if is_module else network)  # type: ignore[arg-type]
        self.preprocessing = preprocessing or Preprocessing()
        self.class_names = tuple(class_names)
        self.optimizer_spec = dict(optimizer)
        self.schedule = schedule or Constant()
        self.threshold_rule = dict(threshold) if fit_decision else UNDECIDED
        self.fit_decision = fit_decision
        self.seed = seed
        self.images_note = images_note
        self.temperature = 1.0
        self.threshold = 0.5
        self.augmented_decision: Decision | None = None
        self.ood_detector: OutOfDistributionDetector | None = None
        self.register_buffer("pos_weight", torch.tensor(float(pos_weight)), persistent=False)
        # persistent: the interrupted epoch's sums go into a checkpoint, or a resumed epoch's mean would be another
        self.train_metrics = MetricCollection(
            {"loss": MeanMetric(nan_strategy="disable"), "accuracy": BinaryAccuracy(validate_args=False)}
        )
        for metric in self.train_metrics.values():
            metric.persistent(True)
        self.validation_metrics = MetricCollection({**live_metrics(), **(extra_metrics or {})})
        self.validation_logits: NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self.validation_targets: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._collected: list[tuple[Tensor, Tensor]] = []

    def forward(self, pixels: Tensor) -> Tensor:
        """Return a logit an image.

        Args:
            pixels: uint8 `(N, 3, S, S)`: nothing but the one preprocessing can feed the network.

        Returns:
            float `(N,)`.
        """
        logits: Tensor = self.network(self.preprocessing.to_input(pixels))
        return logits.reshape(len(pixels))

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean binary cross-entropy: float scalar from float `(N,)` and int64 `(N,)`."""
        weight: Tensor = self.pos_weight  # type: ignore[assignment]
        return functional.binary_cross_entropy_with_logits(logits.float(), targets.float(), pos_weight=weight)

    # Training

    def logits_and_loss(self, pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a training step computes: float `(N,)` and a float scalar."""
        logits = self(pixels)
        return logits, self.loss(logits, targets)

    def compile_training(self, mode: str) -> None:
        """Let `torch.compile` make one program of a step's arithmetic; evaluation stays as it is.

        Args:
            mode: Of `torch.compile`; `reduce-overhead` records it as a CUDA graph where there is a GPU.
        """
        self.logits_and_loss = torch.compile(self.logits_and_loss, mode=mode)  # type: ignore[method-assign]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Build the optimizer; the schedule is no scheduler of PyTorch's, since those carry state."""
        if isinstance(self.network, FineTuned):
            groups = self.network.parameter_groups(self.optimizer_spec["lr"])
            return build(self.optimizer_spec, torch.optim.Optimizer, groups)
        return build(self.optimizer_spec, torch.optim.Optimizer, self.parameters())

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set what depends on the step alone: the stage of fine-tuning, the learning rate, the seed of dropout."""
        if isinstance(self.network, FineTuned):
            self.network.enter_stage(self.current_epoch)
        step, accumulated = self.trainer.global_step, self.trainer.accumulate_grad_batches
        factor = self.schedule.factor(step, int(self.trainer.estimated_stepping_batches))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        batch_number = step * accumulated + batch_idx % accumulated
        seed_dropout((self.seed * 1_000_003 + batch_number) * 1_009 + self.global_rank, self.device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        logits, loss = self.logits_and_loss(batch.pixels, batch.targets)
        with torch.no_grad():
            self.train_metrics["loss"].update(loss, len(logits))
            self.train_metrics["accuracy"].update(torch.sigmoid(logits.float()), batch.targets)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training figures."""
        self.log_dict({f"train/{name}": value for name, value in self.train_metrics.compute().items()}, logger=False)
        self.train_metrics.reset()

    # Validation

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._collected.clear()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Collect one batch's logits."""
        self._collected.append((self(batch.pixels).float(), batch.targets))

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures once, and fit temperature and threshold on the same images."""
        logits, targets = (torch.cat(parts) for parts in zip(*self._collected, strict=True))
        if not logits.isfinite().all():
            raise UserError(
                f"training diverged in epoch {self.current_epoch + 1}: the network's answers are no longer numbers",
                "take a smaller optimizer.lr",
            )
        self.validation_metrics.update(torch.sigmoid(logits), targets)
        figures = {f"val/{name}": value for name, value in self.validation_metrics.compute().items()}
        self.validation_metrics.reset()
        self.validation_logits = logits.cpu().numpy()
        self.validation_targets = targets.cpu().numpy()
        if self.fit_decision:
            self.decide(self.validation_logits, self.validation_targets)
        figures |= {"val/loss": self.loss(logits, targets), "val/threshold": torch.tensor(self.threshold)}
        self.log_dict(figures, logger=False)

    def decide(self, logits: NDArray[np.float32], targets: NDArray[np.int64]) -> None:
        """Fit temperature, then threshold, on validation images: float32 `(N,)` and int64 `(N,)`."""
        decision = fit_decision(logits, targets, self.threshold_rule)
        self.temperature, self.threshold = decision.temperature, decision.threshold

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add all that prediction needs, as plain values."""
        checkpoint[CHECKPOINT_KEY] = {
            "version": __version__,
            "network": self.network_spec,
            "preprocessing": self.preprocessing.to_dict(),
            "class_names": list(self.class_names),
            "temperature": self.temperature,
            "threshold": self.threshold,
            "threshold_rule": self.threshold_rule,
            "pos_weight": float(self.pos_weight),  # type: ignore[arg-type]
            "images_note": self.images_note,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take temperature and threshold back, and what was added once training had ended."""
        for state in checkpoint.get("optimizer_states", ()):
            for group in state["param_groups"]:
                if "fused" in group:  # how it computes is this run's choice, not the checkpoint's
                    group["fused"] = self.optimizer_spec.get("fused")
        saved = checkpoint[CHECKPOINT_KEY]
        self.temperature, self.threshold = float(saved["temperature"]), float(saved["threshold"])
        if "augmented_decision" in checkpoint:
            self.augmented_decision = Decision(**checkpoint["augmented_decision"])
        if "ood_detector" in checkpoint:
            known = checkpoint["ood_detector"].items()
            self.ood_detector = OutOfDistributionDetector(**{name: as_array(value) for name, value in known})

    @classmethod
    def load(cls, path: str | Path, network: nn.Module | None = None) -> "MelanomaClassifier":
        """Return the classifier of a checkpoint, ready to predict on the CPU.

        Args:
            path: A checkpoint of this project.
            network: Takes the weights, where the checkpoint was made from a network without a spec.

        Raises:
            UserError: If the file cannot be read or its network cannot be built.
        """
        checkpoint = read_checkpoint(Path(path))
        saved = checkpoint[CHECKPOINT_KEY]
        classifier = cls(
            network or saved["network"],
            preprocessing=Preprocessing.from_dict(saved["preprocessing"]),
            class_names=saved["class_names"],
            pos_weight=saved["pos_weight"],
            threshold=saved["threshold_rule"],
            images_note=saved["images_note"],
        )
        classifier.network.load_state_dict(network_state(checkpoint))
        classifier.on_load_checkpoint(checkpoint)
        return classifier.eval()


def seed_dropout(seed: int, device: torch.device) -> None:
    """Seed the generator that a step's dropout draws from.

    `torch.manual_seed` seeds every kind of device there is, and where one is not in use it notes down the call stack
    each time: three milliseconds a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def as_tensors(ood_detector: OutOfDistributionDetector) -> dict[str, Any]:
    """Return what a checkpoint keeps: tensors and plain values."""
    values = asdict(ood_detector)
    return {name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}


def as_array(value: Any) -> Any:
    """Return a tensor as an array, and anything else as it is."""
    return value.numpy() if isinstance(value, Tensor) else value


def live_metrics() -> dict[str, Metric]:
    """Return the metrics of the live curves, which take probabilities; decisions are those at 0.5."""
    return {
        "accuracy": BinaryAccuracy(validate_args=False),
        "auroc": BinaryAUROC(validate_args=False),
        "average_precision": BinaryAveragePrecision(validate_args=False),
        "sensitivity": BinaryRecall(validate_args=False),
        "specificity": BinarySpecificity(validate_args=False),
    }
