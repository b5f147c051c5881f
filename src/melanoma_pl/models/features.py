"""Features of an image: what the input of the last convolution or of the last dense layer amounts to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

MOST_FEATURES = 2048  # what is learnt of them takes their square
SMALLEST = 1e-6  # of a deviation: a picture of one colour has none


def last_convolution(network: nn.Module, images: Tensor | None = None) -> nn.Module | None:
    """Return the network's last 2-D convolution, None where it has none.

    Args:
        network: Any network; a vision transformer's only convolution cuts it into patches.
        images: Float `(N, 3, S, S)`: if given, the network is run on the first, and the last convolution that ran and
            returned a map of more than 1×1 is meant: some networks (MobileNetV3) pool before their last one. Without
            it, the order is that in which the modules were defined.
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


@contextmanager
def tapped(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect features while the network runs, one float `(B, D)` a call.

    They are mean and log standard deviation over all places of each channel of the last convolution, before any
    activation, so that no channel is silent; without a convolution what the last dense layer is given. Nothing is
    collected where there is neither, or where the features are more than `MOST_FEATURES`.
    """
    collected: list[Tensor] = []
    latest: list[Tensor] = []
    handles: list[RemovableHandle] = []

    def keep(features: Tensor) -> None:
        latest[:] = [features]

    def choose(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        handles.pop(0).remove()  # this hook: looking for the layer runs the network
        layer = last_convolution(network, inputs[0])
        handles.extend(_watch_dense(network, keep) if layer is None else [_watch(layer, keep)])

    def gather(module: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        collected.extend(features for features in latest if features.shape[1] <= MOST_FEATURES)
        latest.clear()

    handles += [network.register_forward_pre_hook(choose), network.register_forward_hook(gather)]
    try:
        yield collected
    finally:
        for handle in handles:
            handle.remove()


def _watch(layer: nn.Module, keep: Callable[[Tensor], None]) -> RemovableHandle:
    """Pass on what a convolution returned, at once: an activation may overwrite its maps in place."""
    return layer.register_forward_hook(lambda layer, inputs, maps: keep(_summarise(maps)))


def _watch_dense(network: nn.Module, keep: Callable[[Tensor], None]) -> list[RemovableHandle]:
    """Pass on what each dense layer is given."""
    dense = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return [
        layer.register_forward_pre_hook(lambda layer, inputs: keep(inputs[0].detach().float().flatten(1)))
        for layer in dense
    ]


def _summarise(maps: Tensor) -> Tensor:
    """Return float `(B, 2 C)`, or `(B, C)` where that would be too many, from `(B, C, h, w)`."""
    places = maps.detach().float().permute(0, 2, 3, 1).flatten(1, 2)  # (B, h · w, C), no copy of channels-last memory
    means = places.mean(dim=1)
    if 2 * means.shape[1] > MOST_FEATURES:
        return means
    # torch.std would take four times as long
    variances = (places - means[:, None]).square_().sum(dim=1) / max(1, places.shape[1] - 1)
    return torch.cat([means, variances.sqrt().add(SMALLEST).log()], dim=1)
