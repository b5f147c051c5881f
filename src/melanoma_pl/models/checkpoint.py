"""Read checkpoints of this project, and weights of networks trained in Keras."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.decision import choose_threshold
from melanoma_pl.models.three_conv import ThreeConvNet
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.specs import build, check_targets

CHECKPOINT_KEY = "melanoma_pl"  # holds what prediction needs beside the weights, as plain values
FORMER_OPTIONS = ("blockwise",)  # of networks
PREDICTION_KEY = "prediction_state_dict"  # the network that predicts, where it is not the one that is trained
CHECKPOINT_FORMAT = 2
NETWORK_PREFIX = "network."
OF_TRAINING: tuple[tuple[str | int, ...], ...] = (  # parts without which a training cannot go on
    ("epoch",),
    ("global_step",),
    ("callbacks", "RunCheckpoints", "max_epochs"),
    ("callbacks", "RunCheckpoints", "ended"),
    ("loops", "fit_loop", "epoch_progress", "current", "processed"),
    ("loops", "fit_loop", "epoch_loop.batch_progress", "current"),
    ("optimizer_states", 0, "state"),
    ("optimizer_states", 0, "param_groups", 0, "params"),
    ("lr_schedulers", 0, "last_epoch"),
)
OTHER_FILE = "take another one: best.ckpt and last.ckpt of a run are separate files"


def _without_former_options(spec: dict[str, Any]) -> dict[str, Any]:
    """Leave out what networks no longer take, because it changed nothing in what they compute."""
    return {name: value for name, value in spec.items() if name not in FORMER_OPTIONS}


def _check_rule(rule: dict[str, Any]) -> dict[str, Any]:
    try:
        choose_threshold([0.5], [1], **rule)
    except TypeError as error:
        raise ValueError(str(error)) from error
    return rule


def _check_names(names: tuple[str, str]) -> tuple[str, str]:
    if not all(names) or names[0] == names[1]:
        raise ValueError("they should be two different names")
    return names


class CheckpointEntry(BaseModel):
    """Values that prediction needs beside the weights; a checkpoint holds them under `CHECKPOINT_KEY`.

    Attributes:
        network: Spec of the network; empty if a notebook gave an object without a spec.
        preprocessing: Turns images into the network's input.
        class_names: Negative class, positive class.
        temperature: Divisor of the logits.
        threshold: Probability from which on an image is called malignant.
        is_decided: Whether temperature and threshold were fitted with these weights, or for them as `decided_on` says.
        decided_on: The out-of-fold predictions that they were fitted on, in words; empty for validation images.
        threshold_rule: Arguments of `evaluation.choose_threshold`.
        pos_weight: Weight of a malignant image in the loss.
        oversampling: How many times as frequent malignant images were in training as among its images.
        images_note: Remark on the training images, such as "synthetic".
    """

    model_config = ConfigDict(frozen=True)

    network: Annotated[dict[str, Any], AfterValidator(_without_former_options)]
    preprocessing: Preprocessing
    class_names: Annotated[tuple[str, str], AfterValidator(_check_names)]
    temperature: float = Field(gt=0, allow_inf_nan=False)
    threshold: float = Field(ge=0, le=1, allow_inf_nan=False)
    is_decided: bool
    decided_on: str = ""
    threshold_rule: Annotated[dict[str, Any], AfterValidator(_check_rule)]
    pos_weight: float = Field(gt=0, allow_inf_nan=False)
    oversampling: float = Field(1.0, gt=0, allow_inf_nan=False)
    images_note: str

    def difference(self, preprocessing: Preprocessing, class_names: Sequence[str], *, any_size: bool = False) -> str:
        """Return in words how preprocessing or class names differ from these; empty if they do not.

        Args:
            preprocessing: The preprocessing that the weights are to be used with.
            class_names: Negative class, positive class.
            any_size: Whether another image size is accepted.
        """
        if tuple(class_names) != self.class_names:
            return f"class_names={list(self.class_names)} instead of {list(class_names)}"
        size = self.preprocessing.image_size if any_size else preprocessing.image_size
        return self.preprocessing.difference(replace(preprocessing, image_size=size))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project without running any code in it.

    Returns:
        The checkpoint, with weights by name under `state_dict`; `entry_of` returns its other values.

    Raises:
        UserError: If it is missing, truncated, damaged, or was not written by this project.
    """
    if not path.is_file():
        raise UserError(f"the checkpoint {path} does not exist", "a run keeps its own in <run folder>/checkpoints")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind can fail in any way, even with an IndexError of the unpickler
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the checkpoint {path} cannot be read: it is truncated or not a checkpoint ({reason[:100]})",
            OTHER_FILE,
        ) from error
    if not isinstance(checkpoint, dict) or CHECKPOINT_KEY not in checkpoint:
        raise UserError(f"{path} was not written by melanoma-train", "give best.ckpt or last.ckpt of a run")
    entry_of(checkpoint, path)
    for state in (checkpoint.get("state_dict"), checkpoint.get(PREDICTION_KEY, {})):
        if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
            raise UserError(f"the checkpoint {path} is damaged (it lacks weights)", OTHER_FILE)
    return checkpoint


