"""A search by Optuna, as a sweeper of Hydra that can be killed at any moment and continued. Light.

Each job has a number and at least one trial of the study, which carries that number. The last trial of a number
counts: an interrupted one is marked as failed, and another one takes over its parameters. The sampler of each job is
seeded by its number, and jobs are asked for in the same groups: a continued search tries what an uninterrupted one
tries.
"""

import hashlib
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from melanoma_pl.config.schema import Strict
from melanoma_pl.config.sweep_folder import SweepError, begin_sweep, differs_from_job
from melanoma_pl.data.options import Count, Natural, Seed, Text
from melanoma_pl.errors import UserError
from melanoma_pl.specs import validated

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

JOB, ERROR = "job", "error"  # attributes of trials: the job's number, and why it failed
PLUGIN = "hydra_plugins.melanoma_pl.Search"  # Hydra takes sweepers from this package only


class SearchSettings(Strict):
    """Keys of `hydra.sweeper`."""

    study_name: Text
    storage: Text
    n_trials: Count
    n_jobs: Count
    direction: Literal["minimize", "maximize"]
    sampler: Literal["tpe", "random"]
    seed: Seed
    pruner: Literal["none", "median"]
    startup_trials: Natural
    warmup_epochs: Natural
    retry: bool
    trial: int | None
    params: dict[str, str]


class Outcome(NamedTuple):
    """The result of a job of a search.

    Attributes:
        value: The final value of `optimized_metric`; None if the job was pruned or has no such figure.
        by_epoch: The epoch, from 1 → its value.
        is_pruned: Whether the job was ended as hopeless.
    """

    value: float | None
    by_epoch: Mapping[int, float]
    is_pruned: bool


def search_settings(hydra: Any) -> SearchSettings:
    """Return the settings of a search from Hydra's own configuration.

    Raises:
        UserError: If one is not allowed.
    """
    values: Any = OmegaConf.to_container(hydra.sweeper, resolve=True)
    return validated(SearchSettings, {key: values[key] for key in values if key != "_target_"}, "hydra.sweeper.")


def pruning(hydra: Any) -> Callable[[Mapping[int, float]], bool] | None:
    """Return a function that tells whether a job is hopeless, from its values by epoch; None if jobs are not pruned.

    Args:
        hydra: Hydra's own configuration in the job.
    """
    if hydra.sweeper.get("trial") is None or hydra.sweeper.pruner == "none":
        return None
    settings = search_settings(hydra)
    study = open_study(settings)
    trial = import_module("optuna.trial").Trial(study, settings.trial)
    reported: set[int] = set()

    def is_hopeless(by_epoch: Mapping[int, float]) -> bool:
        report(trial, {epoch: value for epoch, value in by_epoch.items() if epoch not in reported})
        reported.update(by_epoch)
        return bool(trial.should_prune())

    return is_hopeless


def open_study(settings: SearchSettings) -> "Study":
    """Return the stored study, which is begun if there is none.

    Raises:
        SweepError: If its database cannot be used.
    """
    optuna = import_module("optuna")
    optuna.logging.set_verbosity(logging.ERROR)  # it writes to the terminal by a handler of its own
    pruner = optuna.pruners.NopPruner()
    if settings.pruner == "median":
        pruner = optuna.pruners.MedianPruner(settings.startup_trials, settings.warmup_epochs)
    try:
        study: Study = optuna.create_study(
            study_name=settings.study_name,
            storage=settings.storage,
            pruner=pruner,
            direction=settings.direction,
            load_if_exists=True,
        )
    except Exception as error:  # of SQLAlchemy, of its driver, or of Optuna for the tables of another version
        reason = str(error).splitlines()[0]
        raise SweepError(
            f"the study in {settings.storage} cannot be opened ({reason})", "name another storage"
        ) from error
    return study


def report(trial: "Trial", by_epoch: Mapping[int, float]) -> None:
    """Report the value of each epoch to Optuna, which counts steps from 0."""
    for epoch, value in by_epoch.items():
        trial.report(value, epoch - 1)


