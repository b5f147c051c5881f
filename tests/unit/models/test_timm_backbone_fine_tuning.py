"""Two stages as a pure function of the epoch: what learns, in which mode, how fast; resumed equals uninterrupted."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from tests.conftest import SIZE
from torch import Tensor, nn

from melanoma_pl.data import MoleDataModule
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.models.timm_backbone import FineTuned
from melanoma_pl.preprocessing import Preprocessing
from melanoma_pl.training.callbacks.run_checkpoints import RunCheckpoints

SMALL = Preprocessing(SIZE)
BATCHES = 4  # of an epoch of 32 training images


class Tiny(FineTuned):
    """A convolution with batch statistics as the backbone, dropout and one neuron as the head."""

    def __init__(self, head_epochs: int = 1, backbone_lr: float = 0.1) -> None:
        super().__init__(head_epochs, backbone_lr)
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.new = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1))

    def head(self) -> list[nn.Module]:
        return [self.new]

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.new(torch.relu(self.norm(self.convolution(images))).mean((2, 3)))
        return logits


class Watch(pl.Callback):
    """Notes after each step what learns, and can break off there; puts everything into training mode before."""

    def __init__(self, stop_at: tuple[int, int] | None = None) -> None:
        self.stop_at = stop_at
        self.seen: list[tuple[int, bool, bool, bool]] = []
        self.statistics: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any, index: int) -> None:
        module.train()  # as others do when they come back from evaluation

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        network: Any = module.network
        self.seen.append(
            (trainer.current_epoch, network.norm.training, network.norm.weight.requires_grad, network.new[0].training)
        )
        self.statistics.append(float(network.norm.running_mean.sum()))
        if (trainer.current_epoch, index) == self.stop_at:
            raise KeyError("stopped")


def classifier(network: nn.Module) -> MelanomaClassifier:
    return MelanomaClassifier(network, preprocessing=SMALL, optimizer={"_target_": "torch.optim.AdamW", "lr": 1e-2})


def fit(root: Path, folder: Path, watch: Watch, head_epochs: int = 1, resume: bool = False) -> MelanomaClassifier:
    torch.manual_seed(0)
    model = classifier(Tiny(head_epochs))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        callbacks=[RunCheckpoints(folder, every_n_steps=1), watch],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    data = MoleDataModule(root, preprocessing=SMALL, batch_size=8)
    trainer.fit(model, data, ckpt_path=folder / "last.ckpt" if resume else None, weights_only=True)
    return model


def test_first_the_head_then_everything(image_folder: Path, tmp_path: Path) -> None:
    watch = Watch()
    model = fit(image_folder, tmp_path, watch)
    # (epoch, batch statistics are gathered, backbone learns, dropout of the head is at work)
    assert watch.seen == [(epoch, epoch > 0, epoch > 0, True) for epoch in range(3) for _ in range(BATCHES)]
    assert watch.statistics[:BATCHES] == [0.0] * BATCHES
    assert watch.statistics[BATCHES] != 0.0
    torch.manual_seed(0)
    initial = Tiny().state_dict()
    for name, parameter in model.network.named_parameters():
        assert not torch.equal(parameter, initial[name]), name


def test_the_backbone_is_the_initial_one_after_the_first_stage(image_folder: Path, tmp_path: Path) -> None:
    model = fit(image_folder, tmp_path, Watch(), head_epochs=3)
    torch.manual_seed(0)
    initial = Tiny().state_dict()
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, initial[name]) != name.startswith("new"), name


@pytest.mark.parametrize("stop_at", [(0, 1), (0, 2), (1, 0), (2, 1)])
def test_resumed_in_either_stage_equals_uninterrupted(
    stop_at: tuple[int, int], image_folder: Path, tmp_path: Path
) -> None:
    whole = fit(image_folder, tmp_path / "whole", Watch())
    with pytest.raises(KeyError):
        fit(image_folder, tmp_path / "halves", Watch(stop_at))
    rest = Watch()
    halves = fit(image_folder, tmp_path / "halves", rest, resume=True)
    assert len(rest.seen) < 3 * BATCHES
    assert all(torch.equal(value, halves.state_dict()[name]) for name, value in whole.state_dict().items())
    one, two = (model.trainer.optimizers[0].state_dict() for model in (whole, halves))
    assert one["param_groups"] == two["param_groups"]
    for key, state in one["state"].items():
        assert all(torch.equal(value, two["state"][key][name]) for name, value in state.items())


def test_the_backbone_learns_at_its_own_rate() -> None:
    network = Tiny(backbone_lr=0.25)
    head, backbone = classifier(network).configure_optimizers()["optimizer"].param_groups
    assert (head["lr"], backbone["lr"]) == (1e-2, 0.25e-2)
    assert [parameter.shape for parameter in head["params"]] == [(1, 4), (1,)]
    assert len(head["params"]) + len(backbone["params"]) == len(list(network.parameters()))


def test_other_networks_have_one_group_as_ever() -> None:
    network = ThreeConvNet((4, 4, 4), hidden=8, image_size=SIZE)
    (group,) = classifier(network).configure_optimizers()["optimizer"].param_groups
    assert len(group["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize("options", [{"head_epochs": -1}, {"head_epochs": 1.5}, {"backbone_lr": 0}, {"backbone_lr": 2}])
def test_what_is_not_allowed(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Tiny(**options)
