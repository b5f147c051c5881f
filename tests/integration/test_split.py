"""`melanoma-data split` as a user types it, and training on its result."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from melanoma_pl import train
from melanoma_pl.data import __main__ as data
from tests.conftest import TINY, Command, only_run

CASES = {
    "no source": (["nowhere", "new"], "nowhere does not exist"),
    "source without images": (["empty", "new"], "empty holds no labelled images"),
    "one class": (["images/train/benign", "new"], "holds no labelled images"),
    "target taken": (["images", "taken"], "taken is not empty"),
    "target is the source": (["images", "images"], "lies inside it"),
    "target in the source": (["images", "images/new"], "lies inside it"),
    "target is a file": (["images", "taken/file"], "taken/file is a file"),
    "test fraction": (["images", "new", "--test", "1"], "--test 1 is not allowed"),
    "nothing to cut": (["images", "new", "--test", "0"], "add --folds 5"),
    "one fold": (["images", "new", "--folds", "1"], "--folds 1 is not allowed"),
    "too many folds": (["images", "new", "--folds", "21"], "--folds 21 is not allowed"),
    "folds beyond the lesions": (
        ["images", "new", "--folds", "20", "--group-column", "group"],
        "lesions of the class 'benign' are too few for cross-validation in 20 parts",
    ),
    "test fraction beyond the lesions": (
        ["images", "new", "--test", "0.05", "--group-column", "group"],
        "13 lesions of the class 'benign' are too few for a test split in 20 parts",
    ),
    "seed": (["images", "new", "--seed", "-1"], "--seed -1 is not allowed"),
    "no metadata of that name": (["images", "new", "--metadata", "no.csv"], "--metadata=no.csv does not exist"),
    "no metadata": (["images/train", "new", "--group-column", "group"], "images/train has no metadata.csv"),
    "group column": (["images", "new", "--group-column", "grup"], "did you mean 'group'?"),
    "image column": (["images", "new", "--group-column", "group", "--image-column", "img"], "has no column 'img'"),
    "labels": (["label.csv", "new"], "gives 1 image (a.png) the label '', which cannot name a folder"),
    "classes": (["class.csv", "new"], "has images of one class only, 'benign'"),
    "names": (["name.csv", "new"], "lists 1 image (a.txt) with names that are not those of images: allowed are .jpg"),
    "missing images": (["missing.csv", "new"], "1 image (no.png: No such file or directory) of 2 in missing.csv"),
}


@pytest.fixture
def workplace(work_folder: Path, own_image_folder: Path) -> Path:
    """A folder with images that are unlike each other, and with what can be wrong."""
    for number, path in enumerate(sorted(own_image_folder.rglob("*.png"))):
        cells = np.random.default_rng(number).integers(60, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(cells).resize((48, 48), Image.Resampling.BICUBIC).save(path)
    (work_folder / "empty").mkdir()
    (work_folder / "taken").mkdir()
    (work_folder / "taken/file").write_text("years of work")
    image = "images/train/benign/000.png"
    for name, text in {
        "label": f"a.png,\n{image},benign",
        "class": f"a.png,benign\n{image},nevus",
        "name": f"a.txt,benign\n{image},malignant",
        "missing": f"no.png,benign\n{image},malignant",
    }.items():
        (work_folder / f"{name}.csv").write_text(f"image,label\n{text}\n")
    return work_folder


@pytest.mark.parametrize("case", CASES)
def test_said_in_one_line_and_nothing_left(case: str, run_command: Command, workplace: Path) -> None:
    arguments, expected = CASES[case]
    before = sorted(workplace.rglob("*"))
    result = run_command(data.command, "split", *arguments)
    assert result.code == 2
    assert expected in result.error
    assert len(result.error.strip().splitlines()) == 1
    assert result.error.startswith("error: ")
    assert sorted(workplace.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_where_one_may_not_write(run_command: Command, workplace: Path) -> None:
    (workplace / "locked").mkdir(mode=0o500)
    result = run_command(data.command, "split", "images", "locked/new", "--group-column", "group")
    assert result.code == 2
    assert "locked/new cannot be made (Permission denied)" in result.error


def test_training_on_a_new_split(run_command: Command, workplace: Path) -> None:
    result = run_command(data.command, "split", "images", "new", "--group-column", "group", "--test", "0.25")
    assert result.code == 0, result.error
    *_, last = result.output.strip().splitlines()
    assert last == "next: melanoma-train data=folder data.root=new data.group_column=group"
    result = run_command(train.command, *TINY, *last.split()[2:])
    assert result.code == 0, result.error
    assert "0 of 12 test images share a lesion with train" in result.output
    with (only_run(workplace) / "images.csv").open() as file:
        assert {row["group"][:4] for row in csv.DictReader(file)} == {"trai", "test"}


def test_near_duplicates_are_found(run_command: Command, workplace: Path) -> None:
    images = workplace / "images"
    equal = ("train/benign/000.png", "test/benign/000.png", "train/malignant/001.png")
    for path in equal[1:]:
        (images / path).write_bytes((images / equal[0]).read_bytes())
    result = run_command(data.command, "split", "images", "new", "--test", "0.5")
    assert result.code == 0, result.error
    with (workplace / "new/split.csv").open() as file:
        rows = {row["source"]: row for row in csv.DictReader(file)}
    assert {rows[path]["group"] for path in equal} == {"image:test/benign/000.png"}
    assert len({rows[path]["split"] for path in equal}) == 1
    assert "groups  50, 1 of them with several images; known by comparing pixels" in result.output
