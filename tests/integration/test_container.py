"""The recipe of the container names what exists. Building it takes a container engine, which test machines lack."""

import json
import re
import shlex
import tomllib
from pathlib import Path

from melanoma_pl import demo

REPOSITORY = Path(__file__).parents[2]
LINES = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = [name for line in LINES if line.startswith("COPY ") for name in shlex.split(line)[1:-1]]
    assert {"conf", "src", "pyproject.toml"} <= set(sources)
    for name in sources:
        assert (REPOSITORY / name).exists()
        assert f"!{name}" in ignored


def test_extras_exist() -> None:
    extras = next(re.findall(r"[\w-]+", line.partition("=")[2]) for line in LINES if line.startswith("ARG EXTRAS="))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extras and set(extras) <= project["optional-dependencies"].keys()


def test_it_runs_the_demo_as_an_ordinary_user() -> None:
    command = json.loads(next(line for line in LINES if line.startswith("CMD ")).removeprefix("CMD "))
    assert command == ["python", "-m", demo.__name__]
    assert LINES.index("USER melanoma") < len(LINES) - 1


def test_the_container_for_development_runs_targets_of_make() -> None:
    text = (REPOSITORY / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    settings = json.loads(re.sub(r"^//.*$", "", text, flags=re.MULTILINE))
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    program, *targets = shlex.split(settings["postCreateCommand"])
    assert program == "make" and targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
