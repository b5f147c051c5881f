"""The LightningModule: any network with one logit, trained to tell malignant from benign."""

import math
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeGuard

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import RichProgressBar, TQDMProgressBar
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
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
from melanoma_pl.models.checkpoint import (
    CHECKPOINT_FORMAT,
    CHECKPOINT_KEY,
    OTHER_FILE,
    PREDICTION_KEY,
    CheckpointEntry,
    entry_of,
    first_difference,
    load_network,
    trained_state,
)
from melanoma_pl.models.parameter_groups import LayerOptions, check_layer_options, parameter_groups
from melanoma_pl.models.schedules import Constant, Schedule
from melanoma_pl.models.soft_targets import SoftTargets
from melanoma_pl.models.three_conv import ThreeConvNet
from melanoma_pl.models.timm_backbone import FineTuned
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import build

ADAM = {"_target_": "torch.optim.Adam", "lr": 1e-3}
LIGHTNINGS_BARS = (TQDMProgressBar, RichProgressBar)
SENSITIVE = {"rule": "sensitivity", "sensitivity": 0.95}
MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")  # of optimizers, each as large as its weight
UNDECIDED = {"rule": "fixed", "value": 0.5}
MOST_STEPS = 1000  # whose losses and answers wait to be summed
LOSS_SUMS = "train_metrics.loss."  # begins the names of the epoch's sums in a checkpoint


