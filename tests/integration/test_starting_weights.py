"""Runs that begin with the weights of another run: what these have learnt from is said wherever figures are."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from melanoma_pl import evaluate, train
from tests.conftest import TINY, Command, only_run, write_image_folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, image_folder: Path) -> Path:
    """A run that learnt from all images of the tiny folder, its test images included."""
    folder = tmp_path_factory.mktemp("source")
    root = write_image_folder(folder / "images", train=4, test=4)
    for kind in ("benign", "malignant"):
        for split in ("train", "test"):
            for image in (image_folder / split / kind).iterdir():
                shutil.copy(image, root / "train" / kind / f"{split}{image.name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["command"])
        assert train.command([*TINY, "data=folder", f"data.root={root}", "trainer.max_epochs=1", "test=false"]) == 0
    return only_run(folder)


@pytest.fixture
def command(run_command: Command, image_folder: Path) -> Command:
    """`melanoma-train` on the tiny images, one epoch."""
    options = [*TINY, "data=folder", f"data.root={image_folder}", "trainer.max_epochs=1"]
    return lambda *arguments: run_command(train.command, *options, *arguments)


def read(path: Path) -> dict:  # type: ignore[type-arg]
    found: dict = json.loads(path.read_text())  # type: ignore[type-arg]
    return found


def test_weights_that_have_seen_the_test_images_are_marked(
    source: Path, command: Command, run_command: Command, work_folder: Path
) -> None:
    weights = source / "checkpoints/best.ckpt"
    result = command(f"model.weights={weights}", "report=page", "name=b")
    assert result.code == 0, result.error
    assert "learnt from 12 of 12 test images" in result.output
    run = only_run(work_folder, "b")
    record = read(run / "run.json")["weights"]
    assert record["is_listed"] and record["seen"]["test"] == 12 and 0 < record["seen"]["validation"] <= 8
    told = read(run / "report/test/metrics.json")
    assert told["report"]["facts"]["started from"] == f"the weights of {weights}"
    expected = "The weights that the network began with learnt from 12 of these 12 images"
    chosen = f"learnt from {record['seen']['validation']} of its 8 validation images"
    for text in (" ".join(told["notes"]), (run / "MODEL_CARD.md").read_text()):
        assert expected in text and chosen in text
    assert expected in (run / "report/report.html").read_text()
    # weights of weights: the list goes along
    assert command(f"model.weights={run / 'checkpoints/last.ckpt'}", "name=c").code == 0
    third = only_run(work_folder, "c")
    assert read(third / "run.json")["weights"]["seen"]["test"] == 12
    result = run_command(evaluate.command, f"run=[{run},{third}]", "output=together")
    assert result.code == 2 and "or the weights that it began with, trained on 12 of the 12 test" in result.error


def test_weights_of_the_same_split_are_fine(command: Command, run_command: Command, work_folder: Path) -> None:
    assert command("name=a").code == 0
    first = only_run(work_folder, "a")
    result = command(f"model.weights={first / 'checkpoints/best.ckpt'}", "name=b")
    assert result.code == 0 and "learnt from" not in result.output
    run = only_run(work_folder, "b")
    assert read(run / "run.json")["weights"]["seen"] == {"validation": 0, "test": 0}
    with (run / "images.csv").open() as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    assert {name: splits.count(name) for name in set(splits)} == {
        "train": 32, "validation": 8, "test": 12, "weights/train": 32, "weights/validation": 8,
    }  # fmt: skip
    assert "weights" not in " ".join(read(run / "report/test/metrics.json")["notes"])
    resumed = run_command(train.command, f"resume={run}", "trainer.max_epochs=2")
    assert resumed.code == 0, resumed.error
    assert read(run / "run.json")["weights"]["is_listed"]


def test_weights_of_unknown_origin_are_marked(source: Path, command: Command, work_folder: Path) -> None:
    alone = work_folder / "alone.ckpt"
    shutil.copy(source / "checkpoints/best.ckpt", alone)
    for name, weights in (("a", alone), ("b", None)):
        weights = weights or only_run(work_folder, "a") / "checkpoints/best.ckpt"  # whose own weights are unknown
        result = command(f"model.weights={weights}", f"name={name}")
        assert result.code == 0, result.error
        assert "it is not known which images they learnt from" in result.output
        run = only_run(work_folder, name)
        assert not read(run / "run.json")["weights"]["is_listed"]
        notes = read(run / "report/test/metrics.json")["notes"]
        assert any("began with weights of unknown origin" in note for note in notes)


REFUSED = {
    "normalisation": (["data.normalisation=imagenet"], "mean=[0.0, 0.0, 0.0] instead of", "data.normalisation=none"),
    "class names": (
        ["data.class_names=[naevus,melanoma]"],
        "class_names=['benign', 'malignant'] instead of ['naevus', 'melanoma']",
        "data.class_names=[benign,malignant]",
    ),
    "image size": (["data.image_size=40"], "does not fit the network: dense_1", "data.image_size"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_weights_of_another_preparation_are_refused(
    case: str, source: Path, command: Command, work_folder: Path
) -> None:
    options, *expected = REFUSED[case]
    result = command(f"model.weights={source / 'checkpoints/best.ckpt'}", *options)
    assert result.code == 2
    assert len(result.error.strip().splitlines()) == 1
    assert all(text in result.error for text in expected), result.error
    assert not list(work_folder.glob("outputs/**/run.json"))


def test_a_checkpoint_of_another_run_is_refused(command: Command, run_command: Command, work_folder: Path) -> None:
    assert command("name=a").code == 0
    run = only_run(work_folder, "a")
    path = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    entry = checkpoint["melanoma_pl"]
    for change, expected in (
        (
            {"preprocessing": {**entry["preprocessing"], "mean": [0.5] * 3}},
            "mean=[0.5, 0.5, 0.5] instead of [0.0, 0.0, 0.0]",
        ),
        (
            {"class_names": ["naevus", "melanoma"]},
            "class_names=['naevus', 'melanoma'] instead of ['benign', 'malignant']",
        ),
    ):
        torch.save({**checkpoint, "melanoma_pl": {**entry, **change}}, path)
        result = run_command(evaluate.command, f"run={run}")
        assert result.code == 2 and expected in result.error
        assert len(result.error.strip().splitlines()) == 1
