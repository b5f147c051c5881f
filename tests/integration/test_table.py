"""`data=table` and `data.exclude`: trained, evaluated and resumed from any folder."""

import csv
import json
from pathlib import Path

import pytest

from melanoma_pl import evaluate, train
from tests.conftest import TINY, Command, only_run

pytestmark = pytest.mark.slow


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(work_folder: Path, image_folder: Path) -> Path:
    """A folder with the images, a table of them in another folder, and a list of images to leave out."""
    (work_folder / "images").symlink_to(image_folder)
    (work_folder / "tables").mkdir()
    with (work_folder / "tables/t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "label", "split", "lesion"])
        for row in rows_of(image_folder / "metadata.csv"):
            split, label, _ = row["image"].split("/")
            writer.writerow([f"../images/{row['image']}", {"benign": "Nevus"}.get(label, label), split, row["group"]])
    (work_folder / "q.csv").write_text("image,reason\ntrain/benign/000.png,leak\ntest/benign/002.png,leak\n")
    return work_folder


TABLE = (*TINY, "data=table", "data.table=tables/t.csv", "data.group_column=lesion")


def test_a_table_trains_as_its_folder_does(run_command: Command, folder: Path) -> None:
    result = run_command(train.command, *TABLE, "name=table")
    assert result.code == 0, result.error
    assert "0 of 12 test images share a lesion with train" in result.output
    run_command(train.command, *TINY, "data=folder", "data.root=images", "data.group_column=group", "name=folder")
    by_table, by_folder = (only_run(folder, name) for name in ("table", "folder"))
    images = [{**row, "path": f"../images/{row['path']}"} for row in rows_of(by_folder / "images.csv")]
    assert rows_of(by_table / "images.csv") == images
    figures = [json.loads((run / "run.json").read_text())["figures"] for run in (by_table, by_folder)]
    assert figures[0] == figures[1]


def test_evaluated_from_another_folder(
    run_command: Command, folder: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_command(train.command, *TABLE, "report=page")
    run = only_run(folder)
    told = {split: (run / f"report/{split}/metrics.json").read_text() for split in ("validation", "test")}
    monkeypatch.chdir(folder / "tables")
    for split, metrics in told.items():
        (run / f"report/{split}/metrics.json").unlink()
        result = run_command(evaluate.command, f"run={run}", f"split={split}")
        assert result.code == 0, result.error
        assert (run / f"report/{split}/metrics.json").read_text() == metrics
    result = run_command(evaluate.command, f"run={run}", f"data.root={image_folder}")
    assert result.code == 0, result.error
    other = json.loads((run / "report" / image_folder.name / "test/metrics.json").read_text())
    assert other["metrics"] == json.loads(told["test"])["metrics"]


def test_resumed_from_another_folder(run_command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exclude = folder / "tables/q.csv"
    exclude.write_text("image\n../images/train/benign/000.png\n")
    assert run_command(train.command, *TABLE, "data.exclude=tables/q.csv").code == 0
    run = only_run(folder)
    monkeypatch.chdir(folder / "tables")
    for epochs in (3, 4):  # the second time from where the first one had found the table
        result = run_command(train.command, f"resume={run}", f"trainer.max_epochs={epochs}")
        assert result.code == 0, result.error
        assert f"1 training images that {exclude} names" in result.output
    assert [row["epoch"] for row in rows_of(run / "metrics.csv")] == ["1", "2", "3", "4"]
    (folder / "tables/t.csv").rename(folder / "moved.csv")
    text = (folder / "moved.csv").read_text()
    (folder / "moved.csv").write_text(text.replace("../images/test/benign/000.png", "images/test/benign/000.png"))
    result = run_command(train.command, f"resume={run}", "trainer.max_epochs=5", "data.table=../moved.csv")
    assert result.code == 2
    assert "do not exist" in result.error


def test_images_left_out(run_command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = (*TINY, "data=folder", "data.root=images", "data.exclude=q.csv")
    result = run_command(train.command, *options, "report=page")
    assert result.code == 0, result.error
    assert "left out    1 training images that q.csv names; 1 test images that it names stay" in result.output
    run = only_run(folder)
    paths = {row["path"] for row in rows_of(run / "images.csv")}
    assert "train/benign/000.png" not in paths
    assert "test/benign/002.png" in paths
    assert json.loads((run / "run.json").read_text())["config"]["data"]["exclude"] == "q.csv"
    told = json.loads((run / "report/validation/metrics.json").read_text())
    result = run_command(evaluate.command, f"run={run}", "split=validation")
    assert result.code == 0, result.error
    assert json.loads((run / "report/validation/metrics.json").read_text()) == told
    (folder / "q.csv").unlink()
    result = run_command(evaluate.command, f"run={run}", "split=validation")
    assert result.code == 2
    assert "q.csv does not exist" in result.error
    monkeypatch.chdir(folder / "tables")
    result = run_command(evaluate.command, f"run={run}", "data.root=../images")
    assert result.code == 0, result.error  # nothing is left out of other images


def test_runs_recorded_before_these_keys_existed(run_command: Command, folder: Path) -> None:
    run_command(train.command, *TINY, "data=folder", "data.root=images")
    run = only_run(folder)
    record = json.loads((run / "run.json").read_text())
    for config in (record["config"], record["composed"]):
        for key in ("fold", "table", "exclude"):
            del config["data"][key]
    (run / "run.json").write_text(json.dumps(record))
    result = run_command(evaluate.command, f"run={run}")
    assert result.code == 0, result.error
    result = run_command(train.command, f"resume={run}", "trainer.max_epochs=3")
    assert result.code == 0, result.error


CASES = {
    "no image there": (
        ".png,Nevus,train",
        "x.png,Nevus,train",
        "tables/t.csv, line 2: 20 of 40 train images do not exist (../images",
    ),
    "unknown label": (
        "Nevus,train",
        "nevs,train",
        "tables/t.csv, line 2: the label 'nevs' is not a class; did you mean",
    ),
    "no split": ("malignant,train", "malignant,", "is not in a split: cut a split: melanoma-data split tables/t.csv"),
    "no split column": ("label,split", "label,part", "tables/t.csv has no column 'split' (data.split_column"),
    "no lesion column": ("split,lesion", "split,patient", "has no column 'lesion' (data.group_column)"),
    "no test images": (",test,", ",train,", "tables/t.csv has no test image of the class 'benign'"),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_tables_are_refused(case: str, run_command: Command, folder: Path) -> None:
    before, after, expected = CASES[case]
    table = folder / "tables/t.csv"
    table.write_text(table.read_text().replace(before, after))
    result = run_command(train.command, *TABLE)
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert not (folder / "outputs").exists()


STALE = "names 1 images that are not in images (train/benign/gone.png)"


@pytest.mark.parametrize(("text", "expected"), [("image\ntrain/benign/gone.png\n", STALE), ("path\n", "has no column")])
def test_wrong_lists_are_refused(text: str, expected: str, run_command: Command, folder: Path) -> None:
    (folder / "q.csv").write_text(text)
    result = run_command(train.command, *TINY, "data=folder", "data.root=images", "data.exclude=q.csv")
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert not (folder / "outputs").exists()
