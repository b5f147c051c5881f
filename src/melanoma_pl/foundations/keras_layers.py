"""The presentation's Keras network computed with NumPy, layer by layer, and its comparison with the project's network.

Keras keeps the channels last: images are `(N, H, W, 3)`, kernels `(H, W, in, out)`, dense kernels `(in, out)`, and
`Flatten` runs over H, W and C in this order. PyTorch keeps the channels first. Nothing here uses PyTorch's layers
except `torch_outputs`; NumPy computes in float64, so that a difference shows the rounding of 32 bits alone.
"""

import importlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from melanoma_pl.foundations.display import canvas
from melanoma_pl.messages import format_table
from melanoma_pl.models.checkpoint import read_keras
from melanoma_pl.models.three_conv import ThreeConvNet, pooled_side
from melanoma_pl.report.figures.canvas import BLUE, CYCLE, ORANGE

Arrays = dict[str, NDArray[np.floating[Any]]]
Floats = NDArray[np.float64]

LISTING = """\
model = Sequential([
    Input((224, 224, 3)),
    Conv2D(16, (3, 3), activation="relu"),
    MaxPooling2D((2, 2)),
    Conv2D(64, (3, 3), activation="relu"),
    MaxPooling2D((2, 2)),
    Conv2D(64, (3, 3), activation="relu"),
    MaxPooling2D((2, 2)),
    Flatten(),
    Dense(100, activation="relu"),
    Dropout(0.2),
    Dense(1, activation="sigmoid"),
])
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
"""
"""The presentation's network in Keras."""

CONVOLUTIONS, DENSE = ("conv2d", "conv2d_1", "conv2d_2"), ("dense", "dense_1")
"""Keras's names of the layers with weights, in their order."""
EPSILON = 1e-7  # of Adam in Keras
BETAS = (0.9, 0.999)


def glorot_weights(image_size: int, channels: Sequence[int] = (16, 64, 64), hidden: int = 100, seed: int = 0) -> Arrays:
    """Return initial weights as Keras draws them: kernels uniform in ±√(6 / (fan in + fan out)), biases 0.

    Args:
        image_size: Side of the images, pixels.
        channels: Output channels of the three convolutions.
        hidden: Neurons of the first dense layer.
        seed: Seed of the kernels.

    Returns:
        ``00_conv2d.kernel``, ``01_conv2d.bias``, …, ``09_dense_1.bias``, float32, as `model.weights=<file>.npz` reads
        them.
    """
    generator = np.random.default_rng(seed)
    before = (3, *channels)
    shapes = [(3, 3, inputs, outputs) for inputs, outputs in zip(before, channels, strict=False)]
    shapes = [*shapes, (pooled_side(image_size) ** 2 * channels[-1], hidden), (hidden, 1)]  # type: ignore[list-item]
    weights: Arrays = {}
    for layer, shape in zip((*CONVOLUTIONS, *DENSE), shapes, strict=True):
        window = int(np.prod(shape[:-2]))
        limit = np.sqrt(6 / (window * (shape[-2] + shape[-1])))
        weights[f"{len(weights):02d}_{layer}.kernel"] = generator.uniform(-limit, limit, shape).astype(np.float32)
        weights[f"{len(weights):02d}_{layer}.bias"] = np.zeros(shape[-1], dtype=np.float32)
    return weights


def keras_outputs(weights: Mapping[str, NDArray[Any]], images: NDArray[np.floating[Any]]) -> Arrays:
    """Return the output of each layer of the listing, computed with NumPy in float64.

    Args:
        weights: As `glorot_weights` returns them.
        images: `(N, S, S, 3)`, divided by 255.

    Returns:
        Keras's name of each layer → its output after the activation, channels last; dropout does nothing here.
    """
    values = [np.asarray(value, dtype=np.float64) for value in weights.values()]
    outputs: Arrays = {}
    here: Floats = np.asarray(images, dtype=np.float64)
    for number, layer in enumerate(CONVOLUTIONS):
        here = outputs[layer] = np.maximum(convolve(here, values[2 * number], values[2 * number + 1]), 0)
        here = outputs[layer.replace("conv2d", "max_pooling2d")] = pool(here)
    here = outputs["flatten"] = here.reshape(len(here), -1)  # H, then W, then C
    here = outputs["dense"] = np.maximum(here @ values[6] + values[7], 0)
    outputs["dense_1"] = 1 / (1 + np.exp(-(here @ values[8] + values[9])))
    return outputs


