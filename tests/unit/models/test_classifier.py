"""The LightningModule: it learns, its live curves are the reported numbers, its checkpoints predict."""

import math
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from tests.conftest import SIZE
from torch import nn

from melanoma_pl.data import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation import probabilities, summarise
from melanoma_pl.evaluation.decision import fit_decision
from melanoma_pl.inference.prediction import predict_logits, split_batches
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.training.callbacks.run_checkpoints import RunCheckpoints

SMALL = Preprocessing(SIZE)
ADAM = {"_target_": "torch.optim.Adam", "lr": 3e-3}


def network() -> ThreeConvNet:
    torch.manual_seed(0)
    return ThreeConvNet([8, 8, 8], hidden=16, dropout=0.2, image_size=SIZE, initial_weights="keras")


def classifier(**options: object) -> MelanomaClassifier:
    return MelanomaClassifier(network(), preprocessing=SMALL, optimizer=ADAM, **options)  # type: ignore[arg-type]


def fit(
    model: MelanomaClassifier,
    root: Path,
    epochs: int,
    *callbacks: pl.Callback,
    ckpt_path: Path | None = None,
    **options: object,
) -> MoleDataModule:
    data = MoleDataModule(root, preprocessing=SMALL, batch_size=8, **options)  # type: ignore[arg-type]
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(each, Checkpoint) for each in callbacks),
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    trainer.fit(model, data, ckpt_path=ckpt_path, weights_only=ckpt_path and True)
    return data


@pytest.mark.slow
def test_it_learns(image_folder: Path) -> None:
    model = classifier()
    fit(model, image_folder, 8)
    assert model.trainer.callback_metrics["train/loss"] < 0.3
    assert model.trainer.callback_metrics["val/auroc"] > 0.9


def test_live_curves_are_the_reported_numbers(image_folder: Path) -> None:
    model = classifier(threshold={"rule": "fixed", "value": 0.5})
    data = fit(model, image_folder, 2)
    live = {name: float(value) for name, value in model.trainer.callback_metrics.items()}
    split = data.split("validation")
    logits = predict_logits(model.eval(), split_batches(split, "validation"))
    reported = summarise(probabilities(logits), split.targets.numpy(), 0.5)
    for name in ("accuracy", "auroc", "average_precision", "sensitivity", "specificity"):
        assert live[f"val/{name}"] == pytest.approx(reported[name], abs=1e-6), name
    assert live["val/loss"] == pytest.approx(reported["log_loss"], abs=1e-5)


def test_pos_weight_is_in_the_loss() -> None:
    logits, targets = torch.tensor([0.3, -0.2]), torch.tensor([1, 0])
    expected = -(3 * torch.log(torch.sigmoid(logits[0])) + torch.log(1 - torch.sigmoid(logits[1]))) / 2
    model = classifier(pos_weight=3.0)
    torch.testing.assert_close(model.loss(logits - model.logit_shift, targets), expected)


@pytest.mark.parametrize("prevalence", [0.3, 0.095, 0.018])
def test_probabilities_under_pos_weight_are_those_of_the_training_images(prevalence: float) -> None:
    generator = torch.Generator().manual_seed(0)
    count = 20_000
    targets = (torch.rand(count, generator=generator) < prevalence).long()
    features = torch.randn(count, generator=generator) + 1.5 * targets
    # black images whose first pixel holds the feature, and a network that reads it
    pixels = torch.zeros(count, 3, 1, 1, dtype=torch.uint8)
    pixels[:, 0, 0, 0] = (features * 20 + 100).clamp(0, 255).to(torch.uint8)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3, 1))
    model = MelanomaClassifier(linear, preprocessing=Preprocessing(1), pos_weight=float((1 - prevalence) / prevalence))
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = model.loss(model(pixels), targets)
        loss.backward()
        return loss

    optimizer.step(step)
    mean = torch.sigmoid(model(pixels)).mean().item()
    assert mean == pytest.approx(targets.float().mean().item(), rel=0.1)


