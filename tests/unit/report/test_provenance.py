from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from melanoma_pl.report import provenance
from melanoma_pl.report.content import Experiment
from melanoma_pl.runs import Run

CONFIG = {
    "name": "deep",
    "seed": 0,
    "model": {"_target_": "melanoma_pl.models.timm_backbone.TimmBackbone", "backbone": "resnet18"},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.0003, "weight_decay": 0.01, "fused": True},
    "scheduler": {"_target_": "melanoma_pl.models.schedules.OneCycle"},
    "augmentation": {"_target_": "melanoma_pl.data.augmentation.NoAugmentation"},
    "data": {"image_size": 64, "batch_size": 32},
    "trainer": {"precision": "auto"},
}
ROWS = [
    {"epoch": 1.0, "step": 10.0, "train/loss": 0.7, "train/seconds": 2.0},
    {"epoch": 2.0, "step": 20.0, "train/loss": 0.6, "val/loss": 0.65, "train/seconds": 3.0},
]
LIST = """path,split,label,group,sha256
1.jpg,train,benign,a,1
2.jpg,train,benign,a,2
3.jpg,test,benign,,3
4.jpg,validation,benign,b,4
5.jpg,validation,benign,,5
"""


def experiment(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows: Sequence[dict[str, float]] = ROWS,
    steps: int = 10,
    most: int = 5,
) -> Experiment:
    """Return the experiment of a run with these epochs, whose weights were saved after so many steps."""
    monkeypatch.setattr(provenance, "read_checkpoint", lambda _: {"global_step": steps})
    resolved = {"precision": "bf16-mixed", "accelerator": "cpu"}
    record: dict[str, Any] = {"config": CONFIG, "git_commit": "0123456789abcdef", "resolved": resolved}
    run = SimpleNamespace(read=lambda: record, figures_by_epoch=lambda: list(rows), folder=folder)
    own = SimpleNamespace(
        name="deep", trainer=SimpleNamespace(max_epochs=most), checkpoint=SimpleNamespace(monitor="val/auroc")
    )
    evaluated = SimpleNamespace(run=run, own=own, name="deep/now", checkpoint=folder / "best.ckpt")
    member = SimpleNamespace(classifier=SimpleNamespace(network=nn.Linear(2, 1)))
    (found,) = provenance.experiments(
        SimpleNamespace(members=[member]),
        SimpleNamespace(runs=(evaluated,)),  # type: ignore[arg-type]
    )
    return found


def test_an_experiment_is_described_by_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "images.csv").write_text(LIST)
    found = experiment(tmp_path, monkeypatch)
    assert found.facts == {
        "network": "TimmBackbone resnet18",
        "parameters": "3",
        "image size": "64 × 64 pixels",
        "train": "2 images of 1 lesion",
        "test": "1 image, lesions unknown",
        "validation": "2 images, lesions partly unknown",
        "augmentation": "none",
        "optimizer": "AdamW, weight decay 0.01",
        "learning rate": "0.0003, OneCycle",
        "batch size": "32",
        "precision": "bf16-mixed on cpu",
        "epochs": "2 of at most 5; epoch 1 chosen (best val/auroc)",
        "seed": "0",
        "training time": "5.0 s",
        "commit": "0123456789ab",
    }


def test_curves_mark_the_epoch_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curves = experiment(tmp_path, monkeypatch, steps=25).curves
    assert curves is not None and (curves.epochs, curves.chosen) == ((1, 2), 2)
    assert curves.figures["val/loss"] == (None, 0.65)
    # weights from the midst of the first epoch belong to no whole epoch
    early = experiment(tmp_path, monkeypatch, ROWS[:1], steps=4, most=1)
    assert early.curves is not None and early.curves.chosen is None and early.facts["epochs"] == "1"


def test_a_run_without_recorded_epochs_goes_without_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = experiment(tmp_path, monkeypatch, [])
    assert found.curves is None and not {"epochs", "training time", "train"} & set(found.facts)


def test_the_title_is_the_name_that_the_user_gave() -> None:
    one, other, unnamed = (
        SimpleNamespace(own=SimpleNamespace(name=name, model=CONFIG["model"])) for name in ("wide", "deep", "default")
    )
    groups: list[Any] = [[one], [one, one], [one, other], [unnamed]]
    titles = [provenance.run_title(group) for group in groups]
    assert titles == ["wide", "wide (2 networks)", "wide + deep (2 networks)", "TimmBackbone"]


@pytest.mark.parametrize(
    ("most", "told"),
    [
        (2, ""),
        (1, "The detector learnt from 1 of 2 training images and 1 of 2 validation images."),
    ],
)
def test_a_detector_tells_if_it_learnt_from_a_sample(
    most: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "MOST_FITTED", most)
    assert provenance.detector_sample(Run(tmp_path)) == "", "the run has no list of its images"
    (tmp_path / "images.csv").write_text(LIST)
    assert provenance.detector_sample(Run(tmp_path)) == told
