"""Images whose names hold a terminal's commands, line breaks and formulas, through every command."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from melanoma_pl.data import __main__ as data_command
from melanoma_pl.predict import command as predict
from melanoma_pl.runs.image_list import listed_images
from melanoma_pl.runs.predictions import find_source, read_predictions
from melanoma_pl.runs.run_folder import Run
from melanoma_pl.train import command as train
from tests.conftest import TINY, Result, only_run

ODD = "a\x1b[31m\u202egnp\nerror: forged.png"
FORMULA = "=cmd'+1.png"


@pytest.fixture
def hostile_folder(own_image_folder: Path) -> Path:
    """An image folder with two odd names in each class."""
    for split, label in (("train", "benign"), ("train", "malignant"), ("test", "benign"), ("test", "malignant")):
        files = sorted((own_image_folder / split / label).iterdir())
        for file, name in zip(files, (ODD, FORMULA), strict=False):
            file.rename(file.with_name(name))
    (own_image_folder / "metadata.csv").unlink()
    return own_image_folder


def test_no_command_prints_a_name_as_it_is(
    hostile_folder: Path, run_command: Callable[..., Result], work_folder: Path
) -> None:
    (hostile_folder / "-odd").mkdir()
    (hostile_folder / f"test/benign/b{ODD}").touch()
    for arguments in (["audit", "images"], ["split", "images", "new"], ["card", "images"]):
        safe(run_command(data_command.command, *arguments))
    safe(run_command(train, f"data.root={hostile_folder}", "data=folder", *TINY))
    (hostile_folder / f"test/benign/b{ODD}").unlink()
    safe(run_command(train, f"data.root={hostile_folder}", "data=folder", *TINY))
    run = only_run(work_folder)
    names = {path.name for path in hostile_folder.rglob("*.png")}
    assert {Path(image.path).name for images in listed_images(Run(run)).values() for image in images} == names
    predictions = read_predictions(find_source(run), "test")
    assert {f"test/{label}/{name}" for label in ("benign", "malignant") for name in (ODD, FORMULA)} <= set(
        predictions.images
    )
    (folder := hostile_folder / "test/benign").joinpath(f"b{ODD}").touch()
    safe(run_command(predict, "--run", str(run), str(folder), "--csv", "=predictions.csv"))
    found = safe(run_command(predict, "--run", str(run), str(folder), "--json"))
    assert str(folder / ODD) in {json.loads(line)["path"] for line in found.splitlines()}


def test_a_list_of_images_to_leave_out_names_them_again(
    hostile_folder: Path, run_command: Callable[..., Result], work_folder: Path
) -> None:
    source = hostile_folder / "train"
    (source / "benign").rename(source / "@benign")
    copied = source / "malignant" / FORMULA
    (source / "@benign/copy.png").write_bytes(copied.read_bytes())
    run_command(data_command.command, "audit", str(source), "--fix", "list.csv")
    with Path("list.csv").open(newline="") as file:
        cells = [row["image"] for row in csv.DictReader(file)]
    assert "'@benign/copy.png" in cells
    result = run_command(data_command.command, "audit", str(source), "--exclude", "list.csv")
    assert (result.code, result.error) == (0, "")


@pytest.mark.parametrize("name", ["x" * 300, "/proc/a/b", "loop/x"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "NAME"],
        ["audit", "images", "--report", "NAME"],
        ["audit", "images", "--fix", "NAME"],
        ["split", "images", "NAME"],
        ["synthesize", "NAME", "--train", "2", "--test", "2", "--size", "16"],
        ["card", "images", "--to", "NAME/card.md"],
        ["cache", "list", "NAME"],
    ],
)
def test_a_path_that_cannot_be_is_one_line(
    name: str, arguments: list[str], own_image_folder: Path, run_command: Callable[..., Result], work_folder: Path
) -> None:
    Path("loop").symlink_to("loop")
    before = sorted(work_folder.rglob("*"))
    result = run_command(data_command.command, *(word.replace("NAME", name) for word in arguments))
    assert (result.code, result.output) == (2, "")
    assert result.error.startswith("error: ")
    assert result.error.count("\n") == 1
    assert name[:5] in result.error
    assert sorted(work_folder.rglob("*")) == before


def safe(result: Result) -> str:
    """Return what a command printed, after a check that a terminal would run none of it."""
    for text in (result.output, result.error):
        assert text.replace("\n", "").isprintable()
        assert not [line for line in text.splitlines() if line.startswith("error: forged")]
    assert "Traceback" not in result.error
    return result.output