def last_trials(study: "Study") -> dict[int, "FrozenTrial"]:
    """Return the last trial of each job, by the job's number."""
    trials = study.get_trials(deepcopy=False)
    return {trial.user_attrs[JOB]: trial for trial in trials if JOB in trial.user_attrs}


def is_settled(trial: "FrozenTrial", retry: bool) -> bool:
    """Tell whether a job need not run again: it finished, was pruned, or failed by an error of its own."""
    return trial.state.name in ("COMPLETE", "PRUNED") or (ERROR in trial.user_attrs and not retry)


def release_interrupted(study: "Study") -> None:
    """Mark as failed what a killed search left running; Optuna's heartbeat does not know trials that were asked for."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "RUNNING":
            study.tell(trial.number, state=type(trial.state).FAIL)


def ask(study: "Study", job: int, distributions: Mapping[str, "BaseDistribution"], settings: SearchSettings) -> "Trial":
    """Return the next trial of a job: with the parameters of its last one, or with new ones.

    Args:
        study: The study, in which no trial waits but perhaps one of this job.
        job: The number of the job.
        distributions: The searched keys.
        settings: Which sampler, and its seed.
    """
    last = last_trials(study).get(job)
    if last is None or last.state.name != "WAITING":
        is_whole = last is not None and last.params.keys() == distributions.keys()
        study.enqueue_trial(last.params if last and is_whole else {}, user_attrs={JOB: job})
    samplers = import_module("optuna.samplers")
    seed = int(hashlib.sha256(f"{settings.seed} {job}".encode()).hexdigest()[:8], 16)
    study.sampler = {"tpe": samplers.TPESampler, "random": samplers.RandomSampler}[settings.sampler](seed=seed)
    return study.ask(dict(distributions))


def tell(study: "Study", trial: "Trial", result: JobReturn) -> None:
    """Settle a trial by what its job returned or raised."""
    states = import_module("optuna.trial").TrialState
    outcome = Outcome(None, {}, False) if result.status == JobStatus.FAILED else result.return_value
    if not outcome.is_pruned and (outcome.value is None or math.isnan(outcome.value)):
        trial.set_user_attr(ERROR, True)
        study.tell(trial, state=states.FAIL)
        return
    known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
    report(trial, {epoch: value for epoch, value in outcome.by_epoch.items() if epoch - 1 not in known})
    if outcome.is_pruned:
        study.tell(trial, state=states.PRUNED)
    else:
        study.tell(trial, outcome.value)


def distributions_of(overrides: Sequence[str]) -> tuple[dict[str, "BaseDistribution"], list[str]]:
    """Return the distribution of each searched key, and the overrides that are the same for all jobs.

    Args:
        overrides: Overrides of Hydra; of those with one key the last counts.

    Raises:
        UserError: If one of them searches a key of Hydra itself.
    """
    kinds = import_module("optuna.distributions")
    found: dict[str, BaseDistribution] = {}
    fixed: dict[str, str] = {}
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True):
        key = override.get_key_element()
        if key.lstrip("+~").startswith("hydra"):
            raise UserError(f"{text} would search a key of Hydra itself", "search keys of the configuration")
        found.pop(key, None)
        fixed.pop(key, None)
        if not override.is_sweep_override():
            fixed[key] = text
        elif override.is_choice_sweep():
            found[key] = kinds.CategoricalDistribution(list(override.sweep_string_iterator()))
        elif override.is_range_sweep():
            values: list[Any] = list(override.sweep_iterator())
            step: Any = override.value()
            is_whole = all(isinstance(each, int) for each in values)
            kind = kinds.IntDistribution if is_whole else kinds.FloatDistribution
            found[key] = kind(min(values), max(values), step=abs(step.step))
        else:
            interval: Any = override.value()
            is_whole = isinstance(interval.start, int) and isinstance(interval.end, int)
            kind = kinds.IntDistribution if is_whole else kinds.FloatDistribution
            found[key] = kind(interval.start, interval.end, log="log" in interval.tags)
    return found, list(fixed.values())


class Search(Sweeper):
    """Hydra's sweeper of `sweep=optuna`.

    The plugin `hydra-optuna-sweeper` asks for all trials again when it is continued, leaves interrupted ones as running
    for ever, cannot prune, and needs Optuna 2.
    """

    def __init__(self, **settings: Any) -> None:
        """Accept the keys of `hydra.sweeper`, which `setup` reads from the configuration."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what Hydra has composed.

        Raises:
            UserError: If a setting is not allowed, or Optuna is not installed.
        """
        self._loader, self._config = hydra_context.config_loader, config
        self.folder = Path(config.hydra.sweep.dir)
        self.settings = search_settings(config.hydra)
        try:
            import_module("optuna")
        except ImportError as error:
            raise UserError("sweep=optuna needs a package", "pip install 'melanoma-pl[optuna]'") from error
        self._launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run all jobs that have not finished.

        Raises:
            UserError: If another process runs this search, or the folder holds one with other settings.
            Exception: That of a job, once all jobs have run.
        """
        searched = [f"{key}={value}" for key, value in self.settings.params.items()]
        distributions, fixed = distributions_of([*searched, *arguments])
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock").acquire(timeout=0):
                self._run(open_study(self.settings), distributions, fixed)
        except Timeout as error:
            raise SweepError(f"another process searches in {self.folder} now", "wait for it") from error
        except import_module("optuna.exceptions").StorageInternalError as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise SweepError(
                f"the study cannot be written ({reason})", "correct it, then type the command again"
            ) from error

    def _run(self, study: "Study", distributions: Mapping[str, "BaseDistribution"], fixed: Sequence[str]) -> None:
        settled = {
            job: trial for job, trial in last_trials(study).items() if is_settled(trial, retry=self.settings.retry)
        }
        self._check_same(settled, distributions, fixed)
        begin_sweep(self._config)
        if settled:
            print(f"going on with {self.folder}: {len(settled)} of {self.settings.n_trials} trials are kept")
        release_interrupted(study)
        failures = []
        for group in groups([job for job in range(self.settings.n_trials) if job not in settled], self.settings.n_jobs):
            trials = [ask(study, job, distributions, self.settings) for job in group]
            results = self._launcher.launch([self._overrides(each, fixed) for each in trials], initial_job_idx=group[0])
            for trial, result in zip(trials, results, strict=True):
                tell(study, trial, result)
            failures += [result for result in results if result.status == JobStatus.FAILED]
        for result in failures:
            _ = result.return_value  # raises the job's error
        if any(ERROR in trial.user_attrs for trial in settled.values()):
            raise UserError("trials failed before", "retry=true tries them again")

    @staticmethod
    def _overrides(trial: "Trial | FrozenTrial", fixed: Sequence[str]) -> list[str]:
        number = getattr(trial, "_trial_id", None)
        return [*fixed, *(f"{key}={value}" for key, value in trial.params.items()), f"hydra.sweeper.trial={number}"]

    def _check_same(
        self,
        settled: Mapping[int, "FrozenTrial"],
        distributions: Mapping[str, "BaseDistribution"],
        fixed: Sequence[str],
    ) -> None:
        """Refuse to go on with a search that had other settings."""
        way_out = "to begin another search, name it: hydra.sweeper.study_name=<name>"
        for job, trial in settled.items():
            if trial.distributions != distributions:
                differing = sorted(
                    key
                    for key in trial.distributions.keys() | distributions.keys()
                    if trial.distributions.get(key) != distributions.get(key)
                )
                raise SweepError(f"the search in {self.folder} has another range of {differing[0]}", way_out)
            config = self._loader.load_sweep_config(self._config, self._overrides(trial, fixed))
            if told := differs_from_job(self.folder, job, config):
                raise SweepError(f"the search in {self.folder} {told}", way_out)
            return  # the others have the same settings


def groups(jobs: Sequence[int], size: int) -> list[list[int]]:
    """Return the jobs that run at a time: those that an uninterrupted search runs together, without the settled ones.

    Args:
        jobs: Numbers of the jobs, ascending.
        size: Jobs at a time.
    """
    found: list[list[int]] = []
    for job in jobs:
        follows = found and found[-1][-1] == job - 1 and job % size != 0
        if follows:
            found[-1].append(job)
        else:
            found.append([job])
    return found
