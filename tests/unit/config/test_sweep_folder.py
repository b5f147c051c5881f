"""The folders of a sweep's jobs, by their configuration."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from tests.unit.runs.run_examples import write_run

from melanoma_pl.config.composition import conf_dir
from melanoma_pl.config.sweep_folder import _configuration, job_folder


def composed(folder: Path, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", [f"hydra.sweep.dir={folder}", *overrides], return_hydra_config=True)


def write_job(folder: Path, sweep: Path, *overrides: str) -> None:
    write_run(folder)
    record: dict[str, Any] = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | _configuration(composed(sweep, *overrides))))


def test_a_job_is_found_by_its_configuration(tmp_path: Path) -> None:
    for name, lr in (("0", "0.1"), ("7", "0.2")):
        write_job(tmp_path / name, tmp_path, f"optimizer.lr={lr}")
    assert job_folder(0, _root_=composed(tmp_path, "optimizer.lr=0.2")) == "7"
    assert job_folder(5, _root_=composed(tmp_path, "optimizer.lr=0.1")) == "0"


def test_another_configuration_has_another_folder(tmp_path: Path) -> None:
    write_job(tmp_path / "0", tmp_path, "optimizer.lr=0.1")
    root = composed(tmp_path, "optimizer.lr=0.2")
    assert job_folder(1, _root_=root) == "1"
    name = job_folder(0, _root_=root)
    assert name.startswith("0_") and name == job_folder(0, _root_=root)
    assert name != job_folder(0, _root_=composed(tmp_path, "optimizer.lr=0.3"))


@pytest.mark.parametrize("override", ["seed=3", "trainer.max_epochs=99", "model.dropout=0.5"])
def test_every_setting_counts(override: str, tmp_path: Path) -> None:
    write_job(tmp_path / "0", tmp_path)
    assert job_folder(0, _root_=composed(tmp_path)) == "0"
    assert job_folder(0, _root_=composed(tmp_path, override)) != "0"
