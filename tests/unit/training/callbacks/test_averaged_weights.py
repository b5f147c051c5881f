"""Averaged weights: the average of all steps, validated, saved and predicted with."""

from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from tests.conftest import SIZE
from torch import Tensor

from melanoma_pl.data import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import auroc
from melanoma_pl.inference.prediction import predict_logits, split_batches
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.training.callbacks.averaged_weights import AveragedWeights
from melanoma_pl.training.callbacks.run_checkpoints import RunCheckpoints

SMALL = Preprocessing(SIZE)
DECAY = 0.9


class Weights(pl.Callback):
    """Notes the network's state after each step."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        self.states.append({name: value.clone() for name, value in pl_module.network.state_dict().items()})  # type: ignore[union-attr]


def fit(
    root: Path, folder: Path, *callbacks: pl.Callback, batch_norm: bool = False, epochs: int = 3
) -> tuple[MelanomaClassifier, MoleDataModule]:
    torch.manual_seed(0)
    network = ThreeConvNet([8, 8, 8], hidden=16, image_size=SIZE, batch_norm=batch_norm)
    optimizer = {"_target_": "torch.optim.Adam", "lr": 3e-3}
    classifier = MelanomaClassifier(network, preprocessing=SMALL, optimizer=optimizer)
    data = MoleDataModule(root, preprocessing=SMALL, batch_size=8)
    pl.Trainer(
        accelerator="cpu", max_epochs=epochs, callbacks=[*callbacks, RunCheckpoints(folder)], logger=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
    ).fit(classifier, data)  # fmt: skip
    return classifier, data


def test_the_average_is_that_of_all_steps(image_folder: Path, tmp_path: Path) -> None:
    weights, averaged = Weights(), AveragedWeights(DECAY)
    fit(image_folder, tmp_path, averaged, weights)
    torch.manual_seed(0)
    initial = ThreeConvNet([8, 8, 8], hidden=16, image_size=SIZE).state_dict()
    for name, first in initial.items():
        average = first.double()
        for step, state in enumerate(weights.states, start=1):
            decay = min(DECAY, (1 + step) / (10 + step))
            average = decay * average + (1 - decay) * state[name].double()
        torch.testing.assert_close(averaged.averages[name].double(), average, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_validation_checkpoints_and_predictions_are_of_the_average(
    batch_norm: bool, image_folder: Path, tmp_path: Path
) -> None:
    classifier, data = fit(image_folder, tmp_path, averaged := AveragedWeights(DECAY), batch_norm=batch_norm)
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert last["optimizer_states"]
    for name, value in classifier.network.state_dict().items():
        assert torch.equal(last["state_dict"][f"network.{name}"], value), "last.ckpt also holds what is trained"
    assert "optimizer_states" not in torch.load(tmp_path / "best.ckpt", weights_only=True)

    loaded = MelanomaClassifier.load_from_checkpoint(tmp_path / "last.ckpt")
    assert isinstance(loaded.network, ThreeConvNet)
    assert not loaded.network.spec["batch_norm"]
    logits = predict_logits(loaded, split_batches(data.split("validation"), "again"))
    torch.testing.assert_close(torch.tensor(logits), torch.tensor(classifier.validation_logits), rtol=0, atol=1e-5)
    assert loaded.temperature == classifier.temperature, "the decision was fitted with the average"
    assert loaded.is_decided

    classifier.network.load_state_dict(averaged.averages)
    direct = predict_logits(classifier.eval(), split_batches(data.split("validation"), "directly"))
    torch.testing.assert_close(torch.tensor(logits), torch.tensor(direct), rtol=0, atol=1e-5)


def test_the_best_checkpoint_is_that_of_the_best_average(image_folder: Path, tmp_path: Path) -> None:
    _, data = fit(image_folder, tmp_path, AveragedWeights(DECAY), epochs=4)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["RunCheckpoints"]
    best = MelanomaClassifier.load_from_checkpoint(tmp_path / "best.ckpt")
    logits = predict_logits(best, split_batches(data.split("validation"), "best"))
    assert auroc(logits, data.split("validation").targets.numpy()) == pytest.approx(state["best_score"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_training_shorter_than_the_average_is_refused(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"decay=0\.999 reaches back 1000 steps, and the training has 12"):
        fit(image_folder, tmp_path, AveragedWeights(0.999))


@pytest.mark.parametrize("decay", [0, 1, -0.5])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=f"decay={decay}"):
        AveragedWeights(decay)
