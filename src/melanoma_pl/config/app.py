"""Lines on the screen that do not break a progress bar.

What the commands share: where `conf/` is, mistakes as one line, exit codes. Light: nothing heavy is imported.
"""

import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir, main
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from melanoma_pl.config.schema import direction
from melanoma_pl.errors import UserError, did_you_mean


class Console(logging.Handler):
    """A log handler that writes above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record to standard output."""
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


OK, FAILED, MISUSED = 0, 1, 2
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
WRONG_PATH = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST)
FULL_ERROR = "HYDRA_FULL_ERROR"
QUOTING = (
    "put a value with spaces, accents, parentheses, commas or = into two kinds of quotes: "
    "'data.root=\"/my images (1)\"'"
)


def conf_dir() -> Path:
    """Return the folder of the configuration: inside an installed package, else the repository's."""
    package = Path(__file__).parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parents[1] / "conf"


OmegaConf.register_new_resolver(
    "direction_of", lambda metric: {"min": "minimize", "max": "maximize"}[direction(metric)], replace=True
)


def wants_help(arguments: Iterable[str]) -> bool:
    """Tell whether help is asked for; Hydra's own takes seconds to list its groups."""
    return not {"--help", "-h"}.isdisjoint(arguments)


def list_groups() -> str:
    """Return the configuration groups, a line each, with their options."""
    folders = sorted(folder for folder in conf_dir().iterdir() if folder.is_dir() and folder.name != "hydra")
    options = {folder.name: ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) for folder in folders}
    width = max(map(len, options))
    return "\n".join(f"  {name:<{width}}  {listed}" for name, listed in options.items())


def run_hydra(config_name: str, job: Callable[[DictConfig], Any], arguments: Iterable[str]) -> None:
    """Run a Hydra app with these arguments instead of the command line's.

    Raises:
        UserError: What the job raised, or what Hydra or OmegaConf refuse, said in one line.
    """
    raised: list[UserError] = []

    @wraps(job)
    def task(config: DictConfig) -> Any:
        try:
            return job(config)
        except (UserError, OmegaConfBaseException) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # the sweeper must know
            # Hydra would print a line of its own first
            raised.append(error if isinstance(error, UserError) else explain(error, config_name))

    sys.argv[1:] = list(arguments)
    before = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"  # or Hydra would print an exception and exit instead of raising it
    try:
        main(version_base="1.3", config_path=str(conf_dir()), config_name=config_name)(task)()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, config_name) from error
    finally:
        if before is None:
            del os.environ[FULL_ERROR]
    if raised:
        raise raised[0]


def run_command(command: Callable[[list[str]], int], arguments: list[str] | None = None) -> int:
    """Run a command's body and turn a user's mistake into one line and exit code 2; no traceback unless asked for."""
    traceback_wanted = os.environ.get(FULL_ERROR) == "1"
    try:
        return command(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        if traceback_wanted:
            raise
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:  # whoever read the output, `head` for instance, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        if error.errno not in (*NO_SPACE, *WRONG_PATH) or traceback_wanted:
            raise
        if error.errno in NO_SPACE:
            text = f"no space is left to write {error.filename or 'a file'}: make some, then go on"
        else:
            text = f"{error.filename or 'a file'}: {error.strerror}"
        print(f"error: {text}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def compose_config(config_name: str, overrides: list[str], config_dir: str | None = None) -> DictConfig:
    """Return the configuration that these overrides make, without running anything.

    Args:
        config_name: `train` or `evaluate`.
        overrides: As typed.
        config_dir: A folder of one's own configuration, as `--config-dir` names it.

    Raises:
        UserError: If an override is refused.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            own = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
            return compose(config_name, [*overrides, *own])
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, config_name) from error


def explain(error: Exception, config_name: str) -> UserError:
    """Return what Hydra or OmegaConf refuse as one line with the way out."""
    if isinstance(error, OverrideParseException):
        return UserError(f"the override {error.override} cannot be read", QUOTING)
    text = " ".join(f"{error} {error.__cause__ or ''}".split())
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        return UserError(f"{group}={option} does not exist", did_you_mean(option, error.options))
    if found := re.search(r"Could not override '([^']+)'", text):
        return unknown_key(found[1], config_name)
    if found := re.search(r"Missing mandatory value: (\S+)", text):
        return UserError(f"{found[1]} is not set", f"give it: {found[1]}=<value>")
    return UserError(text)


def unknown_key(key: str, config_name: str) -> UserError:
    """Return what to say of a key that the configuration does not have."""
    config = OmegaConf.to_container(compose_config(config_name, []), resolve=False)
    is_train = config_name == "train"  # the other commands have no groups
    groups = {folder.name for folder in conf_dir().iterdir() if folder.is_dir() and is_train} - {"hydra"}
    parent = key.rpartition(".")[0]
    siblings = set(flatten(config)) | groups
    near = {other for other in siblings if other.rpartition(".")[0] == parent} or siblings
    hint = did_you_mean(key, near)
    return UserError(f"there is no key {key}", hint if parent else f"{hint}; every key: --cfg job")


def flatten(config: Any, prefix: str = "") -> Iterable[str]:
    """Return the dotted names of all keys, those of whole sections too."""
    for key, value in config.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")


class SweepFolder(Callback):
    """Remembers a sweep's folder, so that its summary can be written whatever becomes of its jobs."""

    folder: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first job."""
        SweepFolder.folder = Path(config.hydra.sweep.dir)
        SweepFolder.folder.parent.mkdir(parents=True, exist_ok=True)  # Optuna's study lies in outputs/ too