def test_probabilities_under_oversampling_are_those_of_the_images_as_they_are() -> None:
    """A network of one weight learns the odds of the images as drawn; its probabilities are those before drawing."""
    drawn = torch.tensor([1] * 50 + [0] * 50)
    model = MelanomaClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3, 1)), preprocessing=Preprocessing(1), oversampling=99.0
    )
    pixels = torch.zeros(100, 3, 1, 1, dtype=torch.uint8)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        _, loss = model.logits_and_loss(pixels, drawn)
        loss.backward()
        return loss

    optimizer.step(step)
    assert torch.sigmoid(model(pixels[:1])).item() == pytest.approx(0.01, rel=0.01)
    natural = torch.tensor([1] + [0] * 99)
    expected = -(0.01 * math.log(0.01) + 0.99 * math.log(0.99))  # the entropy: no probability has a lower log loss
    assert model.loss(model(pixels), natural).item() == pytest.approx(expected, rel=0.01)


def test_checkpoint_holds_all_that_prediction_needs(image_folder: Path, tmp_path: Path) -> None:
    model = classifier(images_note="synthetic")
    data = fit(model, image_folder, 1, RunCheckpoints(tmp_path))
    loaded = MelanomaClassifier.load_from_checkpoint(tmp_path / "last.ckpt")
    assert not loaded.training
    assert loaded.preprocessing == SMALL
    assert loaded.images_note == "synthetic"
    assert (loaded.temperature, loaded.threshold) == (model.temperature, model.threshold) != (1.0, 0.5)
    batches = [data.split("validation")[0, torch.arange(8)].pixels]
    assert np.array_equal(predict_logits(loaded, batches), predict_logits(model.eval(), batches))


@pytest.mark.parametrize(
    "options", [{"max_steps": 6}, {"val_check_interval": 3}, {"check_val_every_n_epoch": 2}, {"limit_val_batches": 0}]
)
def test_a_checkpoint_keeps_only_a_decision_of_its_own_weights(
    options: dict[str, object], image_folder: Path, tmp_path: Path
) -> None:
    model = classifier()
    data = MoleDataModule(image_folder, preprocessing=SMALL, batch_size=8)
    trainer = pl.Trainer(
        accelerator="cpu",
        **{"max_epochs": 3, **options},  # type: ignore[arg-type]
        callbacks=[RunCheckpoints(tmp_path, every_n_steps=1)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    split = data.split("validation")
    for path in tmp_path.glob("*.ckpt"):
        loaded = MelanomaClassifier.load_from_checkpoint(path)
        if not loaded.is_decided:
            assert (loaded.temperature, loaded.threshold) == (1.0, 0.5), path.name
            continue
        logits = predict_logits(loaded, split_batches(split, "validation"))
        expected = fit_decision(logits, split.targets.numpy(), loaded.threshold_rule)
        assert (loaded.temperature, loaded.threshold) == pytest.approx((expected.temperature, expected.threshold))
    assert not MelanomaClassifier.load_from_checkpoint(tmp_path / "last.ckpt").is_decided


def set_up(model: MelanomaClassifier, device: str) -> SimpleNamespace:
    """Let a classifier believe that it is trained on a device; the caller keeps the trainer alive."""
    trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), ckpt_path="last.ckpt")
    model.trainer = trainer  # type: ignore[assignment]
    model.setup("fit")
    return trainer


def test_the_mean_loss_does_not_depend_on_the_order_in_which_processes_sum_it() -> None:
    model = classifier()
    trainer = set_up(model, "cpu")
    first = model.train_metrics["loss"]
    for seed in range(50):
        losses = torch.rand(30, generator=torch.Generator().manual_seed(seed))
        found = set()
        for resumed_at in (0, 7, 20):  # the first process goes on with the sums of both
            first.reset()
            second = deepcopy(first)
            for metric, own in ((first, losses[:resumed_at]), (first, losses[resumed_at::2])):
                for loss in own:
                    metric.update(loss, 4)
            for loss in losses[resumed_at + 1 :: 2]:
                second.update(loss, 4)
            first.mean_value += second.mean_value
            first.weight += second.weight
            found.add(first.compute().item())
        assert len(found) == 1, found
        assert first.compute().dtype == torch.float32
    assert trainer


