"""`melanoma-train resume=…`: which arguments go on with a run, and which changes of its configuration are refused."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf

from melanoma_pl import runs
from melanoma_pl.config.app import QUOTING, compose_config, flatten
from melanoma_pl.errors import UserError
from melanoma_pl.messages import literal

# what may differ between two halves of one run: where it computes, what it writes, how long it goes on
CHANGEABLE = (
    "trainer.accelerator", "trainer.devices", "trainer.max_epochs", "trainer.keep_memory",
    "trainer.blockwise", "trainer.compile", "optimizer.fused",
    "data.root", "data.table", "data.metadata", "data.exclude",
    "data.num_workers", "data.cache_fraction", "data.cache_folder", "data.resident", "data.synthetic.folder",
    "checkpoint", "callbacks", "logger", "test", "report", "optimized_metric",
)  # fmt: skip


def resume_arguments(value: str, typed: list[str], is_sweep: bool) -> list[str]:
    """Return the arguments that go on with a run: its own, then those typed now.

    Raises:
        UserError: If there is no such run, it is finished, or its configuration would be another.
    """
    if is_sweep:
        raise UserError("-m and resume do not go together", "resume one job's folder, or start the sweep anew")
    run = runs.newest_unfinished() if value == "auto" else runs.open_run(value.strip("'\""))
    record = run.read()
    flags, typed = split_flags(typed)
    own_conf = next(iter(record["config_dirs"]), None)
    overrides = merge_overrides(list(record["overrides"]), typed)
    after: Any = OmegaConf.to_container(compose_config("train", overrides, own_conf), resolve=False)
    changed = differing_keys(record["composed"], after)
    refuse_changes(changed, typed, run)
    longer = after["trainer"]["max_epochs"] > record["config"]["trainer"]["max_epochs"]
    if record["finished"] and not longer:
        raise UserError(f"the run {run.folder} is finished", "for more epochs add trainer.max_epochs=<a larger number>")
    if not (run.checkpoints / "last.ckpt").is_file():
        print(f"{run.folder} was stopped before its first checkpoint: it starts afresh")
    print(f"resuming {run.folder}")
    for key, place in runs.started_in(record, after["data"]).items():
        if not Path(after["data"][key]).exists():
            overrides.append(f"data.{key}={literal(str(place))}")
    own = ["--config-dir", own_conf] if own_conf else []
    return [*own, *flags, *overrides, f"hydra.run.dir={literal(str(run.folder))}"]


def split_flags(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Separate Hydra's flags, with their values (`--cfg job`), from overrides."""
    flags, overrides = [], []
    waiting = iter(arguments)
    for argument in waiting:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        flags.append(argument)
        if argument in ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd"):
            flags.extend([next(waiting, "")])
    return flags, overrides


def merge_overrides(saved: list[str], typed: list[str]) -> list[str]:
    """Return the saved overrides without those that are typed anew, then the typed ones."""
    parser = OverridesParser.create()
    try:
        new = parser.parse_overrides(typed)
        old = parser.parse_overrides(saved)
    except OverrideParseException as error:
        raise UserError(f"the override {error.override} cannot be read", QUOTING) from error
    keys = {override.key_or_group for override in new}
    added = {override.key_or_group for override in old if override.is_add()}
    kept = [text for text, override in zip(saved, old, strict=True) if override.key_or_group not in keys]
    # a key that the run had added with + is no key of conf/: to change it is to add it again
    again = [
        f"++{text}" if override.key_or_group in added and not override.is_add() and not override.is_delete() else text
        for text, override in zip(typed, new, strict=True)
    ]
    return [*kept, *again]


def differing_keys(before: Any, after: Any) -> list[str]:
    """Return the dotted names of the values that two configurations do not share.

    A key that the run did not have yet, and that may change within a run, is none of them.
    """
    old = set(flatten(before))
    names = sorted(old | {name for name in flatten(after) if name in old or name not in CHANGEABLE})

    def value(config: Any, name: str) -> Any:
        for part in name.split("."):  # a key that the run did not have yet and that is null now changes nothing
            config = config.get(part) if isinstance(config, dict) else None
        return config

    pairs = [(name, value(before, name), value(after, name)) for name in names]
    return [
        name for name, one, other in pairs if one != other and not (isinstance(one, dict) and isinstance(other, dict))
    ]


def refuse_changes(changed: list[str], typed: list[str], run: runs.Run) -> None:
    """Refuse a configuration that is not the run's own.

    Raises:
        UserError: Naming the first key that nobody typed, or that cannot change within a run.
    """
    keys = [text.partition("=")[0].lstrip("+~") for text in typed]
    new_run = f"start a new run, from these weights if you like: model.weights={run.checkpoints / 'last.ckpt'}"
    for name in changed:
        if not any(name == key or name.startswith(f"{key}.") for key in keys):
            raise UserError(
                f"the configuration changed since the run began: {name} is another now, and nobody typed it",
                f"put conf/ back, or {new_run}",
            )
        if not any(name == key or name.startswith(f"{key}.") for key in CHANGEABLE):
            raise UserError(f"{name} cannot change within a run", new_run)
