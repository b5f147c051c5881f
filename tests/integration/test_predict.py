"""`melanoma-predict` as its user types it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from melanoma_pl import evaluate, predict, train
from tests.conftest import SIZE, TINY, Command, draw_photo, only_run


@pytest.fixture
def run_folder(run_command: Command, workplace: Path, photo_folder: Path) -> str:
    """A trained run."""
    result = run_command(train.command, *TINY, "data=folder", f"data.root={photo_folder}", "test=false")
    assert result.code == 0, result.error
    return str(only_run(workplace))


def test_two_photos(run_command: Command, run_folder: str, photo_folder: Path) -> None:
    photos = [str(photo_folder / "test" / name) for name in ("benign/000.png", "malignant/001.png")]
    result = run_command(predict.command, "--run", run_folder, *photos)
    assert result.code == 0, result.error
    lines = result.output.splitlines()
    assert len(lines) == 2
    for line, photo in zip(lines, photos, strict=True):
        probability, decision, path = line.split()
        assert 0 <= float(probability) <= 1
        assert decision in ("normal", "melanoma")
        assert path == photo
    assert result.error.count("no medical device, no diagnosis") == 1


def test_one_alone_or_among_many(run_command: Command, run_folder: str, photo_folder: Path) -> None:
    many = run_command(predict.command, "--run", run_folder, str(photo_folder), "--json")
    rows = {row["path"]: row for row in map(json.loads, many.output.splitlines())}
    assert len(rows) == 52
    photo = str(photo_folder / "test/benign/000.png")
    alone = json.loads(run_command(predict.command, "--run", run_folder, photo, "--json").output)
    assert alone["probability"] == pytest.approx(rows[photo]["probability"], abs=1e-6)


def test_broken_photos_are_reported_and_the_rest_go_on(run_command: Command, run_folder: str, workplace: Path) -> None:
    draw_photo(workplace / "in/good.png", malignant=True, seed=0)
    (workplace / "in/broken.png").write_bytes(b"no photo")
    (workplace / "in/notes.txt").write_text("not even meant to be one")
    result = run_command(predict.command, "--run", run_folder, "in", "--csv", "out.csv", "--names", "a,b")
    assert result.code == 1
    assert "1 of 2 photos could not be read" in result.error
    with (workplace / "out.csv").open() as file:
        broken, good = csv.DictReader(file)
    assert broken["path"] == "in/broken.png"
    assert broken["error"]
    assert broken["probability"] == broken["decision"] == ""
    assert good["decision"] in ("a", "b")


def test_the_threshold_decides(run_command: Command, run_folder: str, photo_folder: Path) -> None:
    report = Path(run_folder) / "report/validation"
    threshold = json.loads((report / "metrics.json").read_text())["threshold"]
    result = run_command(predict.command, "--run", run_folder, str(photo_folder / "train"), "--json")
    for row in map(json.loads, result.output.splitlines()):
        assert row["decision"] == ("melanoma" if row["probability"] >= threshold else "normal")


def test_photos_unlike_the_training_photos_are_told(
    run_command: Command, run_folder: str, workplace: Path, photo_folder: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(workplace / "noise.png")
    ordinary = str(photo_folder / "train/benign/000.png")
    result = run_command(predict.command, "--run", run_folder, "noise.png", ordinary, "--csv", "out.csv")
    assert result.code == 0, result.error
    first, second = result.output.splitlines()
    assert first.endswith("noise.png  (unlike the training photos: do not rely on this number)")
    assert "unlike" not in second
    assert "1 of 2 photos are unlike the training photos" in result.error
    with (workplace / "out.csv").open() as file:
        assert [row["unlike_training"] for row in csv.DictReader(file)] == ["1", "0"]


def test_a_checkpoint_that_cannot_tell_says_so(run_command: Command, run_folder: str, photo_folder: Path) -> None:
    path = Path(run_folder) / "checkpoints/best.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["familiarity"]  # what an interrupted run leaves
    torch.save(checkpoint, path)
    photo = str(photo_folder / "test/benign/000.png")
    result = run_command(predict.command, "--checkpoint", str(path), photo, "--json")
    assert result.code == 0, result.error
    assert "cannot tell whether a photo is unlike" in result.error
    assert json.loads(result.output)["unlike_training"] is None


def test_heat_maps_are_written_in_the_photos_own_shape(
    run_command: Command, run_folder: str, workplace: Path, photo_folder: Path
) -> None:
    with Image.open(photo_folder / "test/malignant/001.png") as photo:
        photo.resize((90, 60)).save(workplace / "wide.png")
    (workplace / "broken.png").write_bytes(b"no photo")
    same_names = [str(photo_folder / split / "benign/000.png") for split in ("train", "test")]
    arguments = ("--heatmaps", "maps", "--json")
    result = run_command(predict.command, "--run", run_folder, "wide.png", "broken.png", *same_names, *arguments)
    assert result.code == 1, "one photo is broken"
    rows = list(map(json.loads, result.output.splitlines()))
    assert rows[1]["heat_map"] is None
    written = [rows[place]["heat_map"] for place in (0, 2, 3)]
    assert len(set(written)) == 3, "photos of one name in two folders"
    with Image.open(written[0]) as picture:
        assert picture.size == (90, 60)


def test_eight_views(run_command: Command, run_folder: str, workplace: Path, photo_folder: Path) -> None:
    photo = photo_folder / "test/malignant/001.png"
    with Image.open(photo) as upright:
        upright.rotate(90).save(workplace / "turned.png")
    once = run_command(predict.command, "--run", run_folder, str(photo), "--tta", "--json")
    assert "to fit them for --tta: melanoma-evaluate" in once.error
    turned = run_command(predict.command, "--run", run_folder, "turned.png", "--tta", "--json")
    probability = json.loads(once.output)["probability"]
    assert json.loads(turned.output)["probability"] == pytest.approx(probability, abs=1e-6)
    assert run_command(evaluate.command, f"run={run_folder}", "split=validation", "tta=dihedral").code == 0
    fitted = run_command(predict.command, "--run", run_folder, str(photo), "--tta", "--json")
    assert "to fit them" not in fitted.error
    checkpoint = torch.load(Path(run_folder) / "checkpoints/best.ckpt", weights_only=True)
    logit = np.log(probability / (1 - probability)) * checkpoint["melanoma_pl"]["temperature"]
    expected = 1 / (1 + np.exp(-logit / checkpoint["augmented_decision"]["temperature"]))
    assert json.loads(fitted.output)["probability"] == pytest.approx(expected, abs=1e-6)


def test_a_folder_that_cannot_be_made(run_command: Command, run_folder: str, workplace: Path) -> None:
    (workplace / "file").write_text("")
    draw_photo(workplace / "photo.png", malignant=True, seed=0)
    result = run_command(predict.command, "--run", run_folder, "photo.png", "--heatmaps", "file/maps")
    assert result.code == 2
    assert "--heatmaps file/maps cannot be made" in result.error


def test_nothing_takes_a_photos_place(run_command: Command, run_folder: str, workplace: Path) -> None:
    draw_photo(workplace / "in/photo.png", malignant=True, seed=0)
    before = (workplace / "in/photo.png").read_bytes()
    table = run_command(predict.command, "--run", run_folder, "in/photo.png", "--csv", "in/photo.png")
    assert (table.code, "is one of the photos" in table.error) == (2, True)
    maps = run_command(predict.command, "--run", run_folder, "in", "--heatmaps", "in/maps")
    assert (maps.code, "lies among the photos" in maps.error) == (2, True)
    assert (workplace / "in/photo.png").read_bytes() == before
    assert not (workplace / "in/maps").exists()


@pytest.mark.real_data
def test_photos_as_people_have_them(run_command: Command, run_folder: str, shared_photos: Path) -> None:
    result = run_command(predict.command, "--run", run_folder, str(shared_photos / "photos"), "--json")
    assert result.code == 0, result.error
    assert len(result.output.splitlines()) == 34
