"""The frame of the commands: arguments and environment are restored, and a sweep's folder reaches the caller."""

import errno
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from melanoma_pl import __version__, evaluate, predict, train
from melanoma_pl.config.app import (
    FULL_ERROR,
    Console,
    LogFile,
    end_process,
    heavy_imports,
    job_of_sweep,
    run_command,
    run_hydra_with_argv,
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


def test_flags_between_overrides_reach_hydra(work_folder: Path) -> None:
    seeds = []
    arguments = ["deterministic=true", "-m", "seed=1,2", "hydra.sweep.dir=sweep"]
    run_hydra_with_argv("train", lambda config: seeds.append((config.seed, config.deterministic)), arguments)
    assert seeds == [(1, True), (2, True)]


def test_a_failing_job_has_no_line_of_hydras(work_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def job(config: DictConfig) -> float:
        raise RuntimeError(f"no luck with {config.seed}")

    with pytest.raises(RuntimeError, match="no luck with 1"):
        run_hydra_with_argv("train", job, ["-m", "seed=1,2"])
    assert capsys.readouterr() == ("", "")


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


def test_no_garbage_is_collected_while_pytorch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "freeze", lambda: None)  # of this process, other tests count objects
    with heavy_imports():
        assert gc.isenabled()  # it has been imported already
    monkeypatch.delitem(sys.modules, "torch")
    with heavy_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_command_ends_with_its_code_and_all_that_waits_for_the_end(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):  # the process is not that of a command
        end_process(3)
    program = tmp_path / "melanoma-train"
    program.write_text(
        "import atexit, sys, types\n"
        "from melanoma_pl.config.app import end_process\n"
        "sys.modules['torch'] = types.ModuleType('torch')\n"
        "atexit.register(print, 'last')\n"
        "print('first')\n"
        "end_process(3)\n"
    )
    ended = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "first\nlast\n", "")