def convolve(images: Floats, kernel: Floats, bias: Floats) -> Floats:
    """Return a valid convolution, `(N, H − K + 1, W − K + 1, D)`, of images `(N, H, W, C)`, kernel `(K, K, C, D)`."""
    windows = sliding_window_view(images, kernel.shape[:2], axis=(1, 2))  # (N, h, w, C, K, K)
    result: Floats = np.tensordot(windows, kernel, axes=((4, 5, 3), (0, 1, 2))) + bias
    return result


def pool(maps: Floats) -> Floats:
    """Return the largest value of each 2×2 window of maps `(N, H, W, C)`; an odd last row or column is left out."""
    return np.asarray(_windows(maps).max(axis=(2, 4)))


def keras_gradients(
    weights: Mapping[str, NDArray[Any]], images: NDArray[np.floating[Any]], targets: NDArray[np.integer[Any]]
) -> Arrays:
    """Return the gradient of the mean binary cross-entropy for each weight, by back-propagation through the listing.

    Dropout is left out: Keras and PyTorch draw different random numbers.

    Args:
        weights: As `glorot_weights` returns them.
        images: `(N, S, S, 3)`, divided by 255.
        targets: `(N,)`, 1 for malignant.

    Returns:
        Name of each weight → float64 in its shape.
    """
    values = [np.asarray(value, dtype=np.float64) for value in weights.values()]
    outputs = keras_outputs(weights, images)
    gradients: list[NDArray[Any]] = [np.empty(0)] * 10
    error = (outputs["dense_1"] - targets[:, None]) / len(targets)  # of the sum before the sigmoid
    gradients[8], gradients[9] = outputs["dense"].T @ error, error.sum(axis=0)
    error = error @ values[8].T * (outputs["dense"] > 0)
    gradients[6], gradients[7] = outputs["flatten"].T @ error, error.sum(axis=0)
    error = (error @ values[6].T).reshape(outputs["max_pooling2d_2"].shape)
    inputs = [np.asarray(images, dtype=np.float64), outputs["max_pooling2d"], outputs["max_pooling2d_1"]]
    for number in (2, 1, 0):
        maps, kernel = outputs[CONVOLUTIONS[number]], values[2 * number]
        error = _unpool(error, np.asarray(maps, dtype=np.float64)) * (maps > 0)
        windows = sliding_window_view(inputs[number], error.shape[1:3], axis=(1, 2))  # (N, K, K, C, h, w)
        gradients[2 * number] = np.einsum("nijchw,nhwd->ijcd", windows, error, optimize=True)
        gradients[2 * number + 1] = error.sum(axis=(0, 1, 2))
        padded = np.pad(error, ((0, 0), (2, 2), (2, 2), (0, 0)))
        turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        error = convolve(padded, turned, np.zeros(kernel.shape[2])) if number else error
    return dict(zip(weights, gradients, strict=True))


def keras_adam(weights: Mapping[str, NDArray[Any]], gradients: Mapping[str, NDArray[Any]], lr: float = 1e-3) -> Arrays:
    """Return the weights after the first step of Keras's Adam.

    Keras adds epsilon to √v before it corrects v for its start at 0 (the "epsilon hat" of Kingma and Ba, section 2);
    PyTorch adds it afterwards. At step t, PyTorch's `eps` does the same as Keras's if it is larger by
    1 / √(1 − β₂ᵗ), at the first step by 31.6.

    Args:
        weights: float arrays by name.
        gradients: Their gradients.
        lr: Learning rate.
    """
    first, second = BETAS
    rate = lr * np.sqrt(1 - second) / (1 - first)
    return {
        name: value - rate * (1 - first) * gradients[name] / (np.sqrt(1 - second) * np.abs(gradients[name]) + EPSILON)
        for name, value in weights.items()
    }


def load_into(network: ThreeConvNet, weights: Mapping[str, NDArray[Any]], file: Path) -> None:
    """Write weights to a `.npz` file in Keras's layout, and read them into a network as `model.weights` does."""
    np.savez(file, **{name: np.asarray(value) for name, value in weights.items()})  # type: ignore[arg-type]
    network.load_state_dict(read_keras(file, network))


