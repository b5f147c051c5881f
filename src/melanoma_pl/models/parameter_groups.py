"""The optimizer's parameter groups: layers with options of their own, such as `weight_decay`."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from melanoma_pl.errors import did_you_mean
from melanoma_pl.models.timm_backbone import FineTuned

LayerOptions = Mapping[str, Mapping[str, float]]  # name of a layer → options of the optimizer for its weights


def check_layer_options(network: nn.Module, layer_options: LayerOptions, defaults: Mapping[str, Any]) -> None:
    """Refuse options that no layer or no optimizer has.

    Args:
        network: The network.
        layer_options: What its layers are to have.
        defaults: All options of the optimizer.

    Raises:
        ValueError: If a layer or an option does not exist, or a value is below 0.
    """
    if layer_options and isinstance(network, FineTuned):
        raise ValueError("parameter_groups: this network has groups of its own, see model.backbone_lr")
    modules = network.named_modules()  # the first is the network itself, without a name
    layers = [name for name, layer in modules if name and any(True for _ in layer.parameters())]
    for name, options in layer_options.items():
        if name not in layers:
            raise ValueError(f"parameter_groups.{name}: the network has no such layer, {did_you_mean(name, layers)}")
        for key, value in options.items():
            if not isinstance(defaults.get(key), int | float) or value < 0:
                numbers = [each for each, own in defaults.items() if type(own) in (int, float)]
                raise ValueError(
                    f"parameter_groups.{name}.{key}={value}: a number of 0 or more, of {', '.join(numbers)}"
                )


def parameter_groups(network: nn.Module, layer_options: LayerOptions, lr: float) -> list[dict[str, Any]]:
    """Return the groups as `torch.optim.Optimizer` takes them; the first holds what no other has.

    Args:
        network: The network.
        layer_options: Options of its layers.
        lr: Learning rate; a fine-tuned network has its own groups for its head and its backbone.
    """
    if isinstance(network, FineTuned):
        return network.parameter_groups(lr)
    named: list[dict[str, Any]] = [
        {"params": list(network.get_submodule(name).parameters()), **options} for name, options in layer_options.items()
    ]
    taken = {id(parameter) for group in named for parameter in group["params"]}
    return [{"params": [each for each in network.parameters() if id(each) not in taken]}, *named]
