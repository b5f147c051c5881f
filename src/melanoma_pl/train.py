"""`melanoma-train`: the main job as a Hydra app."""

import logging
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from melanoma_pl import runs, sweeps
from melanoma_pl.cli import (
    FAILED,
    MISUSED,
    NO_SPACE,
    OK,
    QUOTING,
    SweepFolder,
    compose_config,
    conf_dir,
    flatten,
    list_groups,
    run_command,
    run_hydra,
    wants_help,
)
from melanoma_pl.data.layout import check_layout
from melanoma_pl.errors import UserError
from melanoma_pl.settings import TrainSettings, check_settings

logger = logging.getLogger(__name__)

HELP = """\
melanoma-train trains a network on photos of moles, and evaluates its best checkpoint.
Research software, not a medical device.

Usage: melanoma-train [group=option] [key=value] …

Groups:
{groups}

Examples:
  melanoma-train                                            on synthetic photos, drawn at the first run
  melanoma-train data=folder data.root=photos               on your own: photos/{{train,test}}/{{benign,malignant}}
  melanoma-train data=folder data.root=photos experiment=baseline
  melanoma-train data=folder data.root=photos experiment=tipe      the original, faithfully
  melanoma-train optimizer.lr=3e-4 data.batch_size=64 trainer=gpu trainer.precision=bf16-mixed
  melanoma-train data=folder 'data.root="/my photos (1)"'   a path with spaces or parentheses
  melanoma-train -m optimizer.lr=1e-4,1e-3 seed=1,2         a sweep of four
  melanoma-train resume=outputs/default/<run>               go on with a run; resume=auto: the newest unfinished
  melanoma-train --cfg job                                  every key with its value
  tensorboard --logdir outputs                              watch

Every key with its unit and allowed values: {conf}/train.yaml and the folders beside it.
"""
RESUME = "resume="
MULTIRUN = ("-m", "--multirun")
# what may differ between two halves of one run: where it computes, what it writes, how long it goes on
CHANGEABLE = (
    "trainer.accelerator", "trainer.devices", "trainer.max_epochs", "trainer.keep_memory",
    "data.root", "data.metadata", "data.num_workers", "data.cache_share", "data.synthetic.folder",
    "checkpoint", "callbacks", "logger", "test", "optimized_metric",
)  # fmt: skip


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def command(arguments: list[str]) -> int:
    """Train, resume or sweep.

    Returns:
        The exit code: 0, 1 if a sweep's job failed, 130 or 143 if a signal stopped it.
    """
    if wants_help(arguments):
        print(HELP.format(groups=list_groups(), conf=conf_dir()))
        return OK
    is_sweep = any(flag in arguments for flag in MULTIRUN)
    try:
        if resumed := [argument for argument in arguments if argument.startswith(RESUME)]:
            rest = [argument for argument in arguments if argument not in resumed]
            arguments = resume_arguments(resumed[-1].removeprefix(RESUME), rest, is_sweep)
        run_hydra("train", job, arguments)
    except Exception:
        if not is_sweep or SweepFolder.folder is None or not sweeps.read_jobs(SweepFolder.folder):
            sweeps.remove_if_empty(SweepFolder.folder)
            raise
        # each job's error was printed when it came
        return FAILED if sweeps.finished(SweepFolder.folder) else MISUSED
    except BaseException as error:
        if not hasattr(error, "exit_code"):  # RunStopped; its module is too heavy to import here
            raise
        return int(error.exit_code)
    finally:
        if is_sweep and SweepFolder.folder is not None:
            sweeps.summarize(SweepFolder.folder)
    return OK


def job(config: DictConfig) -> float | None:
    """Run one training; Hydra calls it, in a sweep once for each job.

    Returns:
        The final value of `optimized_metric`.
    """
    hydra = HydraConfig.get()
    run = runs.Run(Path(hydra.runtime.output_dir))
    with run.lock():
        figures, metric = run_training(config, run, is_sweep=hydra.mode == RunMode.MULTIRUN)
    return figures.get(metric)


def run_training(config: DictConfig, run: runs.Run, is_sweep: bool) -> tuple[dict[str, float], str]:
    """Train in a run's folder, and leave it whole whatever happens.

    Returns:
        The final figures, and the name of the one that a sweep ranks by.
    """
    before = run.read() if (run.folder / runs.RECORD).is_file() else None
    record = new_record(config, is_sweep, before)
    began = time.time()
    try:
        settings: TrainSettings = check_settings(TrainSettings, record["config"])
        check_place(settings, record["in_sweep"])
        if runs.is_main_process():
            run.write(record)
        from melanoma_pl.training import train  # PyTorch and Lightning take seconds: only once all else is right

        return train(settings, run, open_test=not record["in_sweep"]), settings.optimized_metric
    except UserError as error:
        leave(run, record, before, error, began)
        raise
    except Exception as error:
        if not (isinstance(error, OSError) and error.errno in NO_SPACE):
            logger.exception("the run failed")
        leave(run, record, before, error, began)
        raise
    except BaseException as error:
        if hasattr(error, "exit_code") or any(run.checkpoints.glob("*.ckpt")):
            logger.warning("stopped; go on with: melanoma-train resume=%s", shlex.quote(str(run.folder)))
        raise


