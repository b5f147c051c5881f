"""The door to a run's folder: the arguments that continue a run, and what is refused. Light.

A folder belongs to one configuration, whether it is entered by `resume=`, `hydra.run.dir` or `hydra.sweep.dir`.
A record may come from someone else: it cannot set Hydra itself, bring in configuration, import modules or write outside
its folder unless the user's own command line says so.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf

from melanoma_pl.config.composition import QUOTING, conf_dir, flatten, split_arguments
from melanoma_pl.errors import UserError
from melanoma_pl.messages import literal
from melanoma_pl.specs import TARGET, check_targets

# what may change within a run: where it computes, what it writes, how long it trains
CHANGEABLE = (
    "trainer.accelerator", "trainer.devices", "trainer.max_epochs", "trainer.keep_memory",
    "trainer.convolutions", "trainer.compile", "optimizer.fused",
    "data.root", "data.table", "data.metadata", "data.exclude",
    "data.num_workers", "data.cache_fraction", "data.cache_folder", "data.resident", "data.synthetic.folder",
    "checkpoint", "callbacks", "logger", "test", "report", "images_in_report", "optimized_metric",
)  # fmt: skip
RECORD = "run.json"  # in a run's folder
PATH_KEYS = ("root", "table", "metadata", "exclude")  # keys of the group data that name folders and files
CONFIG_DIR = ("--config-dir", "-cd")
WRITTEN_TO = re.compile(r"(dir|dirpath|directory|path|folder|file|uri|root)$")  # keys of loggers and callbacks
ELSEWHERE = re.compile(r"^([/~\\]|\w+:)|(^|[/\\])\.\.([/\\]|$)")  # values of any key that lead out of a folder
TYPED_TARGET = re.compile(rf"{TARGET}\s*[:=]\s*[\"']?([\w.]+)")


class OtherRunError(UserError):
    """The folder belongs to a run with another configuration."""


@dataclass(frozen=True)
class Resumption:
    """Overrides and modules that the user typed with `resume=…`.

    Attributes:
        typed: The overrides, without `resume=` and `trust=`.
        trust: Modules named with `trust=`.
        from_record: Whether the other overrides come from the run's record, which someone else may have written.
    """

    typed: tuple[str, ...]
    trust: tuple[str, ...] = ()
    from_record: bool = True


def resume_arguments(record: Mapping[str, Any], typed: Sequence[str], folder: Path) -> list[str]:
    """Return the arguments that continue a run: its own, then those typed now.

    Args:
        record: The run's record, from `run.json`.
        typed: Overrides and Hydra's flags, without `resume=…`.
        folder: The run's folder.

    Raises:
        UserError: If the record sets Hydra itself, or needs a folder of configuration that was not typed.
    """
    overrides, flags = split_arguments(typed)
    check_config_dirs(record, flags, folder)
    merged = merge_overrides(record["overrides"], overrides, folder)
    keys = typed_keys(overrides)
    for key, path in paths_at_start(record, record["config"]["data"]).items():
        if not f"data.{key}.".startswith(keys) and not Path(record["config"]["data"][key]).exists():
            merged.append(f"data.{key}={literal(path)}")
    return [*flags, *merged, f"hydra.run.dir={literal(str(folder))}"]


def config_dirs(hydra: Any) -> list[str]:
    """Return the folders of configuration that were typed, from Hydra's own configuration."""
    return [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"]


def check_config_dirs(record: Mapping[str, Any], flags: Sequence[str], folder: Path) -> None:
    """Refuse to go on with a folder of configuration that a record alone names.

    Raises:
        UserError: If the record names one, and the flags do not.
    """
    if record["config_dirs"] and not any(flag.startswith(CONFIG_DIR) for flag in flags):
        own, multirun = record["config_dirs"][0], [flag for flag in flags if flag in ("-m", "--multirun")]
        raise UserError(
            f"{folder} was configured with --config-dir {own}, which is not used unless you type it",
            f"if you trust it: {shlex.join(['melanoma-train', *multirun, f'resume={folder}', '--config-dir', own])}",
        )


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


def merge_overrides(saved: Sequence[str], typed: Sequence[str], folder: Path) -> list[str]:
    """Return the saved overrides of a run's folder that are not typed anew, then the typed ones.

    Raises:
        UserError: If Hydra cannot parse an override, or a saved one sets Hydra itself.
    """
    parser = OverridesParser.create()
    try:
        new, old = parser.parse_overrides(list(typed)), parser.parse_overrides(list(saved))
    except OverrideParseException as error:
        raise UserError(f"the override {error.override} cannot be read", QUOTING) from error
    for text, override in zip(saved, old, strict=True):
        if any(re.split("[./]", name)[0] == "hydra" for name in (override.key_or_group, override.package or "")):
            raise UserError(
                f"the record of {folder} holds the override {text}, which melanoma-train never writes there",
                "Hydra could run any code with it: do not use this folder",
            )
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


def changed_keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the dotted names of the values that differ between the configurations of two records.

    A path that leads to the same images from another working folder does not differ.
    """
    old, new = comparable(before), comparable(after)
    moved = {f"data.{key}" for key, path in paths_at_start(before, old["data"]).items() if new["data"][key] == path}
    return [name for name in differing_keys(old, new) if name not in moved]


def typed_keys(typed: Sequence[str]) -> tuple[str, ...]:
    """Return the keys and groups that were typed, each with a dot at its end."""
    return tuple(f"{text.partition('=')[0].lstrip('+~')}." for text in typed)


def check_same_run(
    before: Mapping[str, Any], after: Mapping[str, Any], folder: Path, resumption: Resumption | None
) -> list[str]:
    """Refuse a configuration that is not the one of the run in the folder.

    Args:
        before: The record in the folder.
        after: The record of the command that is running now.
        folder: The run's folder.
        resumption: What was typed with `resume=`; None without it: then nothing may differ.

    Returns:
        The keys that differ and may.

    Raises:
        OtherRunError: Naming the first other key that differs.
    """
    keys = () if resumption is None else typed_keys(resumption.typed)
    changed = changed_keys(before, after)
    old, new = dict(flatten(comparable(before))), dict(flatten(comparable(after)))
    quoted = shlex.quote(str(folder))
    new_run = f"start a new run, from these weights if you like: model.weights={folder / 'checkpoints/last.ckpt'}"
    for name in changed:
        may_change = f"{name}.".startswith(tuple(f"{key}." for key in CHANGEABLE))
        if resumption is None:
            values = f"{name}={old.get(name)}, not {new.get(name)}"
            go_on = f"melanoma-train resume={quoted} {name}={new.get(name)}"
            raise OtherRunError(
                f"the folder {folder} holds a run with {values}",
                f"name another folder{f', or go on with that run: {go_on}' if may_change else ''}",
            )
        if not f"{name}.".startswith(keys):
            raise OtherRunError(
                f"the configuration has changed since the run began: {name} is different, although nobody typed it",
                f"put conf/ back, or {new_run}",
            )
        if not may_change:
            raise OtherRunError(f"{name} cannot change within a run", new_run)
    return changed


def comparable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's configuration with resolved values, except those that depend on the folder or the time."""

    def resolve(composed: Any, config: Any) -> Any:
        if isinstance(composed, dict) and isinstance(config, dict):
            return {key: resolve(value, config.get(key)) for key, value in composed.items()}
        depends = isinstance(composed, str) and ("${hydra:" in composed or "${now:" in composed)
        return composed if depends else config

    return {key: resolve(value, record["config"].get(key)) for key, value in record["composed"].items()}


def check_record(config: Mapping[str, Any], folder: Path, resumption: Resumption) -> None:
    """Refuse classes that a record alone names, and loggers and callbacks that would write outside the run's folder.

    Args:
        config: The resolved configuration.
        folder: The run's folder.
        resumption: What the user typed: values and modules in it are allowed.

    Raises:
        UserError: Naming the class or the key.
    """
    named = [found.rpartition(".")[0] for text in resumption.typed for found in TYPED_TARGET.findall(text)]
    check_targets(config, [*resumption.trust, *named], f"the record of {folder}")
    keys, quoted = typed_keys(resumption.typed), shlex.quote(str(folder))
    for group in ("callbacks", "logger"):
        shipped = [OmegaConf.to_container(OmegaConf.load(file)) for file in conf_dir().glob(f"{group}/*.yaml")]
        own = [each for values in shipped for each in flatten(values, f"{group}.")]  # such as outputs/mlflow.db
        for name, value in flatten(config[group], f"{group}."):
            texts = [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]
            paths = [text for text in texts if WRITTEN_TO.search(name) or ELSEWHERE.search(text)]
            outside = any(not Path(path).expanduser().resolve().is_relative_to(folder.resolve()) for path in paths)
            if outside and (name, value) not in own and not f"{name}.".startswith(keys):
                raise UserError(
                    f"the record of {folder} sets {name}={value}, outside of the run's folder",
                    f"if files may be written there, type it: melanoma-train resume={quoted} {name}={value}",
                )
