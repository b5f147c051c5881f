"""What a network makes of a photo before it decides: what its last convolution, or its last dense layer, works with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

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

    def note(layer: nn.Module, maps: Tensor) -> None:
        ran.append(layer)

    with torch.no_grad(), _watching(network, note, lambda features: None):
        network(images[:1])
    return ran[-1] if ran else None


@contextmanager
def tapped(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect features while the network runs, one float `(B, D)` a call.

    They are mean and log standard deviation over all places of each channel of the last convolution, before any
    activation, so that no channel is silent; without a convolution what the last dense layer is given. Nothing is
    collected where there is neither, or where the features are more than `MOST_FEATURES`.
    """
    collected: list[Tensor] = []
    latest: dict[str, Tensor] = {}

    def summarise(layer: nn.Module, maps: Tensor) -> None:
        latest["maps"] = _summarise(maps)  # now: an activation may overwrite the maps in place

    def keep(features: Tensor) -> None:
        latest["dense"] = features.detach().float().flatten(1)

    def gather(module: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        found = latest.get("maps", latest.get("dense"))
        if found is not None and found.shape[1] <= MOST_FEATURES:
            collected.append(found)
        latest.clear()

    with _watching(network, summarise, keep):
        handle = network.register_forward_hook(gather)
        try:
            yield collected
        finally:
            handle.remove()


def _summarise(maps: Tensor) -> Tensor:
    """Return float `(B, 2 C)`, or `(B, C)` where that would be too many, from `(B, C, h, w)`."""
    flat = maps.detach().float().flatten(2)  # (B, C, h · w)
    means = flat.mean(dim=2)
    if 2 * means.shape[1] > MOST_FEATURES:
        return means
    return torch.cat([means, flat.std(dim=2).add(SMALLEST).log()], dim=1)


@contextmanager
def _watching(
    network: nn.Module, of_maps: Callable[[nn.Module, Tensor], None], of_dense: Callable[[Tensor], None]
) -> Iterator[None]:
    """Pass on each convolution that returned a map of more than 1×1, and the input of each dense layer, as they run."""

    def after(layer: nn.Module, inputs: tuple[Any, ...], maps: Tensor) -> None:
        if maps[0, 0].numel() > 1:
            of_maps(layer, maps)

    def before(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        of_dense(inputs[0])

    handles = [layer.register_forward_hook(after) for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    handles += [layer.register_forward_pre_hook(before) for layer in network.modules() if isinstance(layer, nn.Linear)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
