"""`melanoma-predict` as its user types it."""

import csv
import json
from pathlib import Path

import pytest

from melanoma_pl import predict, train
from tests.conftest import TINY, Command, draw_photo, only_run


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


@pytest.mark.real_data
def test_photos_as_people_have_them(run_command: Command, run_folder: str, shared_photos: Path) -> None:
    result = run_command(predict.command, "--run", run_folder, str(shared_photos / "photos"), "--json")
    assert result.code == 0, result.error
    assert len(result.output.splitlines()) == 34
