"""A package installed from a wheel works from any folder, with its configuration inside."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from melanoma_pl import __version__
from tests.conftest import TINY

REPOSITORY = Path(__file__).parents[2]


def read_yaml(path: str) -> Any:
    return yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8"))


def test_the_version_has_one_source() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["hatch"]["version"]["path"] == "src/melanoma_pl/__init__.py"
    citation = read_yaml("CITATION.cff")
    assert str(citation["version"]) == __version__
    if "dev" in __version__:  # between two releases
        return
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})$", changes, re.MULTILINE)
    assert releases[0] == (__version__, str(citation["date-released"]))


def test_workflows_run_what_a_change_must_pass_on_every_python_that_is_allowed() -> None:
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    assert ".ci/run" in [step.get("run") for step in job["steps"]] and (REPOSITORY / ".ci/run").is_file()
    published = read_yaml(".github/workflows/docs.yml")["jobs"]["publish"]["steps"]
    assert [step["with"]["path"] for step in published if "pages-artifact" in step.get("uses", "")] == [
        "build/docs/html"
    ]


@pytest.mark.parametrize("form", ["bug", "question"])
def test_forms_of_issues_ask_for_something(form: str) -> None:
    fields = read_yaml(f".github/ISSUE_TEMPLATE/{form}.yml")["body"]
    assert any(field.get("validations", {}).get("required") for field in fields)


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
