"""`melanoma-train model=timm`: fine-tuned in two stages, resumed, evaluated and explained without hub and file."""

from pathlib import Path

import pytest
import torch

from melanoma_pl import evaluate, predict, train
from melanoma_pl.config.composition import compose_config
from melanoma_pl.runs import Run
from tests.conftest import TINY, Command, only_run
from tests.integration.test_resume import assert_same
from tests.integration.test_resume import train as train_in

timm = pytest.importorskip("timm", reason="needs melanoma-pl[timm]")
RECIPE = [
    *(text for text in TINY if not text.startswith("model.")),
    "model=timm",
    "model.backbone=test_resnet",
    "model.head_epochs=2",
    "augmentation=dihedral",
]


@pytest.fixture
def recipe(tmp_path: Path, image_folder: Path) -> list[str]:
    """A training on files, with weights that were made here: those of the hub are not to be had in a test."""
    torch.manual_seed(7)
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    return [*RECIPE, "data=folder", f"data.root={image_folder}", f"model.pretrained={tmp_path / 'weights.pth'}"]


@pytest.mark.slow
def test_trained_resumed_evaluated_and_explained(
    recipe: list[str], run_command: Command, tmp_path: Path, image_folder: Path
) -> None:
    assert run_command(train.command, *recipe, "trainer.max_epochs=3", "name=whole").code == 0
    assert run_command(train.command, *recipe, "trainer.max_epochs=1", "name=halves").code == 0
    (tmp_path / "weights.pth").unlink()
    run = only_run(tmp_path, "halves")
    resumed = run_command(train.command, f"resume={run}", "trainer.max_epochs=3")
    assert resumed.code == 0, resumed.error
    assert "Loading pretrained" not in resumed.output
    assert_same(only_run(tmp_path, "whole"), run)

    saved = torch.load(run / "checkpoints/best.ckpt", weights_only=True)["melanoma_pl"]
    assert saved["network"]["pretrained"] is False
    assert saved["preprocessing"]["interpolation"] == timm.get_pretrained_cfg("test_resnet").interpolation
    assert tuple(saved["preprocessing"]["mean"]) == timm.get_pretrained_cfg("test_resnet").mean

    figures = dict(Run(run).read()["figures"])
    assert run_command(evaluate.command, f"run={run}").code == 0
    assert Run(run).read()["figures"] == figures
    image = next((image_folder / "test/malignant").iterdir())
    answer = run_command(predict.command, "--run", str(run), str(image), "--heatmaps", str(tmp_path / "maps"))
    assert answer.code == 0, answer.error
    assert list((tmp_path / "maps").iterdir())


@pytest.mark.slow
def test_a_checkpoints_weights_are_a_beginning(recipe: list[str], run_command: Command, tmp_path: Path) -> None:
    assert run_command(train.command, *recipe, "trainer.max_epochs=1", "name=first").code == 0
    (tmp_path / "weights.pth").unlink()
    start = only_run(tmp_path, "first") / "checkpoints/last.ckpt"
    again = ["trainer.max_epochs=1", "name=second", f"model.weights={start}", "test=false"]
    assert run_command(train.command, *recipe, *again).code == 0
    first, second = (
        torch.load(only_run(tmp_path, name) / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("first", "second")
    )
    name = "network.backbone.conv1.0.weight"  # of the backbone, which stays in the first stage
    assert torch.equal(first[name], second[name])


REFUSED = {
    "no such network": (["model.backbone=test_resnett"], "did you mean test_resnet"),
    "random, but the head alone": (["model.pretrained=false"], "add model.head_epochs=0"),
    "no file": (["model.pretrained=nowhere.pth"], "model.pretrained=nowhere.pth does not exist"),
    "another network has no backbone": (["model=three_conv"], "add model=timm, or take none or imagenet"),
    "a share beyond one": (["model.backbone_lr=2"], "backbone_lr=2"),
    "several devices wait for all gradients": (
        ["trainer.devices=2", "+trainer.strategy=ddp"],
        "add trainer.strategy=ddp_find_unused_parameters_true",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_said_in_one_line(case: str, recipe: list[str], run_command: Command, work_folder: Path) -> None:
    overrides, expected = REFUSED[case]
    if case == "another network has no backbone":
        recipe = [text for text in recipe if not text.startswith("model")] + ["data.normalisation=backbone"]
    result = run_command(train.command, *recipe, *overrides)
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert not (work_folder / "outputs").exists()


@pytest.mark.parametrize(
    ("overrides", "normalisation"),
    [
        (["model=timm"], "backbone"),
        (["model=timm", "data=table"], "backbone"),
        (["data.normalisation=none", "model=timm"], "none"),
        (["experiment=baseline", "model=timm"], "backbone"),
        (["experiment=baseline"], "none"),
        (["experiment=demo", "model=timm", "data.normalisation=imagenet"], "imagenet"),
    ],
)
def test_the_network_chooses_its_preprocessing_unless_it_is_typed(overrides: list[str], normalisation: str) -> None:
    config = compose_config("train", overrides)
    assert config.data.normalisation == normalisation
    assert ("backbone" in config.model) == ("model=timm" in overrides)


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_go_through_both_stages(recipe: list[str], tmp_path: Path) -> None:
    two = [
        "trainer.devices=2",
        "+trainer.strategy=ddp_find_unused_parameters_true",
        "model.head_epochs=1",
        "test=false",
    ]
    answer = train_in(tmp_path, *recipe, *two)
    assert answer.returncode == 0, answer.stdout
    assert len((only_run(tmp_path) / "metrics.csv").read_text().splitlines()) == 3
