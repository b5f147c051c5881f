"""A record from someone else: what it cannot do unless the user's own command line says so."""

from pathlib import Path
from typing import Any

import pytest

from melanoma_pl.config.resume import Resumption, check_record, resume_arguments
from melanoma_pl.errors import UserError

DATA = {"root": None, "table": None}


def record(*overrides: str, config_dirs: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"overrides": overrides, "config_dirs": config_dirs, "folder": "/", "config": {"data": DATA}}


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.x={_target_: numpy.load, file: x.npy, allow_pickle: true}",
        "hydra.job_logging.handlers.file.filename=/tmp/x",
        "hydra/launcher=joblib",
        "+optimizer@hydra.callbacks.x=adam",
        "~hydra.callbacks",
        "++hydra.searchpath=[file:///tmp]",
    ],
)
def test_a_record_never_sets_hydra(override: str) -> None:
    with pytest.raises(UserError, match="holds the override .*hydra"):
        resume_arguments(record("seed=1", override), [], Path("run"))


def test_flags_in_a_record_are_not_overrides() -> None:
    with pytest.raises(UserError, match="cannot be read"):
        resume_arguments(record("--config-dir=/tmp"), [], Path("run"))


def test_hydra_can_be_set_on_the_command_line() -> None:
    arguments = resume_arguments(record("seed=1"), ["hydra.verbose=true"], Path("run"))
    assert arguments == ["seed=1", "hydra.verbose=true", 'hydra.run.dir="run"']


def test_a_folder_of_configuration_must_be_typed_again() -> None:
    with pytest.raises(UserError, match="melanoma-train resume=run --config-dir my_conf"):
        resume_arguments(record(config_dirs=("my_conf",)), [], Path("run"))
    arguments = resume_arguments(record(config_dirs=("my_conf",)), ["--config-dir", "my_conf"], Path("run"))
    assert arguments[:2] == ["--config-dir", "my_conf"]


CALLBACK = {"callbacks": {"x": {"_target_": "my_parts.Callback"}}, "logger": {}}


def test_classes_of_a_record_need_a_name_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="_target_=my_parts.Callback"):
        check_record(CALLBACK, tmp_path, Resumption(("trainer.max_epochs=3",)))
    check_record(CALLBACK, tmp_path, Resumption((), ("my_parts",)))
    check_record(CALLBACK, tmp_path, Resumption(("callbacks.x._target_=my_parts.Callback",)))
    check_record(CALLBACK, tmp_path, Resumption(("+callbacks.x={_target_: my_parts.Callback}",)))
    with pytest.raises(UserError, match="_target_=my_parts.Callback"):
        check_record(CALLBACK, tmp_path, Resumption(("callbacks.x._target_=your_parts.Callback",)))


OUTSIDE = [
    ("save_dir", "/tmp"),
    ("save_dir", "elsewhere"),
    ("dirpath", "~/x"),
    ("name", "../../x"),
    ("version", "/tmp/x"),
    ("filename", "../x"),
    ("tracking_uri", "sqlite:///x"),
    ("paths", ["../x"]),
]


@pytest.mark.parametrize(("key", "value"), OUTSIDE)
@pytest.mark.parametrize("group", ["logger", "callbacks"])
def test_loggers_and_callbacks_of_a_record_write_into_the_folder_of_the_run(
    group: str, key: str, value: Any, tmp_path: Path
) -> None:
    config = {"logger": {}, "callbacks": {}} | {group: {"x": {"_target_": "lightning.X", key: value}}}
    with pytest.raises(UserError, match=rf"{group}.x.{key}=.*outside of the run's folder"):
        check_record(config, tmp_path / "run", Resumption(()))
    check_record(config, tmp_path / "run", Resumption((f"{group}.x.{key}={value}",)))


def test_the_database_of_the_shipped_preset_passes(tmp_path: Path) -> None:
    config = {"logger": {"mlflow": {"tracking_uri": "sqlite:///outputs/mlflow.db"}}, "callbacks": {}}
    check_record(config, tmp_path / "run", Resumption(()))
    config["logger"]["mlflow"]["tracking_uri"] = "sqlite:///outputs/other.db"
    with pytest.raises(UserError, match="outside of the run's folder"):
        check_record(config, tmp_path / "run", Resumption(()))


def test_paths_in_the_folder_and_names_of_figures_pass(tmp_path: Path) -> None:
    inside = {"save_dir": str(tmp_path / "run/csv"), "name": "", "version": None, "monitor": "val/auroc"}
    config = {"logger": {"x": inside}, "callbacks": {"y": {**inside, "filename": "{epoch}-{step}"}, "z": None}}
    config["callbacks"]["y"].pop("filename")  # type: ignore[union-attr]
    check_record(config, tmp_path / "run", Resumption(()))
