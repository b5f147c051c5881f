"""Runs that can be resumed, and records that cannot be read."""

import os
from pathlib import Path

import pytest
from tests.unit.runs.run_examples import write_run

from melanoma_pl.errors import UserError
from melanoma_pl.runs.run_folder import newest_unfinished, open_run

BROKEN = ["", "{", "[]", "3", "{}", '{"format": 2}', "\xff"]


def write_at(time: int, folder: Path, content: str = "", **record: object) -> None:
    """Write a record that was last changed at a time: its content, or that of an example."""
    write_run(folder, **record)  # type: ignore[arg-type]
    if "finished" not in record:
        (folder / "run.json").write_text(content, encoding="latin-1")
    os.utime(folder / "run.json", (time, time))


@pytest.mark.parametrize("content", BROKEN)
def test_broken_records_are_not_resumed(content: str, tmp_path: Path) -> None:
    write_at(1, tmp_path / "older", finished=False)
    write_at(2, tmp_path / "stopped", finished=False)
    write_at(3, tmp_path / "failed", finished=False, error="no memory")
    write_at(4, tmp_path / "finished", finished=True)
    write_at(5, tmp_path / "broken", content)
    assert newest_unfinished(tmp_path).folder == tmp_path / "stopped"


@pytest.mark.parametrize("content", BROKEN)
def test_nothing_but_broken_records(content: str, tmp_path: Path) -> None:
    write_at(1, tmp_path / "broken", content)
    with pytest.raises(UserError, match="there is no unfinished run under"):
        newest_unfinished(tmp_path)


@pytest.mark.parametrize(("content", "reason"), [("{", "Expecting property name"), ("[]", "it is not a JSON object")])
def test_a_broken_record_is_refused_by_name(content: str, reason: str, tmp_path: Path) -> None:
    write_at(1, tmp_path / "broken", content)
    with pytest.raises(UserError, match=f"run.json cannot be read .{reason}"):
        open_run(tmp_path / "broken")


@pytest.mark.parametrize("version", [None, 1, 3])
def test_a_record_of_another_format_is_refused_with_the_way_out(version: int | None, tmp_path: Path) -> None:
    write_run(tmp_path / "old", format=version)
    with pytest.raises(UserError, match=r"run.json was written by melanoma_pl before 0.2: train anew"):
        open_run(tmp_path / "old")
