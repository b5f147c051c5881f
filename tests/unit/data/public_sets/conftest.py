"""The command as a user runs it, and a check that a refusal is one line and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Command, Result
from tests.unit.data.public_sets.downloads import files_below

from melanoma_pl.data.__main__ import command

Prepare = Callable[..., Result]


@pytest.fixture
def prepare(run_command: Command) -> Prepare:
    """Run `melanoma-data prepare` in the work_folder."""

    def run(*arguments: str) -> Result:
        return run_command(command, "prepare", *arguments)

    return run


@pytest.fixture
def refused(prepare: Prepare, work_folder: Path) -> Callable[..., str]:
    """Run it, and return its one line of error; nothing may be left behind."""

    def run(*arguments: str) -> str:
        before = files_below(work_folder), sorted(path.name for path in work_folder.iterdir())
        result = prepare(*arguments)
        assert result.code == 2, result.output
        assert result.output == ""
        assert result.error.startswith("error: ")
        assert len(result.error.strip().splitlines()) == 1
        assert (files_below(work_folder), sorted(path.name for path in work_folder.iterdir())) == before
        return result.error

    return run
