"""From settings to objects: data module, classifier, callbacks, loggers."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torchmetrics import Metric

from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.data.augmentation import Augmentation
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.options import DataOptions
from melanoma_pl.data.synthetic.synthetic_images import write_images
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.models.checkpoint import entry_of, load_weights, read_checkpoint
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.models.schedules import Schedule
from melanoma_pl.models.soft_targets import SoftTargets
from melanoma_pl.models.timm_backbone import backbone_preprocessing
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import TARGET, build, check_spec

logger = logging.getLogger(__name__)


def check_classes(settings: TrainSettings) -> None:
    """Refuse classes that do not exist or lack an option, before images are read.

    Raises:
        UserError: Naming the class and the option.
    """
    check_spec(_network_spec(settings), torch.nn.Module, "model")
    check_spec(settings.optimizer.model_dump(by_alias=True), torch.optim.Optimizer, "optimizer")
    check_spec(settings.scheduler, Schedule, "scheduler")  # type: ignore[type-abstract]
    for name, spec in settings.metrics.items():
        check_spec(spec, Metric, f"metrics.{name}")  # type: ignore[type-abstract]
    trainer = {TARGET: "lightning.pytorch.Trainer", **(settings.trainer.model_extra or {})}
    check_spec(trainer, Trainer, "trainer")


def check_network(settings: TrainSettings) -> None:
    """Refuse options with which the network's class cannot be built; pretrained weights are not fetched.

    Raises:
        UserError: Naming the class and the options.
    """
    unfetched_network(settings)


def _network_spec(settings: TrainSettings) -> dict[str, Any]:
    return {key: value for key, value in settings.model.items() if key not in ("weights", "teacher")}


def _unfetched(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of the same network with random weights instead of pretrained ones."""
    return spec | ({"pretrained": False} if "pretrained" in spec else {})


def unfetched_network(settings: TrainSettings) -> torch.nn.Module:
    """Return the network with random weights; pretrained ones are not fetched."""
    return build(_unfetched(_network_spec(settings)), torch.nn.Module)


def draw_synthetic_images(settings: TrainSettings) -> None:
    """Draw the images of `data=synthetic` if they have not been drawn yet; other data need nothing."""
    chosen, drawn = settings.data, settings.data.synthetic
    if drawn is not None:
        root = _synthetic_root(settings)
        write_images(root, drawn.train, drawn.test, drawn.seed, chosen.image_size, chosen.class_names)


def _synthetic_root(settings: TrainSettings) -> Path:
    drawn = settings.data.synthetic
    assert drawn is not None
    return drawn.folder / f"{drawn.train}-{drawn.test}-seed{drawn.seed}-{settings.data.image_size}px"


def make_data(
    settings: TrainSettings, *, every_class: bool = True, whole: bool = False, processes: int = 1
) -> MoleDataModule:
    """Return the data module; synthetic images must have been drawn by `draw_synthetic_images`.

    Args:
        settings: All settings of a training.
        every_class: Whether each class needs an image.
        whole: Whether `test` is all images of the folder.
        processes: Number of processes on this machine that each load the images.
    """
    chosen = settings.data
    data = MoleDataModule(
        chosen.root if chosen.synthetic is None else _synthetic_root(settings),
        preprocessing=make_preprocessing(settings),
        augmentation=build(settings.augmentation, Augmentation),  # type: ignore[type-abstract]
        seed=settings.seed,
        every_class=every_class,
        whole=whole,
        processes=processes,
        **chosen.model_dump(include=set(DataOptions.model_fields)),
    )
    if settings.trainer.compile != "none":
        data.compile_augmentation(settings.trainer.compile)
    return data


def make_preprocessing(settings: TrainSettings) -> Preprocessing:
    """Return the one preprocessing."""
    chosen = settings.data
    if chosen.normalisation == "backbone":
        found = backbone_preprocessing(settings.model["backbone"], chosen.image_size)
    elif chosen.normalisation == "imagenet":
        found = Preprocessing.imagenet(chosen.image_size)
    else:
        found = Preprocessing(chosen.image_size)
    return replace(found, colour_constancy=chosen.colour_constancy)


def make_optimizer_spec(settings: TrainSettings, precision: str) -> dict[str, Any]:
    """Return the optimizer's spec; it is not fused where Lightning could not clip gradients otherwise."""
    spec = settings.optimizer.model_dump(by_alias=True)
    clips = (settings.trainer.model_extra or {}).get("gradient_clip_val")
    if clips and spec.get("fused") and precision.endswith("mixed"):
        logger.info("optimizer   not fused: otherwise gradients cannot be clipped in %s", precision)
        spec["fused"] = False
    return spec


