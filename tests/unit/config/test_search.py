"""A search by Optuna: what it asks for, what it asks for again, and which jobs are hopeless."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from melanoma_pl.config import search
from melanoma_pl.config.search import Outcome, SearchSettings, groups, is_settled, last_trials
from melanoma_pl.errors import UserError

optuna = pytest.importorskip("optuna", reason="needs the extra optuna")

OVERRIDES = ["lr=tag(log, interval(1e-4, 1e-2))", "dropout=interval(0.0, 0.6)", "size=1,2,4"]


def settings(folder: Path, **changes: Any) -> SearchSettings:
    values = {
        "study_name": "s", "storage": f"sqlite:///{folder}/optuna.db", "n_trials": 6, "n_jobs": 1, "sampler": "tpe",
        "direction": "maximize", "seed": 3, "pruner": "none", "startup_trials": 1, "warmup_epochs": 0, "retry": False,
        "trial": None, "params": {},
    }  # fmt: skip
    return SearchSettings(**values | changes)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Any]:
    found = search.open_study(settings(tmp_path))
    yield found
    found._storage.remove_session()


def result(value: float | None, by_epoch: dict[int, float] | None = None, is_pruned: bool = False) -> JobReturn:
    return JobReturn(_return_value=Outcome(value, by_epoch or {}, is_pruned), status=JobStatus.COMPLETED)


FAILED = JobReturn(_return_value=RuntimeError("no luck"), status=JobStatus.FAILED)


def figure(params: dict[str, Any]) -> float:
    return float(params["dropout"] + params["lr"])


def values(study: Any) -> list[tuple[int, dict[str, Any], float | None]]:
    return [(job, trial.params, trial.value) for job, trial in sorted(last_trials(study).items())]


def run(folder: Path, n_jobs: int = 1, asked: int | None = None, told: int | None = None) -> Any:
    """Run a search of 14 trials, of which the sampler models the last four.

    Args:
        folder: The sweep's folder.
        n_jobs: Jobs at a time.
        asked: Number of the job after which it is killed while it asks for trials.
        told: The same, before it tells the figure of that job.
    """
    chosen = settings(folder, n_trials=14)
    study = search.open_study(chosen)
    distributions, _ = search.distributions_of(OVERRIDES)
    search.release_interrupted(study)
    settled = {job for job, trial in last_trials(study).items() if is_settled(trial, retry=False)}
    for group in groups(sorted(set(range(14)) - settled), n_jobs):
        trials = []
        for job in group:
            trials.append(search.ask(study, job, distributions, chosen))
            if job == asked:
                return study
        for job, trial in zip(group, trials, strict=True):
            if job == told:
                return study
            search.tell(study, trial, result(figure(trial.params)))
    return study


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_killed_search_tries_what_an_uninterrupted_one_tries(n_jobs: int, tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = run(tmp_path / "whole", n_jobs)
    for asked, told in ((0, None), (None, 1), (3, None), (None, 5), (12, None), (None, 13)):
        run(tmp_path / "killed", n_jobs, asked, told)
    killed = run(tmp_path / "killed", n_jobs)
    assert values(killed) == values(whole)
    assert len(killed.trials) > 14
    assert {trial.state.name for trial in killed.trials} == {"COMPLETE", "FAIL"}, "none is left running"


def test_an_interrupted_trial_keeps_its_parameters(study: Any, tmp_path: Path) -> None:
    distributions, _ = search.distributions_of(OVERRIDES)
    before = search.ask(study, 0, distributions, settings(tmp_path)).params
    search.release_interrupted(study)
    again = search.ask(study, 0, distributions, settings(tmp_path, seed=77))
    assert again.params == before, "although another seed would draw others"
    assert again.number == 1


def test_a_trial_interrupted_while_it_was_asked_for_is_drawn_again(study: Any, tmp_path: Path) -> None:
    distributions, _ = search.distributions_of(OVERRIDES)
    study.enqueue_trial({}, user_attrs={search.JOB: 0})
    study.ask({"lr": distributions["lr"]})
    search.release_interrupted(study)
    found = search.ask(study, 0, distributions, settings(tmp_path)).params
    (tmp_path / "other").mkdir()
    other = settings(tmp_path / "other")
    assert found == search.ask(search.open_study(other), 0, distributions, other).params


def test_a_trial_that_waits_is_not_enqueued_twice(study: Any, tmp_path: Path) -> None:
    study.enqueue_trial({}, user_attrs={search.JOB: 0})  # and then it was killed
    search.ask(study, 0, search.distributions_of(OVERRIDES)[0], settings(tmp_path))
    assert [trial.state.name for trial in study.trials] == ["RUNNING"]


def test_a_failed_job_stays_failed_unless_retried(study: Any, tmp_path: Path) -> None:
    trial = search.ask(study, 0, search.distributions_of(OVERRIDES)[0], settings(tmp_path))
    search.tell(study, trial, FAILED)
    (last,) = last_trials(study).values()
    assert last.state.name == "FAIL"
    assert is_settled(last, retry=False) and not is_settled(last, retry=True)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_job_without_a_figure_has_failed(value: float | None, study: Any, tmp_path: Path) -> None:
    trial = search.ask(study, 0, search.distributions_of(OVERRIDES)[0], settings(tmp_path))
    search.tell(study, trial, result(value))
    assert study.trials[0].state.name == "FAIL"


def test_values_of_epochs_are_completed(study: Any, tmp_path: Path) -> None:
    trial = search.ask(study, 0, search.distributions_of(OVERRIDES)[0], settings(tmp_path))
    trial.report(0.5, 0)  # by the job, before it was killed
    search.tell(study, trial, result(None, {1: 0.5, 2: 0.4}, is_pruned=True))
    assert study.trials[0].state.name == "PRUNED"
    assert study.trials[0].intermediate_values == {0: 0.5, 1: 0.4}


@pytest.mark.parametrize(("pruner", "hopeless"), [("median", True), ("none", None)])
def test_a_job_below_the_median_is_hopeless(pruner: str, hopeless: bool | None, tmp_path: Path) -> None:
    chosen = settings(tmp_path, pruner=pruner, startup_trials=2, warmup_epochs=1)
    study = search.open_study(chosen)
    distributions, _ = search.distributions_of(OVERRIDES)
    for job, value in enumerate((0.7, 0.9)):
        trial = search.ask(study, job, distributions, chosen)
        search.tell(study, trial, result(value, {1: value, 2: value}))
    trial = search.ask(study, 2, distributions, chosen)
    values_of = chosen.model_dump() | {"trial": trial._trial_id, "_target_": search.PLUGIN}
    is_hopeless = search.pruning(SimpleNamespace(sweeper=OmegaConf.create(values_of)))
    if hopeless is None:
        assert is_hopeless is None
        return
    assert is_hopeless is not None
    assert not is_hopeless({1: 0.1}), "within the first epochs"
    assert is_hopeless({1: 0.1, 2: 0.6})
    assert study.trials[2].intermediate_values == {0: 0.1, 1: 0.6}


def test_jobs_run_in_the_groups_of_an_uninterrupted_search() -> None:
    assert groups(range(5), 2) == [[0, 1], [2, 3], [4]]
    assert groups([1, 2, 3, 6, 8, 9], 4) == [[1, 2, 3], [6], [8, 9]]
    assert groups([], 2) == []


def test_overrides_become_distributions() -> None:
    found, fixed = search.distributions_of(
        [
            "a=interval(0.0, 1.0)",
            "b=int(interval(1, 3))",
            "c=range(1, 8, 2)",
            "d=x,null",
            "a=0.5",
            "seed=1",
            "e=range(0.0,1.0,0.5)",
        ]
    )
    assert fixed == ["a=0.5", "seed=1"]
    assert found == {
        "b": optuna.distributions.IntDistribution(1, 3),
        "c": optuna.distributions.IntDistribution(1, 7, step=2),
        "d": optuna.distributions.CategoricalDistribution(["x", "null"]),
        "e": optuna.distributions.FloatDistribution(0.0, 0.5, step=0.5),
    }


def test_hydra_itself_is_not_searched() -> None:
    with pytest.raises(UserError, match="key of Hydra itself"):
        search.distributions_of(["hydra.launcher._target_=a,b"])


def test_a_database_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "optuna.db").write_text("no database, but long enough to be taken for a broken one" * 20)
    with pytest.raises(UserError, match="cannot be opened"):
        search.open_study(settings(tmp_path))