class MelanomaClassifier(pl.LightningModule):
    """A network that gives an image one logit, trained with binary cross-entropy.

    Lightning's verbs work: `trainer.fit`, `validate`, `test`, `predict`, `load_from_checkpoint` and `to_onnx`. A
    checkpoint holds plain values and tensors only, and all that prediction needs: network, preprocessing, class names,
    temperature and threshold.

    Args:
        network: Takes float `(N, 3, S, S)` and returns one logit an image, `(N, 1)` or `(N,)`; or its spec
            (`{"_target_": <class>, **options}`), from which a checkpoint can build it again.
        preprocessing: Turns uint8 pixels into the network's input.
        class_names: Negative class, positive class.
        optimizer: Spec of a `torch.optim.Optimizer`, with `lr`.
        schedule: Factor of the learning rate at each step.
        pos_weight: Weight of a malignant image in the loss; a benign one has 1. It shifts the network's output by
            log(pos_weight), which `forward` subtracts: probabilities are those at the training images' prevalence.
        oversampling: How many times as frequent malignant images are, relative to benign ones, in an epoch of the
            training as among its images. It shifts the network's output by log(oversampling), which `forward` subtracts
            too. Weights then belong to the images as they are drawn.
        soft_targets: Changes the images and targets of each training step.
        layer_options: Name of a layer → options of the optimizer for its weights, such as `weight_decay`.
        threshold: Rule by which validation chooses the threshold: arguments of `evaluation.choose_threshold`.
        fit_decision: Whether each validation fits temperature and threshold. Must be False if validation runs on the
            test images: temperature and threshold then stay at 1 and 0.5.
        decision: Temperature and threshold of the out-of-fold predictions of a cross-validation with the same options,
            for a training on all images; no validation then fits others.
        decided_on: These predictions, in words.
        seed: Of dropout, seeded anew at each step.
        extra_metrics: Further live curves: name → torchmetrics metric of probabilities and targets.
        images_note: Remark on the training images that every result repeats ("synthetic").
        log_to_loggers: Whether figures go to the trainer's loggers; False if a callback (`EpochLog`) sends them.

    Raises:
        UserError: If the optimizer's spec does not name an optimizer or its options are wrong.
        ValueError: If a parameter group names a layer or an option that does not exist.
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
        oversampling: float = 1.0,
        soft_targets: SoftTargets | None = None,
        layer_options: LayerOptions | None = None,
        threshold: Mapping[str, Any] = SENSITIVE,
        fit_decision: bool = True,
        decision: Decision | None = None,
        decided_on: str = "out-of-fold predictions",
        seed: int = 0,
        extra_metrics: Mapping[str, Metric] | None = None,
        images_note: str = "",
        log_to_loggers: bool = True,
    ) -> None:
        super().__init__()
        # a wrong spec fails now, not in fit
        defaults = build(optimizer, torch.optim.Optimizer, [nn.Parameter(torch.zeros(1))]).defaults
        is_module = isinstance(network, nn.Module)
        self.network: nn.Module = network if is_module else build(network, nn.Module)  # type: ignore[assignment,arg-type]
        self.network_spec = dict(getattr(network, "spec", {}) if is_module else network)  # type: ignore[arg-type]
        self.preprocessing = preprocessing or Preprocessing()
        self.class_names = tuple(class_names)
        self.optimizer_spec = dict(optimizer)
        self.schedule = schedule or Constant()
        self.soft_targets = soft_targets or SoftTargets()  # not a module: its teachers are not a part of this network
        self.layer_options = dict(layer_options or {})
        check_layer_options(self.network, self.layer_options, defaults)
        self.threshold_rule = dict(threshold) if fit_decision or decision else UNDECIDED
        self.fit_decision = fit_decision and decision is None
        self.seed = seed
        self.images_note = images_note
        self._to_loggers = None if log_to_loggers else False  # None is Lightning's default: to all there are
        self.temperature = 1.0
        self.threshold = 0.5
        self.is_decided = False  # whether temperature and threshold were fitted with or for these weights
        self.decided_on = ""
        if decision is not None:
            self.decide(decision, decided_on)
        self.averages: Mapping[str, Tensor] | None = None  # of the network's state, by name (`AveragedWeights`)
        self.augmented_decision: Decision | None = None
        self.ood_detector: OutOfDistributionDetector | None = None
        self.register_buffer("pos_weight", torch.tensor(float(pos_weight)), persistent=False)
        self.oversampling = oversampling
        # of the network's output, by the weighted loss and by the images that an epoch draws
        self.logit_shift = math.log(pos_weight) + math.log(oversampling)
        # persistent, so that the mean of an epoch that was interrupted and resumed covers all of its batches
        self.train_metrics = MetricCollection(
            {"loss": EpochMean(nan_strategy="disable"), "accuracy": BinaryAccuracy(validate_args=False)}
        )
        for metric in self.train_metrics.values():
            metric.persistent(True)
        self.evaluation_metrics = MetricCollection({**live_metrics(), **(extra_metrics or {})})
        self.validation_logits: NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self.validation_targets: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._collected: list[tuple[Tensor, Tensor]] = []
        self._steps: list[tuple[Tensor, Tensor, Tensor]] = []  # loss, logits and targets that `train_metrics` lack
        self._total_steps = 1
        self._decided_step = -1

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. PyTorch's checks are left out for the one that Lightning sets fifty times a step."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return one logit an image.

        Args:
            pixels: uint8 `(N, 3, S, S)`, as `preprocessing` returns them.

        Returns:
            float `(N,)`, the log-odds of malignant at the prevalence of the training images.
        """
        logits: Tensor = self.network(self.preprocessing.to_input(pixels))
        # shape, not len(): that would fix the batch size of an export
        return logits.reshape(pixels.shape[0]) - self.logit_shift

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean weighted binary cross-entropy, a scalar, from logits and targets in [0, 1], both `(N,)`.

        It is that of images at the prevalence of the training images; `training_loss` is that of images as drawn.
        """
        return self._weighted_loss(logits, targets, self.logit_shift - math.log(self.oversampling))

    def training_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the same of images that an epoch of the training has drawn."""
        return self._weighted_loss(logits, targets, self.logit_shift)

    def _weighted_loss(self, logits: Tensor, targets: Tensor, shift: float) -> Tensor:
        weight: Tensor = self.pos_weight  # type: ignore[assignment]
        shifted = logits.float() + shift
        return functional.binary_cross_entropy_with_logits(shifted, targets.float(), pos_weight=weight)

    # Training

    def logits_and_loss(self, pixels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Compute a training step's logits, float `(N,)`, and loss, float scalar."""
        logits = self(pixels)
        return logits, self.training_loss(logits, targets)

    def compile_training(self, mode: str) -> None:
        """Compile the arithmetic of a training step with `torch.compile`; evaluation stays as it is.

        Args:
            mode: Mode of `torch.compile`; `reduce-overhead` records a CUDA graph on a GPU.
        """
        self.logits_and_loss = torch.compile(self.logits_and_loss, mode=mode)  # type: ignore[method-assign]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and the step-wise scheduler that multiplies its learning rates by the schedule."""
        optimizer = build(self.optimizer_spec, torch.optim.Optimizer, self._groups())
        # a plain function: the attributes of a callable object would come back from a checkpoint, an old total included
        scheduler = LambdaLR(optimizer, lambda step: self.schedule.factor(step, self._total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _groups(self) -> list[dict[str, Any]]:
        return parameter_groups(self.network, self.layer_options, self.optimizer_spec["lr"])

    def setup(self, stage: str) -> None:
        """Choose the precision of the epoch's sums, before they are restored and moved to the device."""
        is_apple = self.trainer.strategy.root_device.type == "mps"  # which has no float64
        self.train_metrics["loss"].set_dtype(torch.float32 if is_apple else torch.float64)

    def teardown(self, stage: str) -> None:
        """Give the epoch's sums a precision that any device has, so that the network can be moved to it."""
        self.train_metrics["loss"].set_dtype(torch.float32)

    def on_fit_start(self) -> None:
        """Move the teachers to the device."""
        self.soft_targets.move_teachers(self.device)

    def on_train_start(self) -> None:
        """Plan the learning rate over all steps of this training, also of one that was resumed or made longer.

        `configure_optimizers` would be too early: the number of steps is known once the training loader is built, and
        building it there would come before the progress of a resumed run is restored.
        """
        total = self.trainer.estimated_stepping_batches
        self._total_steps = int(total) if math.isfinite(total) else 2**62
        if self.global_rank > 0:
            self.train_metrics.reset()  # a resumed epoch's sums over all ranks are those of the first
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, LambdaLR):
                factor = self.schedule.factor(self.trainer.global_step, self._total_steps)
                for group, base in zip(config.scheduler.optimizer.param_groups, config.scheduler.base_lrs, strict=True):
                    group["lr"] = base * factor

    def on_train_epoch_start(self) -> None:
        """Begin the epoch's means anew; Lightning skips this hook if it resumes in mid-epoch."""
        self.train_metrics.reset()
        self._steps.clear()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set what depends on the step alone: the stage of fine-tuning and the seed of dropout."""
        if isinstance(self.network, FineTuned):
            self.network.enter_stage(self.current_epoch)
        accumulated = self.trainer.accumulate_grad_batches
        batch_number = self.trainer.global_step * accumulated + batch_idx % accumulated
        seed_dropout((self.seed * 1_000_003 + batch_number) * 1_009 + self.global_rank, self.device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        logits, loss = self.logits_and_loss(*self.soft_targets(batch.pixels, batch.targets, self.oversampling))
        count = logits.shape[0]
        self._steps.append((loss.detach(), logits.detach(), batch.targets))
        if isinstance(self.trainer.progress_bar_callback, LIGHTNINGS_BARS):  # to log takes longer than a small network
            self.log("loss", loss, prog_bar=True, logger=False, batch_size=count)
        if self.trainer.is_last_batch:
            self._count_steps()
            metrics = {f"train/{name}": metric for name, metric in self.train_metrics.items()}
            self.log_dict(metrics, on_step=False, on_epoch=True, logger=self._to_loggers, batch_size=count)
        elif len(self._steps) == MOST_STEPS:
            self._count_steps()
        return loss

    def _count_steps(self) -> None:
        """Add the steps since the last call to the epoch's sums; when it is called changes no bit of them.

        To update a metric at each step takes longer than a small network.
        """
        if self._steps:
            losses, logits, targets = zip(*self._steps, strict=True)
            self._steps.clear()
            counts = torch.tensor([len(each) for each in targets])
            self.train_metrics["loss"].update(torch.stack(losses).cpu(), counts)
            as_drawn = torch.sigmoid(torch.cat(logits).float() + math.log(self.oversampling))
            self.train_metrics["accuracy"].update(as_drawn, torch.cat(targets))

    # Validation, test, prediction

    def on_validation_epoch_start(self) -> None:
        """Forget the logits of the previous validation."""
        self._collected.clear()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Collect the logits of one batch."""
        self._collected.append((self(batch.pixels).float(), batch.targets))

    def on_validation_epoch_end(self) -> None:
        """Log the validation figures, and fit temperature and threshold on the same images."""
        logits, targets = self._gather()
        if not logits.isfinite().all():
            raise UserError(
                f"training diverged in epoch {self.current_epoch + 1}: the network returns non-finite logits",
                "take a smaller optimizer.lr",
            )
        self.validation_logits, self.validation_targets = logits.cpu().numpy(), targets.cpu().numpy()
        if self.fit_decision and self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            decision = fit_decision(self.validation_logits, self.validation_targets, self.threshold_rule)
            self.decide(decision)
            self._decided_step = self.trainer.global_step
        figures = self._figures("val", logits, targets)
        auroc = {"val/auroc": figures.pop("val/auroc")}
        self.log_dict(auroc, prog_bar=True, logger=self._to_loggers)
        self.log_dict(figures | {"val/threshold": torch.tensor(self.threshold)}, logger=self._to_loggers)

    def decide(self, decision: Decision, decided_on: str = "") -> None:
        """Take a temperature and a threshold that were fitted with the present weights, or on other predictions."""
        self.temperature, self.threshold, self.is_decided = decision.temperature, decision.threshold, True
        self.decided_on = decided_on

    def on_test_epoch_start(self) -> None:
        """Forget the logits of the previous test."""
        self._collected.clear()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Collect the logits of one batch."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Log the test figures; decisions are those at probability 0.5, as in the live curves."""
        self.log_dict(self._figures("test", *self._gather()))

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the calibrated probability of malignant of each image, float64 `(N,)`."""
        return torch.sigmoid(self(batch.pixels).double() / self.temperature)

    def _gather(self) -> tuple[Tensor, Tensor]:
        """Return the collected logits, float32 `(N,)`, and targets, int64 `(N,)`."""
        logits, targets = (torch.cat(parts) for parts in zip(*self._collected, strict=True))
        return logits, targets

    def _figures(self, stage: str, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return loss and metrics of a whole split, tagged with the stage (`val`, `test`)."""
        self.evaluation_metrics.update(torch.sigmoid(logits), targets)
        figures = {f"{stage}/{name}": value for name, value in self.evaluation_metrics.compute().items()}
        self.evaluation_metrics.reset()
        return figures | {f"{stage}/loss": self.loss(logits, targets)}

    # Checkpoints and export

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add all that prediction needs, as plain values, and the sums of the interrupted epoch over all ranks."""
        self._count_steps()
        with self.train_metrics["loss"].sync_context(), self.train_metrics["accuracy"].sync_context():
            sums = self.train_metrics.state_dict(prefix="train_metrics.")
        checkpoint["state_dict"] |= {name: value.clone() for name, value in sums.items()}
        # steps after the last validation change the weights, and a decision belongs to the weights it was fitted with
        is_decided = bool(self.decided_on) or self._decided_step == self.trainer.global_step
        checkpoint[CHECKPOINT_KEY] = {
            "format": CHECKPOINT_FORMAT,
            "version": __version__,
            "network": self.network_spec,
            "preprocessing": self.preprocessing.to_dict(),
            "class_names": list(self.class_names),
            "temperature": self.temperature if is_decided else 1.0,
            "threshold": self.threshold if is_decided else 0.5,
            "is_decided": is_decided,
            "decided_on": self.decided_on,
            "threshold_rule": self.threshold_rule,
            "pos_weight": float(self.pos_weight),  # type: ignore[arg-type]
            "oversampling": self.oversampling,
            "images_note": self.images_note,
        }
        if self.trains_another_network:
            network = self.prediction_network()
            checkpoint[PREDICTION_KEY] = network.state_dict()
            checkpoint[CHECKPOINT_KEY]["network"] = self.network_spec | {
                key: value for key, value in getattr(network, "spec", {}).items() if key in self.network_spec
            }

    @property
    def trains_another_network(self) -> bool:
        """True if predictions are those of averaged weights, or of a network without batch normalisation."""
        return self.averages is not None or _has_batch_norm(self.network)

    def prediction_network(self) -> nn.Module:
        """Return the network that predicts: with averaged weights and folded batch normalisation, if there are any."""
        network = deepcopy(self.network)
        if self.averages is not None:
            network.load_state_dict(self.averages)
        return network.folded() if _has_batch_norm(network) else network

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore temperature and threshold; whether the optimizer is fused stays this run's choice.

        Steps that were not summed yet are forgotten, because the checkpoint's sums replace those of this training.

        Raises:
            UserError: If the checkpoint is damaged, or belongs to other weights, preprocessing or class names.
        """
        self._steps.clear()
        path = self.trainer.ckpt_path if self._trainer else ""
        entry = entry_of(checkpoint, path or "")
        if difference := entry.difference(self.preprocessing, self.class_names):
            raise UserError(
                f"the checkpoint {path} was trained with {difference}",
                "MelanomaClassifier.load_from_checkpoint(<checkpoint>) takes all from the checkpoint",
            )
        if difference := first_difference(self.network, trained_state(checkpoint)):
            raise UserError(f"the checkpoint {path} does not fit the network: {difference}", OTHER_FILE)
        parameters = [parameter for group in self._groups() for parameter in group["params"]]
        for state in checkpoint.get("optimizer_states", ()):
            for index, values in state["state"].items():
                # a fused optimizer would read and write beyond tensors of another shape
                shape = parameters[index].shape if index < len(parameters) else None
                if any(name in values and values[name].shape != shape for name in MOMENTS):
                    raise UserError(f"the optimizer's state in the checkpoint {path} is damaged", OTHER_FILE)
            for group in state["param_groups"]:
                if "fused" in group:
                    group["fused"] = self.optimizer_spec.get("fused")
        dtype = self.train_metrics["loss"].dtype  # the checkpoint may come from another device or an earlier version
        sums = {name: value for name, value in checkpoint["state_dict"].items() if name.startswith(LOSS_SUMS)}
        checkpoint["state_dict"] |= {name: value.to(dtype) for name, value in sums.items()}
        self._restore_decision(entry)

    def _restore_decision(self, entry: CheckpointEntry) -> None:
        self.temperature, self.threshold, self.is_decided = entry.temperature, entry.threshold, entry.is_decided
        self.decided_on = entry.decided_on

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path,
        map_location: Any = "cpu",
        *,
        network: nn.Module | None = None,
        trust: Collection[str] = (),
        **options: Any,
    ) -> "MelanomaClassifier":
        """Return the classifier of a checkpoint, in evaluation mode.

        Lightning's own version would need the arguments of `__init__` again; here the checkpoint holds them.

        Args:
            checkpoint_path: A checkpoint of this project.
            map_location: The device to load to.
            network: Takes the weights if the checkpoint was made from a network without a spec.
            trust: Modules that may be imported for the network's class, beside those of this package and its libraries.
            options: Further arguments of `__init__`, for instance an optimizer to go on training with.

        Raises:
            UserError: If the file cannot be read, is damaged, or its network cannot be built or is not trusted.
        """
        network, entry = load_network(Path(checkpoint_path), trust, network)
        arguments: dict[str, Any] = {
            "preprocessing": entry.preprocessing,
            "class_names": entry.class_names,
            "pos_weight": entry.pos_weight,
            "oversampling": entry.oversampling,
            "threshold": entry.threshold_rule,
            "images_note": entry.images_note,
        }
        classifier = cls(network, **(arguments | options))
        classifier._restore_decision(entry)
        return classifier.to(map_location).eval()

    def to_onnx(self, file_path: Any = None, input_sample: Tensor | None = None, **options: Any) -> Any:
        """Export to ONNX: uint8 `(N, 3, S, S)` in, one logit an image out, for any batch size N.

        Needs the packages onnx and onnxscript: `pip install 'melanoma-pl[export]'`.

        Args:
            file_path: The file to write; its weights are in it.
            input_sample: uint8 `(N, 3, S, S)`; without it black images of the right size.
            options: Further arguments of `torch.onnx.export`.
        """
        if input_sample is None:  # two images: an export of one fixes the batch size at 1
            side = self.preprocessing.image_size
            input_sample = torch.zeros(2, 3, side, side, dtype=torch.uint8, device=self.device)
        any_batch = {"pixels": {0: torch.export.Dim("batch")}}
        defaults = {"dynamo": True, "dynamic_shapes": any_batch, "external_data": False, "verbose": False}
        was_training = self.training
        self.eval()  # right after fit the network is in training mode, and would be exported with its dropout
        try:
            return super().to_onnx(file_path, input_sample, **(defaults | options))
        finally:
            self.train(was_training)


class EpochMean(MeanMetric):
    """A mean that is rounded to float32 only at the end.

    In float64, sums of float32 losses hardly depend on the order, such as that of an epoch that was interrupted and is
    summed over processes; rounding removes the rest.
    """

    def update(self, value: float | Tensor, weight: float | Tensor | None = 1.0) -> None:
        """Add values one after another, so that the sum does not depend on how many come together.

        Args:
            value: Mean losses of batches, float `(B,)` or a scalar.
            weight: Images of each batch, int64 `(B,)` or a scalar.
        """
        values = torch.as_tensor(value).reshape(-1)
        counts = torch.as_tensor(1.0 if weight is None else weight).reshape(-1)
        total = float(self.mean_value)
        for each, count in zip(values.tolist(), counts.tolist(), strict=True):
            total += each * count
        self.mean_value = torch.full_like(self.mean_value, total)
        self.weight = self.weight + counts.sum().to(self.weight)

    def compute(self) -> Tensor:
        """Return the mean, a float32 scalar."""
        return super().compute().float()


def _has_batch_norm(network: nn.Module) -> TypeGuard[ThreeConvNet]:
    """Tell whether a network has batch normalisation that can be folded."""
    return isinstance(network, ThreeConvNet) and bool(network.spec["batch_norm"])


def seed_dropout(seed: int, device: torch.device) -> None:
    """Seed the generator of a step's dropout.

    `torch.manual_seed` would seed every kind of device and format a call stack for each that is absent, which takes
    three milliseconds a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def live_metrics() -> dict[str, Metric]:
    """Return the metrics of the live curves; they take probabilities, and decide at 0.5."""
    return {
        "accuracy": BinaryAccuracy(validate_args=False),
        "auroc": BinaryAUROC(validate_args=False),
        "average_precision": BinaryAveragePrecision(validate_args=False),
        "sensitivity": BinaryRecall(validate_args=False),
        "specificity": BinarySpecificity(validate_args=False),
    }
