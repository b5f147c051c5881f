"""Runs that can be resumed, and records that cannot be read."""

import json
import os
from pathlib import Path

import pytest
from tests.unit.runs.run_examples import write_run

from melanoma_pl.errors import UserError
from melanoma_pl.runs.run_folder import Run, newest_finished, newest_unfinished, open_run, report_name

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


NEEDED = ["command", "folder", "overrides", "config_dirs", "config", "composed", "in_sweep", "versions", "git_commit"]
NEEDED += ["started", "finished", "config.name", "config.data", "config.data.root", "config.data.class_names"]
NEEDED += ["config.trainer.max_epochs", "config.checkpoint.evaluate", "config.optimized_metric", "config.augmentation"]


@pytest.mark.parametrize("key", NEEDED)
def test_a_record_without_a_key_is_refused_in_one_line_that_names_it(key: str, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run") / "run.json"
    record = json.loads(path.read_text())
    *sections, last = key.split(".")
    section = record
    for name in sections:
        section = section[name]
    del section[last]
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=rf"run.json cannot be read \({key} is missing\)") as error:
        open_run(tmp_path / "run")
    assert "\n" not in str(error.value)


WRONG = {
    "finished": "false",
    "overrides": "seed=1",
    "config_dirs": None,
    "config": [],
    "figures": {"val/auroc": "high"},
}
WRONG |= {"command": 3, "in_sweep": 1, "threads": 0, "versions": ["torch"], "error": None}


@pytest.mark.parametrize("key", WRONG)
def test_a_value_of_another_kind_is_refused_by_name(key: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", **{key: WRONG[key]})
    with pytest.raises(UserError, match=rf"run.json cannot be read \({key}\S*=.* is not allowed"):
        open_run(tmp_path / "run")


def test_the_record_of_a_failed_job_is_read_although_its_settings_are_wrong(tmp_path: Path) -> None:
    write_run(tmp_path / "run", finished=False, error="no", config={"trainer": {"max_epochs": "abc"}})
    assert Run(tmp_path / "run").read()["error"] == "no"


def test_recorded_epochs_are_counted(tmp_path: Path) -> None:
    assert Run(tmp_path).epochs() == 0
    (tmp_path / "metrics.csv").write_text("epoch,step\n1,4\n2,8\n")
    assert Run(tmp_path).epochs() == 2


def test_figures_of_epochs_are_read_back(tmp_path: Path) -> None:
    assert Run(tmp_path).figures_by_epoch() == []
    (tmp_path / "metrics.csv").write_text("epoch,step,val/loss\n1,10,\n2,20,0.5\n")
    rows = Run(tmp_path).figures_by_epoch()
    assert rows == [{"epoch": 1.0, "step": 10.0}, {"epoch": 2.0, "step": 20.0, "val/loss": 0.5}]
    (tmp_path / "metrics.csv").write_text("epoch,step\nbroken\n")
    assert Run(tmp_path).figures_by_epoch() == []


def write_finished(folder: Path, ended: str, **record: object) -> Path:
    """Write a finished run with its best checkpoint."""
    write_run(folder, ended=ended, **record)  # type: ignore[arg-type]
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/best.ckpt").touch()
    return folder


def test_the_latest_run_is_the_one_that_finished_last(tmp_path: Path) -> None:
    latest = write_finished(tmp_path / "baseline/a", "2026-02-01T00:00:00+00:00")
    write_finished(tmp_path / "baseline/b", "2026-01-01T00:00:00+00:00")  # its file is newer
    write_finished(tmp_path / "sweep/0", "2026-03-01T00:00:00+00:00", in_sweep=True)
    write_finished(tmp_path / "stopped", "2026-03-01T00:00:00+00:00", finished=False)
    write_finished(tmp_path / "failed", "2026-03-01T00:00:00+00:00", error="no memory")
    write_run(tmp_path / "without checkpoint", ended="2026-03-01T00:00:00+00:00")
    write_at(9, tmp_path / "broken", "{")
    assert newest_finished(tmp_path).folder == latest


def test_without_a_finished_run_latest_is_refused(tmp_path: Path) -> None:
    write_finished(tmp_path / "sweep/0", "2026-03-01T00:00:00+00:00", in_sweep=True)
    with pytest.raises(UserError, match="there is no finished run under"):
        newest_finished(tmp_path)


def test_latest_names_a_run_on_standard_error_and_a_folder_of_that_name_precedes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_finished(Path("outputs/a"), "2026-02-01T00:00:00+00:00")
    assert open_run("latest").folder == Path("outputs/a")
    assert capsys.readouterr() == ("", "latest: outputs/a\n")
    write_finished(Path("latest"), "2026-01-01T00:00:00+00:00")
    assert open_run("latest").folder == Path("latest")
    assert capsys.readouterr().err == ""


def test_a_report_is_named_after_split_views_and_checkpoint() -> None:
    assert report_name("test") == "test"
    assert report_name("validation", "dihedral", "last") == "validation_dihedral_last"
