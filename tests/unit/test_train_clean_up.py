"""A refused training leaves nothing of its own behind, and everything of others."""

import errno
import logging
from pathlib import Path

import pytest

from melanoma_pl.runs import Run
from melanoma_pl.train import as_mistake, remove_run


def test_only_the_runs_own_log_file_is_closed(tmp_path: Path) -> None:
    run = Run(tmp_path / "outputs/run")
    (run.folder / ".hydra").mkdir(parents=True)
    (run.folder / "run.json").write_text("{}")
    own, other = (logging.FileHandler(path / "train.log") for path in (run.folder, tmp_path))
    root = logging.getLogger()
    root.addHandler(own)
    root.addHandler(other)
    remove_run(run)
    logging.getLogger("test").warning("still logged")
    root.removeHandler(other)
    other.close()
    assert own not in root.handlers
    assert "still logged" in (tmp_path / "train.log").read_text()
    assert not run.folder.exists()


def test_foreign_files_stay(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    for name in ("run.json", "notes.txt"):
        (run.folder / name).write_text("")
    remove_run(run)
    assert [path.name for path in run.folder.iterdir()] == ["notes.txt"]


def test_all_that_a_run_began_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path / "outputs/deep/run")
    run.checkpoints.mkdir(parents=True)
    for name in ("hparams.yaml", "metrics.csv", "events.out.tfevents.1.host.2.0", ".run.json.part"):
        (run.folder / name).write_text("")
    (run.checkpoints / ".last.ckpt.part").write_text("")
    remove_run(run)
    assert not (tmp_path / "outputs").exists()


def test_a_full_disk_promises_only_checkpoints_that_exist(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "a file")
    run = Run(tmp_path)
    assert "no space is left to write a file" in str(as_mistake(full, run))
    assert "start again" in str(as_mistake(full, run))
    run.checkpoints.mkdir()
    (run.checkpoints / "last.ckpt").write_text("")
    assert f"resume={tmp_path}" in str(as_mistake(full, run))


def test_a_moved_folder_is_named_and_other_errors_stay(tmp_path: Path) -> None:
    moved = as_mistake(FileNotFoundError(2, "No such file or directory"), Run(tmp_path / "run"))
    assert str(tmp_path / "run") in str(moved)
    assert "moved or deleted" in str(moved)
    for error in (ValueError("a bug"), PermissionError(13, "Permission denied")):
        assert as_mistake(error, Run(tmp_path)) is error