def check_weights(settings: TrainSettings) -> None:
    """Refuse weights to start from that were trained with another preprocessing or other class names.

    Raises:
        UserError: If they were, or if the file cannot be read.
    """
    path = Path(settings.model["weights"])
    if path.suffix == ".npz" and path.is_file():  # of Keras, which does not store preprocessing
        return
    entry = entry_of(read_checkpoint(path), path)
    own, class_names = make_preprocessing(settings), settings.data.class_names
    if difference := entry.difference(own, class_names, any_size=True):
        if entry.class_names != tuple(class_names):
            hint = f"take its names, data.class_names=[{','.join(entry.class_names)}], or leave model.weights out"
        else:
            hint = _normalisation_of(entry.preprocessing, settings)
        raise UserError(f"model.weights={path} was trained with {difference}", hint)
    if entry.preprocessing.image_size != own.image_size:
        logger.warning(
            "weights     were trained on images of %d pixels, not of %d", entry.preprocessing.image_size, own.image_size
        )


def _normalisation_of(preprocessing: Preprocessing, settings: TrainSettings) -> str:
    """Return the setting that gives a preprocessing, or that there is none."""
    names = ("none", "imagenet", "backbone") if "backbone" in settings.model else ("none", "imagenet")
    for name in names:
        data = settings.data.model_copy(update={"normalisation": name, "image_size": preprocessing.image_size})
        if make_preprocessing(settings.model_copy(update={"data": data})).to_dict() == preprocessing.to_dict():
            return f"add data.normalisation={name}"
    return "no data.normalisation gives that: leave model.weights out"


def make_classifier(
    settings: TrainSettings,
    data: MoleDataModule,
    resumed: bool = False,
    precision: str = "32-true",
    teachers: Sequence[MelanomaClassifier] = (),
    decision: tuple[Decision, str] | None = None,
) -> MelanomaClassifier:
    """Return the classifier with its initial weights, which depend on the seed alone.

    Args:
        settings: All choices.
        data: The images.
        resumed: Whether a checkpoint's weights will take their place: none are fetched then.
        precision: That of the training, as `lightning.pytorch.Trainer` takes it.
        teachers: Classifiers whose answers it learns as well.
        decision: The decision of a cross-validation, and what it was fitted on, in words.

    Raises:
        UserError: If a parameter group names no layer, or no option of the optimizer.
    """
    torch.manual_seed(settings.seed)
    spec = _network_spec(settings)
    from_checkpoint = _unfetched(spec)
    network = build(from_checkpoint if resumed or settings.model.get("weights") else spec, torch.nn.Module)
    if settings.model.get("weights") and not resumed:
        load_weights(network, Path(settings.model["weights"]))
    targets = data.split("train").targets
    balanced = float((targets == 0).sum() / (targets == 1).sum())
    weight = settings.loss.pos_weight
    cross_validated = {"decision": decision[0], "decided_on": decision[1]} if decision else {}
    try:
        classifier = MelanomaClassifier(
            network,
            preprocessing=data.preprocessing,
            class_names=settings.data.class_names,
            optimizer=make_optimizer_spec(settings, precision),
            schedule=build(settings.scheduler, Schedule),  # type: ignore[type-abstract]
            pos_weight=balanced if weight == "balanced" else float(weight),
            oversampling=data.oversampling,
            threshold=settings.threshold.model_dump(exclude={"sweep"}),
            fit_decision=settings.data.validate_on == "validation" and not settings.data.trains_on_all,
            seed=settings.seed,
            extra_metrics={name: build(each, Metric) for name, each in settings.metrics.items()},  # type: ignore[type-abstract]
            images_note=settings.images_note,
            log_to_loggers=False,  # the epoch log does, with the epoch as the step
            soft_targets=SoftTargets(teachers=teachers, **settings.loss.model_dump(exclude={"pos_weight"})),
            layer_options=settings.parameter_groups,
            **cross_validated,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    classifier.network_spec = from_checkpoint
    if settings.trainer.channels_last:
        network.to(memory_format=torch.channels_last)
    if settings.trainer.compile != "none":
        classifier.compile_training(settings.trainer.compile)
    return classifier
