"""Arguments and the configuration that Hydra composes from them, without running anything. Light."""

import math
import re
from collections.abc import Iterable, Iterator
from itertools import islice, product
from pathlib import Path
from textwrap import indent
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from melanoma_pl.config.schema import direction
from melanoma_pl.errors import UserError, did_you_mean
from melanoma_pl.messages import format_table

QUOTING = (
    "put a value with spaces, accents, parentheses, commas or = into two kinds of quotes: "
    "'data.root=\"/my images (1)\"'"
)
PLUGINS = {  # options that Hydra finds only once a package is installed → what to install
    "hydra/launcher/joblib": "melanoma-pl[parallel]",
    "hydra/launcher/submitit_local": "melanoma-pl[slurm]",
    "hydra/launcher/submitit_slurm": "melanoma-pl[slurm]",
}
MOST_JOBS = 50  # configurations that are composed before a sweep begins; each takes about 0.1 s
OPEN = (  # sections that a user may add keys to
    "trainer", "optimizer", "model", "scheduler", "augmentation", "callbacks", "logger", "metrics", "data.folder_names",
)  # fmt: skip

OmegaConf.register_new_resolver(
    "direction_of", lambda metric: {"min": "minimize", "max": "maximize"}[direction(metric)], replace=True
)


CONDITIONS = ("data.where", "source")  # keys whose values are column=value


def conf_dir() -> Path:
    """Return the folder `conf/`: that of the installed package, or else that of the repository."""
    package = Path(__file__).parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parents[1] / "conf"


def config_groups() -> dict[str, list[str]]:
    """Return the options of each configuration group of `melanoma-train`."""
    folders = sorted(folder for folder in conf_dir().iterdir() if folder.is_dir() and folder.name != "hydra")
    return {folder.name: sorted(file.stem for file in folder.glob("*.yaml")) for folder in folders}


def list_groups() -> str:
    """Return the configuration groups with their options, one line each."""
    rows = [(name, ", ".join(options)) for name, options in config_groups().items()]
    return indent("\n".join(format_table(rows, "<")), "  ")


def quoted_condition(argument: str) -> str:
    """Return a condition `key=column=value` with the quotes that Hydra needs, and any other argument as it is."""
    key, _, value = argument.partition("=")
    is_plain = key in CONDITIONS and "=" in value and not value.startswith(("'", '"'))
    return f'{key}="{value}"' if is_plain else argument


