"""The frame of the commands: arguments and environment are restored, and a sweep's folder reaches the caller."""

import os
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig

from melanoma_pl.config.app import FULL_ERROR, list_groups, run_command, run_hydra_with_argv
from melanoma_pl.errors import UserError


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


def test_groups_are_listed_with_their_options() -> None:
    lines = list_groups().splitlines()
    assert "  optimizer     adam, adamw" in lines
    assert not any(line.strip().startswith("hydra") for line in lines)
