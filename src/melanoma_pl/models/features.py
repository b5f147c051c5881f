"""What a network makes of a photo before its last layer decides: for any network that ends in a dense layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

MOST_FEATURES = 4096  # beyond that the last layer sees a flattened picture rather than features


def last_dense(network: nn.Module) -> nn.Linear | None:
    """Return the last dense layer, or None where there is none that sees a moderate number of features."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    return layers[-1] if layers and layers[-1].in_features <= MOST_FEATURES else None


@contextmanager
def tapped(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what the last dense layer is given while the network runs: one float `(B, D)` a call."""
    collected: list[Tensor] = []
    layer = last_dense(network)

    def keep(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        collected.append(inputs[0].detach().flatten(1))

    handle = layer.register_forward_pre_hook(keep) if layer is not None else None
    try:
        yield collected
    finally:
        if handle is not None:
            handle.remove()