@pytest.mark.parametrize(("device", "dtype"), [("cpu", torch.float64), ("mps", torch.float32)])
def test_sums_from_another_device_or_version_are_restored_in_the_precision_of_this_one(
    device: str, dtype: torch.dtype, image_folder: Path, tmp_path: Path
) -> None:
    fit(classifier(), image_folder, 1, RunCheckpoints(tmp_path))
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    names = [f"train_metrics.loss.{name}" for name in ("mean_value", "weight")]
    assert all(checkpoint["state_dict"][name].dtype == torch.float64 for name in names)
    if device == "cpu":  # as earlier versions wrote them
        checkpoint["state_dict"] |= {name: checkpoint["state_dict"][name].float() for name in names}
    model = classifier()
    trainer = set_up(model, device)
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    metric = model.train_metrics["loss"]
    assert metric.mean_value.dtype == metric.weight.dtype == metric.dtype == dtype
    assert metric.weight > 0 and trainer


def test_a_training_that_goes_on_in_the_same_process_counts_each_step_once(image_folder: Path, tmp_path: Path) -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *arguments: object) -> None:
            if trainer.global_step == 2:
                trainer.save_checkpoint(tmp_path / "two.ckpt")
            if trainer.global_step == 3:
                raise RuntimeError("stopped")

    model = classifier()
    first = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="stopped"):
        fit(model, image_folder, 1, Stop())
    fit(model, image_folder, 1, ckpt_path=tmp_path / "two.ckpt")
    whole = classifier()
    whole.load_state_dict(first)
    fit(whole, image_folder, 1)
    found, expected = (each.trainer.callback_metrics for each in (model, whole))
    assert found["train/loss"] == expected["train/loss"] and found["train/accuracy"] == expected["train/accuracy"]


def test_a_trained_network_can_be_moved_to_a_device_without_float64(image_folder: Path) -> None:
    model = classifier()
    fit(model, image_folder, 1)
    assert model.train_metrics["loss"].mean_value.dtype == torch.float32


def test_validating_on_test_fits_no_decision(image_folder: Path) -> None:
    model = classifier(fit_decision=False)
    fit(model, image_folder, 1, validate_on="test")
    assert (model.temperature, model.threshold) == (1.0, 0.5)


def test_any_network_with_one_logit(image_folder: Path, tmp_path: Path) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 1))
    model = MelanomaClassifier(plain, preprocessing=SMALL)
    fit(model, image_folder, 1, RunCheckpoints(tmp_path))
    with pytest.raises(UserError, match="names no class"):
        MelanomaClassifier.load_from_checkpoint(tmp_path / "last.ckpt")
    fresh = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 1))
    loaded = MelanomaClassifier.load_from_checkpoint(tmp_path / "last.ckpt", network=fresh)
    assert torch.equal(loaded.network[1].weight, plain[1].weight)  # type: ignore[index,union-attr]


def test_divergence_is_said(image_folder: Path) -> None:
    model = MelanomaClassifier(network(), preprocessing=SMALL, optimizer={"_target_": "torch.optim.SGD", "lr": 1e18})
    with pytest.raises(UserError, match="smaller optimizer.lr"):
        fit(model, image_folder, 3)


def test_it_takes_pixels_only() -> None:
    model = classifier().eval()
    pixels = torch.randint(0, 256, (3, 3, SIZE, SIZE), dtype=torch.uint8)
    torch.testing.assert_close(model(pixels), model.network(pixels / 255).squeeze(1))
    assert model(pixels).shape == (3,)