def read_training(path: Path) -> dict[str, Any]:
    """Read a checkpoint that a training can go on from.

    Raises:
        UserError: If it cannot be read, or lacks a part of the training's state.
    """
    checkpoint = read_checkpoint(path)
    for keys in OF_TRAINING:
        part: Any = checkpoint
        try:
            for key in keys:
                part = part[key]
        except (LookupError, TypeError) as error:
            raise UserError(
                f"no training can go on from {path}, which lacks {'.'.join(map(str, keys))}",
                f"start a new run from its weights: model.weights={path}",
            ) from error
    return checkpoint


def entry_of(checkpoint: Mapping[str, Any], path: Path | str = "") -> CheckpointEntry:
    """Return what a checkpoint holds for prediction beside the weights.

    Args:
        checkpoint: The content of the file.
        path: The file, for errors.

    Raises:
        UserError: If something is missing, not allowed, or of another version.
    """
    saved = checkpoint.get(CHECKPOINT_KEY)
    if not isinstance(saved, dict) or saved.get("format") != CHECKPOINT_FORMAT:
        version = saved.get("version", "") if isinstance(saved, dict) else ""
        raise UserError(
            f"{path} was written by melanoma_pl {version}, whose checkpoints this version does not read",
            "train anew, or use that version",
        )
    try:
        return CheckpointEntry.model_validate(saved)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, reason = ".".join(map(str, first["loc"])), first["msg"].replace("Input", "it")
        if first["type"] == "missing":
            told = f"{key} is missing"
        elif first["type"] == "value_error":
            told = f"{key}: {first['ctx']['error']}"
        else:
            told = f"{key}={first['input']!r:.60}: {reason}"
        raise UserError(f"the checkpoint {path} is damaged ({told})", OTHER_FILE) from error


def load_weights(network: nn.Module, path: Path) -> CheckpointEntry | None:
    """Fill a network with the weights of an earlier run's checkpoint or of a Keras `.npz`.

    Returns:
        What the checkpoint holds beside the weights; None for Keras weights.

    Raises:
        UserError: If the file cannot be read or its weights do not fit the network.
    """
    entry, checkpoint = None, None
    if path.suffix == ".npz":
        state = read_keras(path, network)
    else:
        checkpoint = read_checkpoint(path)
        state, entry = network_state(checkpoint), entry_of(checkpoint, path)
    if difference := first_difference(network, state):
        raise UserError(
            f"model.weights={path} does not fit the network: {difference}",
            "choose the model and the data.image_size that it was trained with",
        )
    network.load_state_dict(state)
    return entry


def load_network(
    path: Path, trust: Collection[str] = (), network: nn.Module | None = None
) -> tuple[nn.Module, CheckpointEntry]:
    """Return the network of a checkpoint with its weights, and what the checkpoint holds beside them.

    Args:
        path: A checkpoint of this project.
        trust: Modules that may be imported for the network's class, beside those of this package and its libraries.
        network: Takes the weights if the checkpoint was made from a network without a spec.

    Raises:
        UserError: If the file cannot be read, is damaged, or its network cannot be built or is not trusted.
    """
    checkpoint = read_checkpoint(path)
    entry, state = entry_of(checkpoint, path), network_state(checkpoint)
    if network is None:
        check_targets(entry.network, trust, f"the checkpoint {path}")
        network = build_to_fill(entry.network, state, path)
    if difference := first_difference(network, state):
        raise UserError(f"the checkpoint {path} is damaged ({difference})", OTHER_FILE)
    network.load_state_dict(state)
    return network, entry


