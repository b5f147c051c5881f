"""Read checkpoints of this project, and weights of networks trained in Keras."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from melanoma_pl.errors import UserError
from melanoma_pl.models.three_conv import ThreeConvNet

CHECKPOINT_KEY = "melanoma_pl"  # holds what prediction needs beside the weights, as plain values
CHECKPOINT_FORMAT = 2
NETWORK_PREFIX = "network."


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this project without running any code in it.

    Raises:
        UserError: If it is missing, truncated, or was not written by this project.
    """
    if not path.is_file():
        raise UserError(f"the checkpoint {path} does not exist", "a run keeps its own in <run folder>/checkpoints")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of another kind can fail in any way, even with an IndexError of the unpickler
        reason = str(error).split(". ")[0].splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the checkpoint {path} cannot be read: it is truncated or not a checkpoint ({reason[:100]})",
            "take another one: best.ckpt and last.ckpt of a run are separate files",
        ) from error
    if not isinstance(checkpoint, dict) or CHECKPOINT_KEY not in checkpoint:
        raise UserError(f"{path} was not written by melanoma-train", "give best.ckpt or last.ckpt of a run")
    saved = checkpoint[CHECKPOINT_KEY]
    if not isinstance(saved, dict) or saved.get("format") != CHECKPOINT_FORMAT:
        version = saved.get("version", "") if isinstance(saved, dict) else ""
        raise UserError(
            f"{path} was written by melanoma_pl {version}, whose checkpoints this version does not read",
            "train anew, or use that version",
        )
    return checkpoint


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with the weights of an earlier run's checkpoint or of a Keras `.npz`.

    Raises:
        UserError: If the file cannot be read or its weights do not fit the network.
    """
    state = read_keras(path, network) if path.suffix == ".npz" else network_state(read_checkpoint(path))
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if expected != found:
        differing = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        first = differing[0]
        raise UserError(
            f"model.weights={path} does not fit the network: {first} is {found.get(first, 'missing')} there and "
            f"{expected.get(first, 'missing')} here",
            "choose the model and the data.image_size that it was trained with",
        )
    network.load_state_dict(state)


def network_state(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of the network in a checkpoint, by name."""
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
    if len(arrays) != 2 * len(layers):
        raise UserError(
            f"model.weights={path} holds {len(arrays)} arrays",
            "it should hold a kernel and a bias of each of five layers",
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
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"model.weights={path} is not an .npz archive of arrays ({error})") from error


def _turn(kernel: NDArray[np.float32], layer: str, network: ThreeConvNet) -> NDArray[np.float32]:
    if layer.startswith("conv"):
        return kernel.transpose(3, 2, 0, 1)
    if layer == "dense_1":
        channels = network.conv_3.out_channels
        side = round((len(kernel) / channels) ** 0.5)
        if side * side * channels == len(kernel):
            return kernel.reshape(side, side, channels, -1).transpose(3, 2, 0, 1).reshape(kernel.shape[1], -1)
    return kernel.T