def split_arguments(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the overrides, and Hydra's flags with their values (`--cfg job`), whatever their order.

    Raises:
        UserError: If a flag is unknown or lacks its value, or an override lacks a key.
    """

    def refuse(message: str) -> NoReturn:
        raise UserError(message, "options are written key=value; see --help")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]  # by default it prints all flags of Hydra, and exits
    rest = list(arguments)
    overrides: list[str] = parser.parse_intermixed_args(rest).overrides
    for override in overrides:
        if not override.partition("=")[0].strip("+~"):
            raise UserError(f"the override {override} lacks a key", "write key=value")
        rest.remove(override)
    return overrides, rest


def jobs_beforehand(config_name: str, arguments: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Return configurations of a sweep's jobs as plain values, without loggers.

    They are those of all jobs or, of a larger sweep than `MOST_JOBS`, so many that each value of each key occurs. Where
    a sweeper draws a value from a range, the value is that of the configuration. What only Hydra can tell, such as a
    glob over the options of a group, is left out.

    Raises:
        UserError: If an override is refused.
    """
    overrides, flags = split_arguments(arguments)
    config_dir = get_args_parser().parse_args(flags).config_dir
    try:
        choices = _choices(overrides)
    except OverrideParseException as error:
        raise as_user_error(error, config_name) from error
    except HydraException:
        return
    given = [texts for texts in choices if texts]
    composed = [list(job) for job in islice(product(*given), MOST_JOBS + 1)]
    if len(composed) > MOST_JOBS:
        first = composed[0]
        composed = [first] + [
            [*first[:index], text, *first[index + 1 :]] for index, texts in enumerate(given) for text in texts[1:]
        ]
    for chosen in composed[:MOST_JOBS]:
        config = compose_config(config_name, chosen, config_dir)
        with open_dict(config):
            config.logger = {}  # their folder is that of the job, which does not exist yet
        try:
            values: Any = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException:  # another value that needs the job's folder
            return
        yield dict(values)


def is_search(arguments: Iterable[str]) -> bool:
    """Tell whether a sweep's arguments choose Optuna's search."""
    return any(text in ("sweep=optuna", "hydra/sweeper=search") for text in arguments)


def count_jobs(arguments: Iterable[str]) -> int | None:
    """Return the number of jobs of a grid; None for a search, whose sweeper decides."""
    try:
        overrides = split_arguments(arguments)[0]
        parsed = OverridesParser.create().parse_overrides(overrides)
        if any(each.is_sweep_override() and not each.is_discrete_sweep() for each in parsed):
            return None
        if is_search(overrides):
            return None
        return math.prod(len(texts) for texts in _choices(overrides))
    except (HydraException, UserError):
        return None


def _choices(overrides: list[str]) -> list[list[str]]:
    """Return the overrides that each argument stands for: one, several of a grid, or none for a range."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return [
        [text]
        if not each.is_sweep_override()
        else [f"{each.get_key_element()}={value}" for value in each.sweep_string_iterator()]
        if each.is_discrete_sweep()
        else []
        for text, each in zip(overrides, parsed, strict=True)
    ]


def compose_config(config_name: str, overrides: list[str], config_dir: str | None = None) -> DictConfig:
    """Return the configuration that these overrides make, without running anything.

    Args:
        config_name: `train` or `evaluate`.
        overrides: Arguments such as `data.root=images`.
        config_dir: A folder with configuration of the user's own, as for `--config-dir`.

    Raises:
        UserError: If an override is refused.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            own = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
            return compose(config_name, [*map(quoted_condition, overrides), *own])
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise as_user_error(error, config_name) from error


def as_user_error(error: Exception, config_name: str) -> UserError:
    """Return an error of Hydra or OmegaConf as one line with the way out."""
    if isinstance(error, OverrideParseException):
        is_word = re.fullmatch(r"[\w./-]+", error.override)
        return UserError(f"the override {error.override} cannot be read", "write key=value" if is_word else QUOTING)
    text = " ".join(f"{error} {error.__cause__ or ''}".split())
    if text.startswith("Config group override must be"):
        return UserError(text.rstrip(" ."), "write <group>=<option>, such as optimizer=adam; every group: --help")
    if isinstance(error, MissingConfigException) and error.options is not None:
        file = error.missing_cfg_file or ""
        group, _, option = file.rpartition("/")
        if file in PLUGINS:
            return UserError(f"{group}={option} needs a package", f"pip install '{PLUGINS[file]}'")
        return UserError(f"{group}={option} does not exist", did_you_mean(option, error.options))
    if found := re.search(r"Could not override '([^']+)'", text):
        inner = re.search(rf"full_key: ({re.escape(found[1])}\.\S+)", text)  # in a mapping that was given as the value
        return _unknown_key((inner or found)[1], config_name)
    if found := re.search(r"Missing mandatory value: (\S+)", text):
        return UserError(f"{found[1]} is not set", f"give it: {found[1]}=<value>")
    return UserError(text)


def _unknown_key(key: str, config_name: str) -> UserError:
    config = OmegaConf.to_container(compose_config(config_name, []), resolve=False)
    known = {*dict(flatten(config)), *(config_groups() if config_name == "train" else ())}
    parent = key.rpartition(".")[0]
    siblings = {other for other in known if other.rpartition(".")[0] == parent}
    if parent.startswith(OPEN):
        more = f"; {did_you_mean(key, siblings)}" if siblings else ""
        return UserError(f"there is no key {key}", f"to add it: +{key}=<value>{more}")
    hint = did_you_mean(key, siblings or known)
    return UserError(f"there is no key {key}", hint if parent else f"{hint}; every key: --cfg job")


def flatten(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return the dotted name and the value of each key, sections included."""
    for key, value in config.items():
        yield f"{prefix}{key}", value
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
