"""Arguments of any order, the jobs that a grid stands for, and errors of Hydra as one line."""

import pytest
from hydra.errors import MissingConfigException

from melanoma_pl.config import composition
from melanoma_pl.config.composition import as_user_error, count_jobs, jobs_beforehand, list_groups, split_arguments


def test_flags_may_stand_between_overrides() -> None:
    arguments = ["seed=1,2", "-m", "data=folder", "--config-dir", "mine", "data.root=images", "--cfg=job"]
    overrides, flags = split_arguments(arguments)
    assert overrides == ["seed=1,2", "data=folder", "data.root=images"]
    assert flags == ["-m", "--config-dir", "mine", "--cfg=job"]


def test_every_value_of_a_sweep_is_composed_beforehand() -> None:
    swept = ["seed=range(3,6)", "-m", "optimizer=adamw,adam", "optimizer.lr=interval(1e-4,1e-2)"]
    jobs = [
        (config["seed"], config["optimizer"]["_target_"].rpartition(".")[2], config["optimizer"]["lr"])
        for config in jobs_beforehand("train", swept)
    ]
    assert jobs == [(seed, name, 1e-3) for seed in (3, 4, 5) for name in ("AdamW", "Adam")]
    assert list(jobs_beforehand("train", ["-m", "optimizer=glob(*)"])) == []


def test_of_a_large_sweep_each_value_is_composed_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composition, "MOST_JOBS", 5)
    swept = ["-m", "seed=3,4,5", "data.batch_size=8,16"]
    jobs = [(config["seed"], config["data"]["batch_size"]) for config in jobs_beforehand("train", swept)]
    assert jobs == [(3, 8), (4, 8), (5, 8), (3, 16)]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["-m", "seed=1,2", "optimizer.lr=1e-4,1e-3,1e-2", "data.batch_size=8"], 6),
        (["-m", "seed=range(3,6)"], 3),
        (["-m", "optimizer.lr=interval(1e-4,1e-2)"], None),
        (["-m", "sweep=optuna", "seed=1,2"], None),
    ],
)
def test_the_jobs_of_a_grid_are_counted(arguments: list[str], count: int | None) -> None:
    assert count_jobs(arguments) == count


@pytest.mark.parametrize(
    ("file", "package"),
    [
        ("hydra/launcher/joblib", "melanoma-pl[parallel]"),
        ("hydra/launcher/submitit_slurm", "melanoma-pl[slurm]"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(file: str, package: str) -> None:
    error = as_user_error(MissingConfigException("", file, ["basic"]), "train")
    assert f"pip install '{package}'" in str(error)


def test_groups_are_listed_with_their_options() -> None:
    lines = list_groups().splitlines()
    assert "  optimizer     adam, adamw" in lines
    assert not any(line.strip().startswith("hydra") for line in lines)


def test_a_condition_needs_no_quotes() -> None:
    assert composition.compose_config("evaluate", ["run=a", "source=clinic=A"])["source"] == "clinic=A"
    assert composition.compose_config("train", ["data.where='clinic=A'"])["data"]["where"] == "clinic=A"
    assert composition.quoted_condition("data.root=a") == "data.root=a"
