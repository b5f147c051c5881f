"""The loggers of a run, and the packages they need."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from melanoma_pl.config.composition import compose_config, jobs_beforehand
from melanoma_pl.config.schema import TrainSettings
from melanoma_pl.errors import UserError
from melanoma_pl.specs import validated
from melanoma_pl.training.fit import make_loggers


def settings_with(logger: dict[str, Any]) -> TrainSettings:
    config = validated(TrainSettings, next(jobs_beforehand("train", ["logger=none"])))
    return config.model_copy(update={"logger": logger})


def test_tensorboard_drops_what_a_killed_run_wrote_from_the_resumed_epoch_on(tmp_path: Path) -> None:
    board = {"_target_": "lightning.pytorch.loggers.TensorBoardLogger", "save_dir": str(tmp_path), "name": ""}
    csv = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}
    one, two = make_loggers(settings_with({"a": board, "b": csv, "c": None}), first_epoch=3)
    assert isinstance(one, TensorBoardLogger) and isinstance(two, CSVLogger)
    assert not list(tmp_path.iterdir()), "nothing is written before training begins"
    writer = one.experiment
    writer.close()
    (events,) = (file for file in tmp_path.rglob("events*"))
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    starts = [event.step for event in EventFileLoader(str(events)).Load() if event.HasField("session_log")]
    assert starts == [3]


@pytest.mark.parametrize(("name", "package"), [("WandbLogger", "wandb"), ("MLFlowLogger", "mlflow")])
def test_a_logger_without_its_package_names_the_extra(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"lightning.pytorch.loggers.{package}._{package.upper()}_AVAILABLE", False)
    with pytest.raises(UserError, match=rf"logger.mine needs {package}.*melanoma-pl\[{package}\]"):
        make_loggers(settings_with({"mine": {"_target_": f"lightning.pytorch.loggers.{name}"}}))


@pytest.mark.parametrize("choice", ["wandb", "mlflow", "[default,wandb]", "[default,mlflow]", "[wandb,mlflow]"])
def test_presets_go_together_and_stay_on_this_machine(choice: str) -> None:
    loggers = compose_config("train", [f"logger={choice}"]).logger
    expected = choice.strip("[]").replace("default", "tensorboard").split(",")
    assert sorted(loggers) == sorted(expected)
    assert "wandb" not in loggers or loggers.wandb.offline is True
    assert "mlflow" not in loggers or loggers.mlflow.tracking_uri.startswith("sqlite:///outputs/")
