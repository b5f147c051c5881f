"""Two processes on one machine: the same run, books kept by one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import TINY, only_run


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_train_and_one_evaluates(tmp_path: Path, image_folder: Path) -> None:
    two = ["data=folder", f"data.root={image_folder}", "trainer.devices=2", "+trainer.strategy=ddp"]
    answer = subprocess.run(
        [sys.executable, "-m", "melanoma_pl.train", *TINY, *two],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    run = only_run(tmp_path)
    assert sorted(path.name for path in (run / "report").iterdir()) == ["test", "validation"]
    assert len((run / "metrics.csv").read_text().splitlines()) == 3