def new_record(config: DictConfig, is_sweep: bool, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return what `run.json` says of a run that begins, or goes on after `before`."""
    hydra = HydraConfig.get()
    record = runs.describe(sys.argv[1:], list(hydra.overrides.task)) | {
        "config_dirs": [source.path for source in hydra.runtime.config_sources if source.provider == "command-line"],
        "config": OmegaConf.to_container(config, resolve=True),
        "composed": OmegaConf.to_container(config, resolve=False),  # what a resumed run is compared with
        "in_sweep": is_sweep,
    }
    if before is None:
        return record
    # a sweep's job stays one, also when it is resumed on its own: it must not open the test split
    return record | {"started": before["started"], "resumed": runs.now(), "in_sweep": before["in_sweep"]}


def leave(run: runs.Run, record: dict[str, Any], before: dict[str, Any] | None, error: Exception, began: float) -> None:
    """Leave a failed run as it was before, or not at all; a sweep's job with the reason, for the summary."""
    if not runs.is_main_process():
        return
    went_on = any(checkpoint.stat().st_mtime > began for checkpoint in run.checkpoints.glob("*.ckpt"))
    if before is not None and not went_on:
        run.write(before)
    elif record["in_sweep"]:
        logger.error("error: %s", error)
        run.write({**record, "error": " ".join(str(error).split())})
    elif isinstance(error, UserError) and not went_on:
        forget(run)


def check_place(settings: TrainSettings, is_sweep: bool) -> None:
    """Refuse what the settings alone do not show, as far as it costs no time.

    Raises:
        UserError: If the photo folder is not there, or a sweep would start a second one.
    """
    if is_sweep and settings.trainer.devices > 1:
        raise UserError(
            f"a sweep (-m) with trainer.devices={settings.trainer.devices} would start itself again in each process",
            "sweep with one device a job, or start the jobs one by one",
        )
    if is_sweep and settings.data.validate_on == "test":
        raise UserError(
            "a sweep (-m) with data.validate_on=test would choose on the test photos",
            "leave it, or experiment=tipe, out",
        )
    if settings.data.root is None:
        return
    names = (settings.data.class_names, settings.data.folder_names)
    check_layout(Path(settings.data.root), "train", *names)
    if settings.data.validate_on == "test" or (settings.test and not is_sweep):
        check_layout(Path(settings.data.root), "test", *names)


def forget(run: runs.Run) -> None:
    """Remove what a run that never began had written, and its folder if nothing else lies there."""
    logging.shutdown()
    shutil.rmtree(run.folder / ".hydra", ignore_errors=True)
    for name in (runs.RECORD, ".lock", "train.log", "photos.csv"):
        (run.folder / name).unlink(missing_ok=True)
    for folder in (run.folder, run.folder.parent, runs.OUTPUTS):
        if folder.is_dir() and not any(folder.iterdir()) and folder.resolve() != Path.cwd():
            folder.rmdir()


# Resuming


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
    after = OmegaConf.to_container(compose_config("train", overrides, own_conf), resolve=False)
    changed = differing_keys(record["composed"], after)
    refuse_changes(changed, typed, run)
    longer = OmegaConf.select(OmegaConf.create(after), "trainer.max_epochs") > record["config"]["trainer"]["max_epochs"]
    if record["finished"] and not longer:
        raise UserError(f"the run {run.folder} is finished", "for more epochs add trainer.max_epochs=<a larger number>")
    if not (run.checkpoints / "last.ckpt").is_file():
        print(f"{run.folder} was stopped before its first checkpoint: it starts afresh")
    print(f"resuming {run.folder}")
    folder = str(run.folder).replace("\\", "\\\\").replace('"', '\\"')
    own = ["--config-dir", own_conf] if own_conf else []
    return [*own, *flags, *overrides, f'hydra.run.dir="{folder}"']


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
    """Return the dotted names of the values that two configurations do not share."""
    names = sorted({*flatten(before), *flatten(after)})
    absent = object()

    def value(config: Any, name: str) -> Any:
        for part in name.split("."):
            config = config.get(part, absent) if isinstance(config, dict) else absent
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


if __name__ == "__main__":
    main()
