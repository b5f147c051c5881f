"""`melanoma-predict` as its user types it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from melanoma_pl import evaluate, predict, train
from tests.conftest import SIZE, TINY, Command, draw_image, only_run


@pytest.fixture
def run_folder(run_command: Command, work_folder: Path, image_folder: Path) -> str:
    """A trained run."""
    result = run_command(train.command, *TINY, "data=folder", f"data.root={image_folder}", "test=false")
    assert result.code == 0, result.error
    return str(only_run(work_folder))


def test_two_images(run_command: Command, run_folder: str, image_folder: Path) -> None:
    images = [str(image_folder / "test" / name) for name in ("benign/000.png", "malignant/001.png")]
    result = run_command(predict.command, "--run", run_folder, *images)
    assert result.code == 0, result.error
    lines = result.output.splitlines()
    assert len(lines) == 2
    for line, image in zip(lines, images, strict=True):
        probability, decision, path = line.split()
        assert 0 <= float(probability) <= 1
        assert decision in ("normal", "melanoma")
        assert path == image
    assert result.error.count("not a medical device: it makes no diagnosis") == 1


def test_one_alone_or_among_many(run_command: Command, run_folder: str, image_folder: Path) -> None:
    many = run_command(predict.command, "--run", run_folder, str(image_folder), "--json")
    rows = {row["path"]: row for row in map(json.loads, many.output.splitlines())}
    assert len(rows) == 52
    image = str(image_folder / "test/benign/000.png")
    alone = json.loads(run_command(predict.command, "--run", run_folder, image, "--json").output)
    assert alone["probability"] == pytest.approx(rows[image]["probability"], abs=1e-6)


def test_broken_images_are_reported_and_the_rest_go_on(
    run_command: Command, run_folder: str, work_folder: Path
) -> None:
    draw_image(work_folder / "in/good.png", malignant=True, seed=0)
    (work_folder / "in/broken.png").write_bytes(b"no image")
    (work_folder / "in/notes.txt").write_text("not even meant to be one")
    result = run_command(predict.command, "--run", run_folder, "in", "--csv", "out.csv", "--names", "a,b")
    assert result.code == 1
    assert "1 of 2 images could not be read" in result.error
    with (work_folder / "out.csv").open() as file:
        broken, good = csv.DictReader(file)
    assert broken["path"] == "in/broken.png"
    assert broken["error"]
    assert broken["probability"] == broken["decision"] == ""
    assert good["decision"] in ("a", "b")


def test_the_threshold_decides(run_command: Command, run_folder: str, image_folder: Path) -> None:
    report = Path(run_folder) / "report/validation"
    threshold = json.loads((report / "metrics.json").read_text())["threshold"]
    result = run_command(predict.command, "--run", run_folder, str(image_folder / "train"), "--json")
    for row in map(json.loads, result.output.splitlines()):
        assert row["decision"] == ("melanoma" if row["probability"] >= threshold else "normal")


def test_images_unlike_the_training_images_are_told(
    run_command: Command, run_folder: str, work_folder: Path, image_folder: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(work_folder / "noise.png")
    ordinary = str(image_folder / "train/benign/000.png")
    result = run_command(predict.command, "--run", run_folder, "noise.png", ordinary, "--csv", "out.csv")
    assert result.code == 0, result.error
    first, second = result.output.splitlines()
    assert first.endswith("noise.png  (unlike the training images: do not rely on this number)")
    assert "unlike" not in second
    assert "1 of 2 images are unlike the training images" in result.error
    with (work_folder / "out.csv").open() as file:
        assert [row["out_of_distribution"] for row in csv.DictReader(file)] == ["1", "0"]


def test_a_checkpoint_that_cannot_tell_says_so(run_command: Command, run_folder: str, image_folder: Path) -> None:
    path = Path(run_folder) / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["ood_detector"]  # what an interrupted run leaves
    torch.save(checkpoint, path)
    image = str(image_folder / "test/benign/000.png")
    result = run_command(predict.command, "--checkpoint", str(path), image, "--json")
    assert result.code == 0, result.error
    assert "cannot tell whether an image is unlike" in result.error
    assert json.loads(result.output)["out_of_distribution"] is None


def test_heat_maps_are_written_in_the_images_own_shape(
    run_command: Command, run_folder: str, work_folder: Path, image_folder: Path
) -> None:
    with Image.open(image_folder / "test/malignant/001.png") as image:
        image.resize((90, 60)).save(work_folder / "wide.png")
    (work_folder / "broken.png").write_bytes(b"no image")
    same_names = [str(image_folder / split / "benign/000.png") for split in ("train", "test")]
    arguments = ("--heatmaps", "maps", "--json")
    result = run_command(predict.command, "--run", run_folder, "wide.png", "broken.png", *same_names, *arguments)
    assert result.code == 1, "one image is broken"
    rows = list(map(json.loads, result.output.splitlines()))
    assert rows[1]["heat_map"] is None
    written = [rows[place]["heat_map"] for place in (0, 2, 3)]
    assert len(set(written)) == 3, "images of one name in two folders"
    with Image.open(written[0]) as picture:
        assert picture.size == (90, 60)


def test_eight_views(run_command: Command, run_folder: str, work_folder: Path, image_folder: Path) -> None:
    image = image_folder / "test/malignant/001.png"
    with Image.open(image) as upright:
        upright.rotate(90).save(work_folder / "turned.png")
    once = run_command(predict.command, "--run", run_folder, str(image), "--tta", "--json")
    assert "to fit them for --tta: melanoma-evaluate" in once.error
    turned = run_command(predict.command, "--run", run_folder, "turned.png", "--tta", "--json")
    probability = json.loads(once.output)["probability"]
    assert json.loads(turned.output)["probability"] == pytest.approx(probability, abs=1e-6)
    assert run_command(evaluate.command, f"run={run_folder}", "split=validation", "tta=dihedral").code == 0
    fitted = run_command(predict.command, "--run", run_folder, str(image), "--tta", "--json")
    assert "to fit them" not in fitted.error
    checkpoint = torch.load(Path(run_folder) / "checkpoints/best.ckpt", weights_only=True)
    logit = np.log(probability / (1 - probability)) * checkpoint["melanoma_pl"]["temperature"]
    expected = 1 / (1 + np.exp(-logit / checkpoint["augmented_decision"]["temperature"]))
    assert json.loads(fitted.output)["probability"] == pytest.approx(expected, abs=1e-6)


def test_a_folder_that_cannot_be_made(run_command: Command, run_folder: str, work_folder: Path) -> None:
    (work_folder / "file").write_text("")
    draw_image(work_folder / "image.png", malignant=True, seed=0)
    result = run_command(predict.command, "--run", run_folder, "image.png", "--heatmaps", "file/maps")
    assert result.code == 2
    assert "--heatmaps file/maps cannot be made" in result.error


def test_nothing_takes_an_images_place(run_command: Command, run_folder: str, work_folder: Path) -> None:
    draw_image(work_folder / "in/image.png", malignant=True, seed=0)
    before = (work_folder / "in/image.png").read_bytes()
    table = run_command(predict.command, "--run", run_folder, "in/image.png", "--csv", "in/image.png")
    assert (table.code, "is one of the images" in table.error) == (2, True)
    maps = run_command(predict.command, "--run", run_folder, "in", "--heatmaps", "in/maps")
    assert (maps.code, "lies among the images" in maps.error) == (2, True)
    assert (work_folder / "in/image.png").read_bytes() == before
    assert not (work_folder / "in/maps").exists()


@pytest.mark.real_data
def test_images_as_people_have_them(run_command: Command, run_folder: str, shared_images: Path) -> None:
    result = run_command(predict.command, "--run", run_folder, str(shared_images / "photoS"), "--json")
    assert result.code == 0, result.error
    assert len(result.output.splitlines()) == 34
