"""Summarise a network as Keras does: output shape and number of parameters of each layer."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

MOST_ROWS = 40  # a longer table is hard to read


def summarize(network: nn.Module, image_size: int) -> str:
    """Return a table with one row a layer, or one row a block for a network of very many layers.

    Args:
        network: Takes float `(N, 3, S, S)`.
        image_size: Side S of its input, in pixels.
    """
    rows: dict[str, tuple[str, int]] = {}
    chosen = _choose(network)
    handles = [layer.register_forward_hook(_recorder(title, rows)) for title, layer in chosen.items()]
    modes = {module: module.training for module in network.modules()}
    device = next(network.parameters()).device
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 3, image_size, image_size, device=device))
    for module, was_training in modes.items():
        module.training = was_training
    for handle in handles:
        handle.remove()
    total = sum(parameter.numel() for parameter in network.parameters())
    if rest := total - sum(parameters for _, parameters in rows.values()):
        rows["other parameters"] = ("", rest)
    return _table(rows, total)


def _choose(network: nn.Module) -> dict[str, nn.Module]:
    """Return the layers by title, or the blocks of the greatest depth that still make a short table."""
    layers = list(_blocks(network, depth=None))
    depth = 1
    if len(layers) > MOST_ROWS:
        layers = list(_blocks(network, depth))
        while len(deeper := list(_blocks(network, depth + 1))) <= MOST_ROWS:
            layers, depth = deeper, depth + 1
    return {f"{name} ({type(layer).__name__})": layer for name, layer in layers}


def _blocks(block: nn.Module, depth: int | None, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules `depth` levels down (None: the innermost), and those above that contain no further layers."""
    children = list(block.named_children())
    if name and (not children or depth == 0 or _is_fused(block)):
        if not isinstance(block, nn.Identity):
            yield name, block
        return
    for part, child in children:
        yield from _blocks(child, None if depth is None else depth - 1, f"{name}.{part}" if name else part)


def _is_fused(block: nn.Module) -> bool:
    """Tell whether a module is one layer with its activation, such as the normalisation layers of timm."""
    own = sum(1 for _ in block.parameters(recurse=False))
    return own > 0 and own == sum(1 for _ in block.parameters())


def _recorder(title: str, rows: dict[str, tuple[str, int]]) -> Any:
    def record(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        parameters = sum(parameter.numel() for parameter in layer.parameters())
        shape = " × ".join(str(size) for size in output.shape[1:]) if isinstance(output, Tensor) else ""
        rows[title] = (shape, parameters)

    return record


def _table(rows: dict[str, tuple[str, int]], total: int) -> str:
    width = max(len(title) for title in rows)
    lines = [f"{'layer':<{width}}  {'output':>16}  {'parameters':>12}"]
    lines += [f"{title:<{width}}  {shape:>16}  {parameters:>12,}" for title, (shape, parameters) in rows.items()]
    lines.append(f"{'total':<{width}}  {'':>16}  {total:>12,}")
    return "\n".join(lines)
