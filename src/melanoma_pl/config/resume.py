"""`melanoma-train resume=…`: the arguments that continue a run, and the changes that are refused."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf

from melanoma_pl.config.app import QUOTING, compose_config, flatten
from melanoma_pl.errors import UserError
from melanoma_pl.messages import literal

# what may change within a run: where it computes, what it writes, how long it trains
CHANGEABLE = (
    "trainer.accelerator", "trainer.devices", "trainer.max_epochs", "trainer.keep_memory",
    "trainer.blockwise", "trainer.compile", "optimizer.fused",
    "data.root", "data.table", "data.metadata", "data.exclude",
    "data.num_workers", "data.cache_fraction", "data.cache_folder", "data.resident", "data.synthetic.folder",
    "checkpoint", "callbacks", "logger", "test", "report", "optimized_metric",
)  # fmt: skip
PATH_KEYS = ("root", "table", "metadata", "exclude")  # keys of the group data that name folders and files
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd")  # flags of Hydra that take a value


def resume_arguments(record: Mapping[str, Any], typed: Sequence[str], folder: Path, weights: Path) -> list[str]:
    """Return the arguments that continue a run: its own, then those typed now.

    Args:
        record: The run's record, from `run.json`.
        typed: Overrides and Hydra's flags, without `resume=…`.
        folder: The run's folder.
        weights: Its last checkpoint, for the hint to start a new run from it.

    Raises:
        UserError: If the run is finished, or its configuration would change.
    """
    flags, typed = split_flags(typed)
    own_conf = next(iter(record["config_dirs"]), None)
    overrides = merge_overrides(record["overrides"], typed)
    after: Any = OmegaConf.to_container(compose_config("train", overrides, own_conf), resolve=False)
    refuse_changes(differing_keys(record["composed"], after), typed, weights)
    if record["finished"] and after["trainer"]["max_epochs"] <= record["config"]["trainer"]["max_epochs"]:
        raise UserError(f"the run {folder} is finished", "for more epochs add trainer.max_epochs=<a larger number>")
    for key, path in paths_at_start(record, after["data"]).items():
        if not Path(after["data"][key]).exists():
            overrides.append(f"data.{key}={literal(path)}")
    own = ["--config-dir", own_conf] if own_conf else []
    return [*own, *flags, *overrides, f"hydra.run.dir={literal(str(folder))}"]


def paths_at_start(record: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths of images and tables, seen from the folder in which a run was started.

    Args:
        record: The run's record, from `run.json`.
        data: The group `data` of a configuration.

    Returns:
        Key → path; only those that exist.
    """
    paths = {key: Path(record["folder"]) / data[key] for key in PATH_KEYS if data.get(key) is not None}
    return {key: str(path) for key, path in paths.items() if path.exists()}


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate Hydra's flags, with their values (`--cfg job`), from overrides."""
    flags: list[str] = []
    overrides: list[str] = []
    for previous, argument in pairwise(["", *arguments]):
        is_flag = argument.startswith("-") or previous in WITH_VALUE
        (flags if is_flag else overrides).append(argument)
    return flags, overrides


def merge_overrides(saved: Sequence[str], typed: Sequence[str]) -> list[str]:
    """Return the saved overrides that are not typed anew, then the typed ones.

    Raises:
        UserError: If Hydra cannot parse an override.
    """
    parser = OverridesParser.create()
    try:
        new, old = parser.parse_overrides(list(typed)), parser.parse_overrides(list(saved))
    except OverrideParseException as error:
        raise UserError(f"the override {error.override} cannot be read", QUOTING) from error
    keys = {override.key_or_group for override in new}
    added = {override.key_or_group for override in old if override.is_add()}
    kept = [text for text, override in zip(saved, old, strict=True) if override.key_or_group not in keys]
    # conf/ lacks a key that the run added with +: changing it means adding it again
    again = [
        f"++{text}" if override.key_or_group in added and not override.is_add() and not override.is_delete() else text
        for text, override in zip(typed, new, strict=True)
    ]
    return [*kept, *again]


def differing_keys(before: Any, after: Any) -> list[str]:
    """Return the dotted names of the values that differ between two configurations.

    A key that the older one lacks does not count if it may change within a run, or is null.
    """
    old, new = dict(flatten(before)), dict(flatten(after))
    names = sorted(old.keys() | {name for name in new if name not in CHANGEABLE})
    pairs = [(name, old.get(name), new.get(name)) for name in names]
    return [
        name for name, one, other in pairs if one != other and not (isinstance(one, dict) and isinstance(other, dict))
    ]


def refuse_changes(changed: Sequence[str], typed: Sequence[str], weights: Path) -> None:
    """Refuse changes that nobody typed, or that cannot be made within a run.

    Raises:
        UserError: Naming the first such key.
    """
    keys = tuple(f"{text.partition('=')[0].lstrip('+~')}." for text in typed)
    new_run = f"start a new run, from these weights if you like: model.weights={weights}"
    for name in changed:
        if not f"{name}.".startswith(keys):
            raise UserError(
                f"the configuration has changed since the run began: {name} is different, although nobody typed it",
                f"put conf/ back, or {new_run}",
            )
        if not f"{name}.".startswith(tuple(f"{key}." for key in CHANGEABLE)):
            raise UserError(f"{name} cannot change within a run", new_run)