def build_to_fill(spec: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Build the network that a checkpoint describes, to be filled with its weights.

    A damaged description may ask for more memory than there is, so the shapes are compared first, without memory.

    Raises:
        UserError: If the network cannot be built, or the weights do not fit it.
    """
    try:
        with torch.device("meta"):
            difference = first_difference(build(spec, nn.Module), state)
    except Exception:  # some networks cannot be built without memory; the reasons of all others come again below
        difference = ""
    if difference:
        raise UserError(f"the checkpoint {path} is damaged ({difference})", OTHER_FILE)
    return build(spec, nn.Module)


def first_difference(network: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Return the first weight whose shape differs between a file and a network, in words; empty if all fit."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            shape, own = (shapes.get(name, "missing") for shapes in (found, expected))
            return f"{name} is {shape} in the file and {own} in the network"
    return ""


def network_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of the network that predicts, by name: the averaged or folded ones if there are any."""
    return dict(checkpoint.get(PREDICTION_KEY) or trained_state(checkpoint))


def for_prediction(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a checkpoint that prediction needs, without what only a training can use."""
    kept = {key: checkpoint[key] for key in ("epoch", "global_step", "pytorch-lightning_version", CHECKPOINT_KEY)}
    return kept | {"state_dict": {NETWORK_PREFIX + name: value for name, value in network_state(checkpoint).items()}}


def trained_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of the network that is trained, by name."""
    return {
        name.removeprefix(NETWORK_PREFIX): value
        for name, value in checkpoint["state_dict"].items()
        if name.startswith(NETWORK_PREFIX)
    }


def read_keras(path: Path, network: nn.Module) -> dict[str, Tensor]:
    """Read the original's weights from Keras: a kernel and a bias a layer, in the order of the layers.

    Keras stores kernels as H×W×in×out and in×out, and flattens maps as H×W×C where PyTorch flattens C×H×W; the rows of
    the first dense kernel are reordered accordingly.

    Raises:
        UserError: If the file is not such an archive.
    """
    if not isinstance(network, ThreeConvNet):
        raise UserError(f"model.weights={path} holds Keras weights", "they fit model=three_conv only")
    layers = ["conv_1", "conv_2", "conv_3", "dense_1", "dense_2"]
    arrays = _read_arrays(path)
    sizes = [array.ndim for array in arrays]
    if sizes != [4, 1, 4, 1, 4, 1, 2, 1, 2, 1]:
        raise UserError(
            f"model.weights={path} holds {len(arrays)} arrays, with {sizes} dimensions",
            "it should hold a kernel and a bias of each of five layers, in their order",
        )
    state: dict[str, Tensor] = {}
    for layer, kernel, bias in zip(layers, arrays[::2], arrays[1::2], strict=True):
        state[f"{layer}.weight"] = torch.from_numpy(np.ascontiguousarray(_turn(kernel, layer, network)))
        state[f"{layer}.bias"] = torch.from_numpy(bias)
    return state


def _read_arrays(path: Path) -> list[NDArray[np.float32]]:
    if not path.is_file():
        raise UserError(f"model.weights={path} does not exist")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return [archive[name].astype(np.float32) for name in sorted(archive.files)]
    except Exception as error:  # a file of another kind can fail in any way
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise UserError(f"model.weights={path} is not an .npz archive of arrays ({reason})") from error


def _turn(kernel: NDArray[np.float32], layer: str, network: ThreeConvNet) -> NDArray[np.float32]:
    if layer.startswith("conv"):
        return kernel.transpose(3, 2, 0, 1)
    if layer == "dense_1":
        channels = network.conv_3.out_channels
        side = round((len(kernel) / channels) ** 0.5)
        if side * side * channels == len(kernel):
            return kernel.reshape(side, side, channels, -1).transpose(3, 2, 0, 1).reshape(kernel.shape[1], -1)
    return kernel.T
