"""Lightning's own verbs, as a notebook uses them: fit, validate, test, predict, load_from_checkpoint, to_onnx."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, StochasticWeightAveraging, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from melanoma_pl import MelanomaClassifier, MoleDataModule, Preprocessing, ThreeConvNet
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import auroc
from melanoma_pl.models.schedules import OneCycle
from melanoma_pl.training.callbacks.run_checkpoints import RunCheckpoints
from tests.conftest import SIZE

ADAM = {"_target_": "torch.optim.Adam", "lr": 3e-3}


def make(root: Path) -> tuple[MelanomaClassifier, MoleDataModule]:
    torch.manual_seed(0)
    network = ThreeConvNet([8, 8, 8], hidden=16, image_size=SIZE, initial_weights="keras", convolutions="fused")
    preprocessing = Preprocessing(SIZE)
    classifier = MelanomaClassifier(network, preprocessing=preprocessing, optimizer=ADAM, schedule=OneCycle())
    return classifier, MoleDataModule(root, preprocessing=preprocessing, batch_size=8)


def make_trainer(folder: Path, *callbacks: pl.Callback, logger: object = False, epochs: int = 2) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=logger,  # type: ignore[arg-type]
        enable_progress_bar=any(isinstance(each, TQDMProgressBar) for each in callbacks),
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=folder,
    )


@pytest.fixture(scope="module")
def fitted(
    image_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pl.Trainer, MelanomaClassifier, MoleDataModule, Path]:
    """A trainer after `fit`, with checkpoints."""
    folder = tmp_path_factory.mktemp("fitted")
    classifier, data = make(image_folder)
    trainer = make_trainer(folder, RunCheckpoints(folder / "checkpoints"))
    trainer.fit(classifier, data)
    return trainer, classifier, data, folder


def test_progress_bar_shows_loss_and_validation_auroc(image_folder: Path, tmp_path: Path) -> None:
    shown: list[set[str]] = []

    class Note(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
            shown.append(set(trainer.progress_bar_metrics))

    make_trainer(tmp_path, Note(), TQDMProgressBar()).fit(*make(image_folder))
    assert "loss" in shown[0]
    assert {"loss", "val/auroc"} <= shown[-1]


def test_validate_returns_the_figures_and_changes_no_decision(fitted) -> None:  # type: ignore[no-untyped-def]
    trainer, classifier, data, _ = fitted
    expected = dict(trainer.callback_metrics)
    before = (classifier.temperature, classifier.threshold)
    (figures,) = make_trainer(trainer.default_root_dir).validate(classifier, data, verbose=False)
    assert {"val/loss", "val/auroc", "val/accuracy", "val/sensitivity", "val/specificity"} <= set(figures)
    assert figures["val/auroc"] == pytest.approx(float(expected["val/auroc"]))
    assert (classifier.temperature, classifier.threshold) == before


def test_test_and_predict_agree_on_the_best_checkpoint(fitted) -> None:  # type: ignore[no-untyped-def]
    trainer, classifier, data, folder = fitted
    assert trainer.checkpoint_callback.best_model_path == str(folder / "checkpoints" / "best.ckpt")
    (figures,) = trainer.test(classifier, data, ckpt_path="best", verbose=False, weights_only=True)
    probabilities = torch.cat(trainer.predict(classifier, data, ckpt_path="best", weights_only=True))
    targets = data.load("test").images.targets
    assert probabilities.dtype == torch.float64
    assert probabilities.shape == (len(targets),)
    assert figures["test/auroc"] == pytest.approx(auroc(probabilities.numpy(), targets), abs=1e-6)
    best = MelanomaClassifier.load_from_checkpoint(folder / "checkpoints" / "best.ckpt")
    pixels = data.load("test").pixels(torch.arange(len(targets)))
    with torch.inference_mode():
        expected = torch.sigmoid(best(pixels).double() / best.temperature)
    np.testing.assert_allclose(probabilities.numpy(), expected.numpy(), atol=1e-6)


def test_load_from_checkpoint_needs_the_path_alone(fitted) -> None:  # type: ignore[no-untyped-def]
    *_, folder = fitted
    for name in ("best.ckpt", "last.ckpt"):
        loaded = MelanomaClassifier.load_from_checkpoint(str(folder / "checkpoints" / name))
        assert loaded.preprocessing == Preprocessing(SIZE)
        assert not loaded.training


def test_to_onnx_right_after_fit_for_any_batch_size(fitted) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    _, classifier, data, folder = fitted
    classifier.train()
    classifier.to_onnx(folder / "model.onnx")
    assert classifier.training, "the export leaves the mode as it was"
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert [path.name for path in folder.glob("model.onnx*")] == ["model.onnx"], "the weights are in the same file"
    classifier.eval()
    for count in (1, 2, 7):
        pixels = data.load("test").pixels(torch.arange(count)).contiguous()
        (logits,) = session.run(None, {"pixels": pixels.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(logits, classifier(pixels).numpy(), atol=1e-4)


def test_learning_rate_monitor_sees_the_rate_of_each_step(image_folder: Path, tmp_path: Path) -> None:
    rates: list[float] = []

    class Note(pl.Callback):
        def on_before_optimizer_step(self, trainer: pl.Trainer, *args: object) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    monitor = LearningRateMonitor("step")
    trainer = make_trainer(tmp_path, monitor, Note(), logger=CSVLogger(tmp_path))
    trainer.fit(*make(image_folder))
    assert rates == pytest.approx([ADAM["lr"] * OneCycle().factor(step, 8) for step in range(8)], rel=1e-12)
    (logged,) = monitor.lrs.values()
    assert logged == pytest.approx(rates)


@pytest.mark.filterwarnings("ignore:SWA is currently only supported every epoch")  # Lightning's word on step-wise rates
def test_stochastic_weight_averaging_sets_its_own_rate(image_folder: Path, tmp_path: Path) -> None:
    averaging = StochasticWeightAveraging(swa_lrs=1e-4, swa_epoch_start=1, annealing_epochs=1)
    trainer = make_trainer(tmp_path, averaging, epochs=3)
    trainer.fit(*make(image_folder))
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-4)


def test_checkpoints_of_lightning_work_beside_ours(image_folder: Path, tmp_path: Path) -> None:
    own = ModelCheckpoint(tmp_path / "own", monitor="val/auroc", mode="max", auto_insert_metric_name=False)
    trainer = make_trainer(tmp_path, RunCheckpoints(tmp_path / "ours"), own)
    trainer.fit(*make(image_folder))
    assert isinstance(trainer.checkpoint_callback, RunCheckpoints)
    assert MelanomaClassifier.load_from_checkpoint(own.best_model_path).class_names == ("benign", "malignant")


def test_tensorboard_keeps_each_point_once(image_folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, logger=TensorBoardLogger(tmp_path, name="", version=""))
    trainer.fit(*make(image_folder))
    events = EventAccumulator(str(tmp_path)).Reload()
    for tag in ("train/loss", "val/auroc", "val/loss"):
        steps = [event.step for event in events.Scalars(tag)]
        assert len(steps) == len(set(steps)) == 2, tag


@pytest.mark.parametrize(
    "optimizer",
    [
        {"_target_": "torch.optim.Adm", "lr": 1e-3},
        {"_target_": "torch.nn.Linear", "lr": 1e-3},
        {"_target_": "torch.optim.Adam", "learning_rate": 1e-3},
        {"_target_": "torch.optim.Adam", "lr": -1.0},
    ],
)
def test_a_wrong_optimizer_is_refused_at_construction(optimizer: dict[str, object]) -> None:
    network = ThreeConvNet((4, 4, 4), hidden=8, image_size=SIZE)
    with pytest.raises(UserError):
        MelanomaClassifier(network, preprocessing=Preprocessing(SIZE), optimizer=optimizer)
