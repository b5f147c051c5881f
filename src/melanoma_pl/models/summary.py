"""The table that Keras prints of a network: each layer's output shape and parameters."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle


def summarize(network: nn.Module, image_size: int) -> str:
    """Return a table with one row a layer.

    Args:
        network: Takes float `(N, 3, S, S)`.
        image_size: Side S of its input, in pixels.
    """
    rows: list[tuple[str, str, int]] = []
    handles: list[RemovableHandle] = []
    for name, layer in network.named_modules():
        if not list(layer.children()) and name:
            handles.append(layer.register_forward_hook(_recorder(f"{name} ({type(layer).__name__})", rows)))
    was_training = network.training
    device = next(network.parameters()).device
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
    network.train(was_training)
    for handle in handles:
        handle.remove()
    total = sum(parameter.numel() for parameter in network.parameters())
    return _table(rows, total)


def _recorder(title: str, rows: list[tuple[str, str, int]]) -> Any:
    def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in layer.parameters())
        rows.append((title, " × ".join(str(size) for size in output.shape[1:]), parameters))

    return record


def _table(rows: list[tuple[str, str, int]], total: int) -> str:
    width = max(len(title) for title, _, _ in rows)
    lines = [f"{'layer':<{width}}  {'output':>16}  {'parameters':>12}"]
    lines += [f"{title:<{width}}  {shape:>16}  {parameters:>12,}" for title, shape, parameters in rows]
    lines.append(f"{'in all':<{width}}  {'':>16}  {total:>12,}")
    return "\n".join(lines)
