"""The frame of the commands: arguments and environment are restored, and a sweep's folder reaches the caller."""

import errno
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import MissingConfigException
from omegaconf import DictConfig

from melanoma_pl import __version__, evaluate, predict, train
from melanoma_pl.config import app
from melanoma_pl.config.app import (
    FULL_ERROR,
    Console,
    LogFile,
    as_user_error,
    count_jobs,
    job_of_sweep,
    jobs_beforehand,
    list_groups,
    run_command,
    run_hydra_with_argv,
    split_arguments,
)
from melanoma_pl.data import __main__ as data
from melanoma_pl.errors import RunStopped, UserError
from melanoma_pl.messages import IN_FILE, ON_SCREEN
from melanoma_pl.runs import __main__ as runs


@pytest.mark.parametrize("before", [None, "0", "1"])
@pytest.mark.parametrize("refused", [False, True])
def test_arguments_and_environment_are_restored(
    before: str | None, refused: bool, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["command", "typed"])
    if before is None:
        monkeypatch.delenv(FULL_ERROR, raising=False)
    else:
        monkeypatch.setenv(FULL_ERROR, before)
    seen = []

    def job(config: DictConfig) -> None:
        seen.append((sys.argv[1:], config.seed))
        if refused:
            raise UserError("no")

    try:
        run_hydra_with_argv("train", job, ["seed=7"])
    except UserError:
        assert refused
    assert seen == [(["seed=7"], 7)]
    assert sys.argv == ["command", "typed"]
    assert os.environ.get(FULL_ERROR) == before


def test_the_folder_of_a_sweep_reaches_the_caller_even_if_its_jobs_fail(work_folder: Path) -> None:
    def job(config: DictConfig) -> float:
        raise UserError("no")

    folders: list[Path] = []
    with pytest.raises(UserError):
        run_hydra_with_argv("train", job, ["-m", "seed=1,2", "hydra.sweep.dir=sweep"], folders)
    assert folders == [Path("sweep")]
    run_hydra_with_argv("train", lambda config: None, ["seed=1"], folders)
    assert folders == [Path("sweep")]


def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def command(arguments: list[str]) -> int:
        raise UserError(f"{arguments[0]} is wrong", "take another")

    assert run_command(command, ["this"]) == 2
    assert capsys.readouterr().err == "error: this is wrong: take another\n"


@pytest.mark.parametrize("module", [train, evaluate, predict, data, runs])
def test_every_command_answers_its_version(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(module.command, ["--version"]) == 0
    assert capsys.readouterr().out == f"melanoma-pl {__version__}\n"


def test_flags_may_stand_between_overrides() -> None:
    arguments = ["seed=1,2", "-m", "data=folder", "--config-dir", "mine", "data.root=images", "--cfg=job"]
    overrides, flags = split_arguments(arguments)
    assert overrides == ["seed=1,2", "data=folder", "data.root=images"]
    assert flags == ["-m", "--config-dir", "mine", "--cfg=job"]


def test_flags_between_overrides_reach_hydra(work_folder: Path) -> None:
    seeds = []
    arguments = ["deterministic=true", "-m", "seed=1,2", "hydra.sweep.dir=sweep"]
    run_hydra_with_argv("train", lambda config: seeds.append((config.seed, config.deterministic)), arguments)
    assert seeds == [(1, True), (2, True)]


def test_every_value_of_a_sweep_is_composed_beforehand() -> None:
    swept = ["seed=range(3,6)", "-m", "optimizer=adamw,adam", "optimizer.lr=interval(1e-4,1e-2)"]
    jobs = [
        (config["seed"], config["optimizer"]["_target_"].rpartition(".")[2], config["optimizer"]["lr"])
        for config in jobs_beforehand("train", swept)
    ]
    assert jobs == [(seed, name, 1e-3) for seed in (3, 4, 5) for name in ("AdamW", "Adam")]
    assert list(jobs_beforehand("train", ["-m", "optimizer=glob(*)"])) == []


def test_of_a_large_sweep_each_value_is_composed_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MOST_JOBS", 5)
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


def test_what_the_screen_shows_of_a_job(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("tests.console")
    log.addHandler(console := Console())
    log.setLevel(logging.INFO)
    try:
        log.info("shown")
        log.info("for the file", extra=IN_FILE)
        with job_of_sweep("job 2/4", is_alone=True):
            log.warning("of a job")
            log.info("its line", extra=ON_SCREEN)
        log.info("shown again")
    finally:
        log.removeHandler(console)
    assert capsys.readouterr().out.splitlines() == ["shown", "job 2/4  its line", "shown again"]


def test_a_failing_job_has_no_line_of_hydras(work_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def job(config: DictConfig) -> float:
        raise RuntimeError(f"no luck with {config.seed}")

    with pytest.raises(RuntimeError, match="no luck with 1"):
        run_hydra_with_argv("train", job, ["-m", "seed=1,2"])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("file", "package"),
    [
        ("hydra/launcher/joblib", "melanoma-pl[parallel]"),
        ("hydra/sweeper/optuna", "melanoma-pl[optuna]"),
        ("hydra/launcher/submitit_slurm", "hydra-submitit-launcher"),
    ],
)
def test_an_extra_that_is_not_installed_is_named(file: str, package: str) -> None:
    error = as_user_error(MissingConfigException("", file, ["basic"]), "train")
    assert f"pip install '{package}'" in str(error)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_found_behind_the_error_of_the_code_that_it_interrupted(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: list[str]) -> int:
        try:
            os.kill(os.getpid(), number)
        finally:
            raise UserError("cleaning up failed")

    assert run_command(command, []) == code
    assert capsys.readouterr().err == "stopped\n"


def test_a_stop_that_the_log_tells_is_not_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    def command(arguments: list[str]) -> int:
        stop = RunStopped(signal.SIGTERM)
        stop.is_told = True
        raise stop

    assert run_command(command, []) == 143
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_one_line_whoever_writes(work_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "events")

    def job(config: DictConfig) -> None:
        thread = threading.Thread(target=write)  # as TensorBoard does
        thread.start()
        thread.join()
        log = LogFile("/dev/full")
        log.handle(logging.makeLogRecord({"msg": "a line" * 10_000}))
        log.close()
        write()

    def command(arguments: list[str]) -> int:
        run_hydra_with_argv("train", job, arguments)
        return 0

    assert run_command(command, ["hydra/job_logging=screen"]) == 2
    assert capsys.readouterr().err == "error: no space is left to write events: make some, then go on\n"


def test_groups_are_listed_with_their_options() -> None:
    lines = list_groups().splitlines()
    assert "  optimizer     adam, adamw" in lines
    assert not any(line.strip().startswith("hydra") for line in lines)
