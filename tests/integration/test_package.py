"""A package installed from a wheel works from any folder, with its configuration inside."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import TINY

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
def test_wheel_installed_commands_run(tmp_path: Path, image_folder: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(REPOSITORY)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(installed)
    shipped = ("conf/train.yaml", "conf/experiment/tipe.yaml", "py.typed", "data/public_sets/diagnoses.csv")
    shipped += tuple(f"app/templates/{name}" for name in ("page.html.j2", "answers.html.j2", "app.css", "app.js"))
    pages = ("audit.html.j2", "evaluation.html.j2", "evaluation.css")
    assert {f"melanoma_pl/{name}" for name in (*shipped, *(f"report/templates/{page}" for page in pages))} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "conf/", "notebooks/"))]
    environment = {**os.environ, "PYTHONPATH": str(installed)}

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", f"melanoma_pl.{module}", *arguments]
        return subprocess.run(words, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)

    shown = run("train", "--help")
    assert str(installed) in shown.stdout, "the packaged configuration is used, not the repository's"
    trained = run("train", *TINY, "data=folder", f"data.root={image_folder}")
    assert trained.returncode == 0, trained.stderr
    assert "Warning" not in trained.stderr and ".py:" not in trained.stderr, trained.stderr
    (record,) = elsewhere.glob("outputs/*/*/run.json")
    assert run("evaluate", f"run={record.parent}").returncode == 0
    assert run("predict", "--run", str(record.parent), str(image_folder / "test")).returncode == 0
    audited = run("data", "audit", str(image_folder), "--group-column", "group")
    assert audited.returncode in (0, 1), audited.stderr
    assert list(elsewhere.glob("outputs/audits/*/audit.html"))
