"""Networks of timm by name, with weights from its hub, the hub's cache, or a file; every failure in one line."""

import difflib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from melanoma_pl.errors import UserError

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # the first is what timm looks for first
RANDOM = "start from random weights: model.pretrained=false model.head_epochs=0"
NEAR = 3  # names that an error proposes


def import_timm() -> Any:
    """Return the package.

    Raises:
        UserError: If it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise UserError("model=timm needs timm, which is not installed", "pip install 'melanoma-pl[timm]'") from error


def find_configuration(backbone: str) -> Any:
    """Return timm's `PretrainedCfg` of a network: what its weights were trained with. Builds nothing.

    Raises:
        UserError: If timm is not installed or does not have the network.
    """
    timm = import_timm()
    names = {*timm.list_models(), *timm.list_pretrained()}
    if backbone not in names:
        near = difflib.get_close_matches(backbone, sorted(names), NEAR)
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() names them all"
        raise UserError(f"timm {timm.__version__} has no network model.backbone={backbone}", hint)
    return timm.get_pretrained_cfg(backbone)


def create_network(backbone: str, pretrained: bool | str, **options: Any) -> nn.Module:
    """Build a network with one output.

    Args:
        backbone: Its name, with a tag or without.
        pretrained: True (the weights of timm's hub), False (random), or a file of weights for that network.
        options: More arguments of the network.

    Raises:
        UserError: If there are no such weights, they cannot be fetched or read, or they do not fit.
    """
    if str(pretrained).lower() == "false":
        return _create(backbone, **options)
    if str(pretrained).lower() != "true":
        return _from_file(backbone, Path(str(pretrained)), **options)
    cached = _find_in_hub(backbone)
    source = {"pretrained_cfg_overlay": {"file": cached}} if cached else {}
    try:
        return _create(backbone, pretrained=True, **source, **options)
    except OSError as error:
        raise _not_fetched(backbone, error) from error


def heads_of(network: nn.Module) -> Sequence[nn.Module]:
    """Return the layers that timm calls the classifier of one of its networks; distilled transformers have two."""
    head: Any = network.get_classifier()  # type: ignore[operator]
    return list(head) if isinstance(head, tuple | list | nn.ModuleList) else [head]


def one_line(error: Exception) -> str:
    """Return the beginning of what an error of another package says."""
    return (" ".join(str(error).split()) or type(error).__name__)[:150]


def _create(backbone: str, **options: Any) -> nn.Module:
    network: nn.Module = import_timm().create_model(backbone, num_classes=1, **options)
    return network


def _find_in_hub(backbone: str) -> str | None:
    """Return the cached file of a network's weights; None where there is none and the hub answers.

    Raises:
        UserError: If there are no such weights, or the hub does not answer.
    """
    configuration = find_configuration(backbone)
    if not configuration.has_weights:
        raise UserError(f"timm has no pretrained weights for {backbone}", f"take another network, or {RANDOM}")
    if not configuration.hf_hub_id or configuration.custom_load:
        return None  # from an address of their own
    hub = importlib.import_module("huggingface_hub")
    for name in HUB_FILES:
        cached = hub.try_to_load_from_cache(configuration.hf_hub_id, name)
        if isinstance(cached, str):
            return cached
    try:  # without this question a download would be tried again and again for most of a minute
        hub.get_hf_file_metadata(hub.hf_hub_url(configuration.hf_hub_id, HUB_FILES[0]))
    except hub.errors.EntryNotFoundError:
        pass  # it answers
    except Exception as error:  # no network, a proxy, a gate, HF_HUB_OFFLINE: each has a class of its own
        raise _not_fetched(backbone, error) from error
    return None


def _not_fetched(backbone: str, error: Exception) -> UserError:
    """Return what to do without the hub."""
    configuration = find_configuration(backbone)
    place = f"{configuration.hf_hub_id} of huggingface.co" if configuration.hf_hub_id else configuration.url
    return UserError(
        f"the pretrained weights of {backbone} cannot be fetched ({one_line(error)})",
        f"fetch the weights file of {place} elsewhere and give it, model.pretrained=<file>, or bring the hub's cache "
        f"along and name it in HF_HOME, or {RANDOM}",
    )


def _from_file(backbone: str, path: Path, **options: Any) -> nn.Module:
    """Build a network with the weights of a file; timm passes over what it does not find there, and that is refused.

    Raises:
        UserError: If the file does not exist, cannot be read, or holds the weights of another network.
    """
    if not path.is_file():
        raise UserError(
            f"model.pretrained={path} does not exist", "allowed are true (timm's hub), false (random), and a file"
        )
    filled = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}, **options}
    try:
        network = _create(backbone, **filled)
        with torch.random.fork_rng(devices=[]):
            again = _create(backbone, **filled)
    except Exception as error:  # what is no file of weights can fail in any way
        raise UserError(
            f"model.pretrained={path} cannot be read as weights of {backbone} ({one_line(error)})",
            "give a .safetensors or .pth file of that network; checkpoints of this project go into model.weights",
        ) from error
    if missing := _differing(network, again):
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise UserError(
            f"model.pretrained={path} holds no weights of {backbone} for {missing[0]}{more}",
            "give a file of that network; checkpoints of this project go into model.weights",
        )
    return network


def _differing(network: nn.Module, again: nn.Module) -> list[str]:
    """Return the names of the weights that differ, the head's left out: no file has filled them, they are random."""
    of_head = {id(parameter) for layer in heads_of(network) for parameter in layer.parameters()}
    return [
        name
        for (name, one), other in zip(network.named_parameters(), again.parameters(), strict=True)
        if id(one) not in of_head and not torch.equal(one, other)
    ]
