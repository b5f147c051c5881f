"""A refused training leaves nothing of its own behind, and everything of others."""

import logging
from pathlib import Path

from melanoma_pl.runs import Run
from melanoma_pl.train import remove_run


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