def torch_outputs(network: ThreeConvNet, images: Tensor) -> Arrays:
    """Return the output of each layer of the project's network under Keras's names and in Keras's layout.

    Args:
        network: In evaluation mode.
        images: float32 `(N, 3, S, S)`, divided by 255.

    Returns:
        As `keras_outputs`, float32.
    """
    outputs: Arrays = {}
    here = images
    with torch.inference_mode():
        for number, layer in enumerate(CONVOLUTIONS, 1):
            here = torch.relu(network.get_submodule(f"conv_{number}")(here))
            outputs[layer] = _channels_last(here)
            here = network.get_submodule(f"pool_{number}")(here)
            outputs[layer.replace("conv2d", "max_pooling2d")] = _channels_last(here)
        outputs["flatten"] = _channels_last(here).reshape(len(images), -1)
        here = torch.relu(network.get_submodule("dense_1")(network.flatten(here)))
        outputs["dense"] = here.numpy()
        outputs["dense_1"] = torch.sigmoid(network.get_submodule("dense_2")(here)).numpy()
    return outputs


def outputs_of_keras_itself(weights: Mapping[str, NDArray[Any]], images: NDArray[np.floating[Any]]) -> Arrays | None:
    """Return what `keras_outputs` returns, computed by Keras; None if it is not installed.

    Without TensorFlow, Keras computes with PyTorch, if the environment variable ``KERAS_BACKEND`` does not say
    otherwise.
    """
    if importlib.util.find_spec("keras") is None:
        return None
    if importlib.util.find_spec("tensorflow") is None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    keras: Any = importlib.import_module("keras")
    layers = keras.layers
    names = keras_outputs(weights, images[:1]).keys()
    kernels = [value for name, value in weights.items() if name.endswith("kernel")]
    steps = [keras.Input(images.shape[1:])]
    for kernel in kernels[:3]:
        steps += [layers.Conv2D(kernel.shape[-1], (3, 3), activation="relu"), layers.MaxPooling2D((2, 2))]
    steps += [layers.Flatten(), layers.Dense(kernels[3].shape[-1], activation="relu"), layers.Dropout(0.2)]
    model = keras.Sequential([*steps, layers.Dense(1, activation="sigmoid")])
    model.set_weights(list(weights.values()))
    seen = [layer for layer in model.layers if not isinstance(layer, layers.Dropout)]
    probe = keras.Model(model.inputs, [layer.output for layer in seen])
    answers = probe.predict(np.asarray(images, dtype=np.float32), verbose=0)
    return dict(zip(names, map(np.asarray, answers), strict=True))


