"""The folder of a sweep, which can be continued: its jobs are recognised by their configuration. Light."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, flag_override

from melanoma_pl.config.composition import flatten, split_arguments
from melanoma_pl.config.resume import (
    RECORD,
    changed_keys,
    check_config_dirs,
    comparable,
    config_dirs,
    merge_overrides,
    paths_at_start,
    typed_keys,
)
from melanoma_pl.config.schema import with_texts
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import hydra_word, json_text, literal

ARGUMENTS = "sweep.json"
OF_THE_RUN = "${hydra:"  # begins an interpolation that depends on the folder of the run
DIGITS = 8  # of the hash in the name of a folder
OF_A_SEARCH = ("study_name", "n_trials", "n_jobs", "sampler", "seed", "pruner", "startup_trials", "warmup_epochs")
"""Keys of `hydra.sweeper` that a continued search takes from its record: plain values, which can run no code."""
running_folders: ContextVar[list[Path]] = ContextVar("running_folders")  # receives the folder of a sweep that begins


class SweepError(UserError):
    """An error of the sweep itself, not of one of its jobs."""


def begin_sweep(config: DictConfig) -> None:
    """Tell the caller of the running command the folder of a sweep, and note there what it was started with."""
    running_folders.get([]).append(Path(config.hydra.sweep.dir))
    write_arguments(config)


def search_overrides(overrides: Sequence[str]) -> list[str]:
    """Return those overrides of a search that its record may hold."""
    allowed = tuple(f"hydra.sweeper.{key}=" for key in OF_A_SEARCH)
    return [text for text in overrides if text.startswith(allowed)]


def write_arguments(config: DictConfig) -> None:
    """Note in the folder of a sweep what it was started with, so that it can be continued.

    Args:
        config: The configuration of the sweep, with that of Hydra.
    """
    folder = Path(config.hydra.sweep.dir)
    folder.mkdir(parents=True, exist_ok=True)
    overrides, dirs = OmegaConf.to_container(config.hydra.overrides.task), config_dirs(config.hydra)
    with write_atomically(folder / ARGUMENTS) as file:
        record = {"overrides": overrides, "config_dirs": dirs, "folder": str(Path.cwd())}
        search = search_overrides(OmegaConf.to_container(config.hydra.overrides.hydra))  # type: ignore[arg-type]
        file.write(json_text(record | ({"search": search} if search else {}), indent=1))


def continued_arguments(folder: Path, typed: Sequence[str]) -> list[str]:
    """Return the arguments that continue a sweep: its own, then those typed now.

    Args:
        folder: The sweep's folder.
        typed: Overrides and Hydra's flags, such as `-m`, without `resume=…`.

    Raises:
        UserError: If the folder is not that of a sweep, or its record sets Hydra itself.
    """
    record = _arguments(folder)
    saved, search = [str(each) for each in record["overrides"]], [str(each) for each in record.get("search", ())]
    overrides, flags = split_arguments(typed)
    check_config_dirs(record, flags, folder)
    merged = merge_overrides(saved, overrides, folder)
    keys = typed_keys(overrides)
    for job in sorted(folder.glob(f"*/{RECORD}"))[:1]:
        data = _recorded(job, job.stat().st_mtime_ns)["config"]["data"]
        for key, image_path in paths_at_start(record, data).items():
            if not f"data.{key}.".startswith(keys) and not Path(data[key]).exists():
                merged.append(hydra_word(f"data.{key}", image_path))
    search = [text for text in search_overrides(search) if not f"{text.partition('=')[0]}.".startswith(keys)]
    return [*flags, *merged, *search, f"hydra.sweep.dir={literal(str(folder))}"]


def recorded_overrides(folder: Path) -> list[str]:
    """Return the overrides that a sweep was started with.

    Raises:
        UserError: If the folder is not that of a sweep.
    """
    return [str(each) for each in _arguments(folder)["overrides"]]


def _arguments(folder: Path) -> Mapping[str, Any]:
    path = folder / ARGUMENTS
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = record["overrides"][:], record["folder"], record["config_dirs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        way_out = "resume a run without -m" if (folder / RECORD).is_file() else "name the folder of a sweep"
        raise UserError(f"{path} cannot be read: {folder} does not hold a sweep", way_out) from error
    return record


def job_folder(number: int, *, _root_: DictConfig) -> str:
    """Return the name of a job's folder: that of the job with its configuration, or a new one.

    OmegaConf calls it to resolve `hydra.sweep.subdir`. The name of a new folder depends on the job alone, so that jobs
    that begin at the same time do not meet.

    Args:
        number: The job's number in this command.
        _root_: The composed configuration.
    """
    folder, own = Path(_root_.hydra.sweep.dir), _configuration(_root_)
    for other in sorted(folder.glob(f"*/{RECORD}")):
        if not changed_keys(_recorded(other, other.stat().st_mtime_ns), own):
            return other.parent.name
    if not (folder / str(number) / RECORD).exists():
        return str(number)
    digest = hashlib.sha256(json_text(comparable(own)).encode()).hexdigest()[:DIGITS]
    return f"{number}_{digest}"


def differs_from_job(folder: Path, number: int, config: DictConfig) -> str:
    """Return in words how the configuration of a job differs from the one in the sweep's folder; empty if it does not.

    Args:
        folder: The sweep's folder.
        number: The job's number.
        config: The composed configuration.
    """
    path = folder / str(number) / RECORD
    if not path.is_file():
        return f"lacks the folder {number} of a job that has ended"
    before, after = _recorded(path, path.stat().st_mtime_ns), _configuration(config)
    changed = changed_keys(before, after)
    if not changed:
        return ""
    values = [dict(flatten(comparable(each))).get(changed[0]) for each in (before, after)]
    return f"has {changed[0]}={values[0]}, not {values[1]}"


@lru_cache(maxsize=4096)
def _recorded(path: Path, time: int) -> Mapping[str, Any]:
    """Return the record of a job; the time of its last change makes the cache forget an older one."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _configuration(root: DictConfig) -> dict[str, Any]:
    """Return a composed configuration as a record holds it, before the folder of the run is known."""
    task = deepcopy(root)
    with flag_override(task, ["readonly", "struct"], False):
        del task["hydra"]
    composed: Any = OmegaConf.to_container(task, resolve=False)

    def without_folder(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_folder(each) for key, each in value.items()}
        return None if isinstance(value, str) and OF_THE_RUN in value else value

    resolved: Any = OmegaConf.to_container(OmegaConf.create(without_folder(composed)), resolve=True)
    return {"folder": str(Path.cwd()), "config": with_texts(resolved), "composed": composed}


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
