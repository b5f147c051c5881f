"""Features of an image: what the input of the last convolution or of the last dense layer amounts to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

MOST_FEATURES = 2048  # their covariance matrix has the square of this size
SMALLEST = 1e-6  # added to a standard deviation, which is zero for an image of one colour


def last_convolution(network: nn.Module, images: Tensor | None = None) -> nn.Module | None:
    """Return the network's last 2-D convolution, or None if it has none.

    Args:
        network: Any network; the only convolution of a vision transformer cuts the image into patches.
        images: Float `(N, 3, S, S)`, or None. With images, the network runs on the first of them, and the last
            convolution to return a map larger than 1×1 counts, since some networks (MobileNetV3) pool before their last
            one. Without images, the order in which the modules were defined counts.
    """
    if images is None:
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        return convolutions[-1] if convolutions else None
    ran: list[nn.Module] = []

    def note(layer: nn.Module, inputs: tuple[Any, ...], maps: Tensor) -> None:
        if maps[0, 0].numel() > 1:
            ran.append(layer)

    handles = [layer.register_forward_hook(note) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    try:
        with torch.no_grad():
            network(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    return ran[-1] if ran else None


class _Latest(threading.local):
    """The latest features of the network's run in this thread."""

    features: Tensor | None = None


@contextmanager
def tapped(network: nn.Module, collect: Callable[[Tensor], object] | None = None) -> Iterator[list[Tensor]]:
    """Collect features while the network runs: one float tensor `(B, D)` a call.

    The features are the mean and the log standard deviation of each channel of the last convolution over all pixels,
    before any activation, so that no channel is silent; for a network without a convolution they are the inputs of the
    last dense layer. A network with neither, or with more than `MOST_FEATURES` features, yields none.

    Args:
        network: Any network, which several threads may run.
        collect: Called with the features instead, in the thread that ran the network.
    """
    collected: list[Tensor] = []
    latest, is_chosen, lock = _Latest(), False, threading.RLock()
    handles: list[RemovableHandle] = []

    def keep(features: Tensor) -> None:
        latest.features = features

    def choose(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal is_chosen
        with lock:  # other threads wait here until the layer is known; looking for it runs the network in this one
            if not is_chosen:
                is_chosen = True
                handles.extend(tap(network, inputs[0], keep))
                handles.pop(0).remove()  # this hook itself

    def gather(module: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        if latest.features is not None and latest.features.shape[1] <= MOST_FEATURES:
            (collect or collected.append)(latest.features)
        latest.features = None

    handles += [network.register_forward_pre_hook(choose), network.register_forward_hook(gather)]
    try:
        yield collected
    finally:
        for handle in handles:
            handle.remove()


def tap(network: nn.Module, images: Tensor, keep: Callable[[Tensor], None]) -> list[RemovableHandle]:
    """Let a network call `keep` with its features, float `(B, D)`, as of `tapped`, whenever it runs.

    Args:
        network: Any network.
        images: Float `(N, 3, S, S)`, to find the layer with; the network runs on the first of them.
        keep: Called with the features; without a convolution at each dense layer: the last counts.
    """
    layer = last_convolution(network, images)
    return _watch_dense(network, keep) if layer is None else [_watch(layer, keep)]


def _watch(layer: nn.Module, keep: Callable[[Tensor], None]) -> RemovableHandle:
    """Summarise the output of a convolution at once, because an activation may overwrite it in place."""
    return layer.register_forward_hook(lambda layer, inputs, maps: keep(_summarise(maps)))


def _watch_dense(network: nn.Module, keep: Callable[[Tensor], None]) -> list[RemovableHandle]:
    """Keep the input of each dense layer."""
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return [
        layer.register_forward_pre_hook(lambda layer, inputs: keep(inputs[0].detach().float().flatten(1)))
        for layer in dense
    ]


def _summarise(maps: Tensor) -> Tensor:
    """Return float `(B, 2 C)`, or `(B, C)` if that would be too many features, from maps `(B, C, h, w)`."""
    pixels = (
        maps.detach().float().permute(0, 2, 3, 1).flatten(1, 2)
    )  # (B, h · w, C), without a copy of channels-last memory
    means = pixels.mean(dim=1)
    if 2 * means.shape[1] > MOST_FEATURES:
        return means
    # torch.std takes four times as long
    variances = (pixels - means[:, None]).square_().sum(dim=1) / max(1, pixels.shape[1] - 1)
    return torch.cat([means, variances.sqrt().add(SMALLEST).log()], dim=1)