def largest_differences(keras: Mapping[str, NDArray[Any]], ours: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """Return the largest absolute difference of each named array, which must agree in shape."""
    for name, value in keras.items():
        if value.shape != ours[name].shape:
            raise ValueError(f"{name} is {value.shape} in Keras and {ours[name].shape} here")
    return {name: float(np.abs(value - ours[name]).max()) for name, value in keras.items()}


def comparison_table(
    weights: Mapping[str, NDArray[Any]], keras: Mapping[str, NDArray[Any]], ours: Mapping[str, NDArray[Any]]
) -> str:
    """Return a table of the layers: both shapes, parameters, largest value and largest difference."""
    rows: list[tuple[str, ...]] = [
        ("Keras layer", "Keras shape", "PyTorch shape", "parameters", "largest value", "largest difference")
    ]
    total = 0
    for layer, difference in largest_differences(keras, ours).items():
        count = sum(value.size for name, value in weights.items() if name[3:].partition(".")[0] == layer)
        total += count
        shape = keras[layer].shape[1:]
        turned = (shape[-1], *shape[:-1])
        texts = (" × ".join(map(str, each)) for each in (shape, turned))
        rows.append((layer, *texts, f"{count:,}", f"{np.abs(keras[layer]).max():.3f}", f"{difference:.0e}"))
    rows.append(("total", "", "", f"{total:,}", "", ""))
    return "\n".join(format_table(rows))


def torch_step(
    network: ThreeConvNet, images: Tensor, targets: Tensor, eps: float = 1e-7, lr: float = 1e-3
) -> tuple[float, Arrays]:
    """Take one step of PyTorch's Adam on the mean binary cross-entropy, without dropout.

    Args:
        network: Its weights change.
        images: float32 `(N, 3, S, S)`, divided by 255.
        targets: `(N,)`, 1 for malignant.
        eps: PyTorch's epsilon.
        lr: Learning rate.

    Returns:
        The loss before the step, and the new weights in Keras's layout and order, without Keras's names.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS, eps=eps)
    logits = network.eval()(images)[:, 0]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets.float())
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach()), in_keras_layout(network)


def in_keras_layout(network: ThreeConvNet) -> Arrays:
    """Return a network's weights in Keras's layout, named and ordered as `glorot_weights` names them."""
    found: Arrays = {}
    state = {name: value.numpy().copy() for name, value in network.state_dict().items()}
    side = round((network.dense_1.in_features / network.conv_3.out_channels) ** 0.5)
    ours = ("conv_1", "conv_2", "conv_3", "dense_1", "dense_2")
    for keras, layer in zip((*CONVOLUTIONS, *DENSE), ours, strict=True):
        kernel = state[f"{layer}.weight"]
        if layer == "dense_1":  # (out, C·H·W) → (out, H·W·C)
            kernel = kernel.reshape(len(kernel), -1, side, side).transpose(0, 2, 3, 1).reshape(len(kernel), -1)
        found[f"{len(found):02d}_{keras}.kernel"] = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
        found[f"{len(found):02d}_{keras}.bias"] = state[f"{layer}.bias"]
    return found


def epsilons_figure(choices: Mapping[str, float], steps: int) -> Figure:
    """Draw the ratio of two epsilons of the same effect, Keras's to PyTorch's, and the first step for each gradient.

    Args:
        choices: Title → PyTorch's epsilon.
        steps: Number of steps of a training to shade.
    """
    figure, (left, right) = canvas(2, height=3.1)
    numbers = np.arange(1, 5001)
    left.plot(numbers, 1 / np.sqrt(1 - BETAS[1] ** numbers), color=BLUE)
    left.axvspan(1, steps, color=ORANGE, alpha=0.25, label=f"the presentation's {steps} steps")
    left.set(title="PyTorch's epsilon ÷ Keras's, for the same step", xlabel="step", xscale="log", yscale="log")
    left.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    left.minorticks_off()
    left.legend(fontsize=9)
    sizes = np.geomspace(1e-9, 1e-3, 200)
    for (title, epsilon), color in zip(choices.items(), CYCLE, strict=False):
        right.plot(sizes, sizes / (sizes + epsilon), color=color, label=title)
    right.set(title="first step ÷ learning rate", xlabel="size of the gradient", xscale="log")
    right.legend(fontsize=8, loc="lower right")
    return figure


def initial_weights_figure(weights: Mapping[str, Mapping[str, NDArray[Any]]], kernels: Sequence[str]) -> Figure:
    """Draw the distributions of initial weights, one field a kernel.

    Args:
        weights: Title of a library → its weights by name.
        kernels: Names of kernels to draw.
    """
    figure, axes = canvas(len(kernels))
    for ax, name in zip(axes, kernels, strict=True):
        limit = 1.05 * max(float(np.abs(each[name]).max()) for each in weights.values())
        for (title, each), color in zip(weights.items(), CYCLE, strict=False):
            style: dict[str, Any] = {"bins": 30, "range": (-limit, limit), "density": True, "alpha": 0.55}
            ax.hist(each[name].ravel(), color=color, label=title, **style)
        ax.set(title=name[3:], xlabel="initial weight")
        ax.set_yticks([])
    axes[0].set_ylabel("density")
    axes[-1].legend(fontsize=9)
    return figure


def _channels_last(maps: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(maps.permute(0, 2, 3, 1).numpy())


def _windows(maps: Floats) -> Floats:
    """Return maps `(N, H, W, C)` as 2×2 windows, `(N, H // 2, 2, W // 2, 2, C)`."""
    count, height, width, channels = maps.shape
    kept = maps[:, : height // 2 * 2, : width // 2 * 2]
    return kept.reshape(count, height // 2, 2, width // 2, 2, channels)


def _unpool(error: Floats, maps: Floats) -> Floats:
    """Return the gradient of maps `(N, H, W, C)` from that of their pooling: it goes to the largest of each window."""
    height, width = error.shape[1:3]
    windows = _windows(maps).transpose(0, 1, 3, 5, 2, 4).reshape(*error.shape, 4)
    is_first = np.arange(4) == windows.argmax(axis=-1)[..., None]
    spread = (is_first * error[..., None]).reshape(*error.shape, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    result = np.zeros_like(maps)
    result[:, : 2 * height, : 2 * width] = spread.reshape(len(maps), 2 * height, 2 * width, -1)
    return result
