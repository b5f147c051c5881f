"""Each dataset, from its own download to the common layout and table."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import Result
from tests.unit.data.public_sets import downloads

from melanoma_pl.data import command_line as commands
from melanoma_pl.data.labelled_images import list_images, list_split
from melanoma_pl.data.public_sets.diagnoses import TASKS
from melanoma_pl.data.public_sets.preparing import COLUMNS, SETS

Prepare = Callable[..., Result]
WRITERS = {
    "kaggle-benign-malignant": downloads.write_kaggle,
    "ham10000": downloads.write_ham10000,
    "isic": downloads.write_isic,
    "isic2024": downloads.write_isic2024,
    "pad-ufes-20": downloads.write_pad,
    "dermamnist": lambda folder: downloads.write_dermamnist(folder / "dermamnist_28.npz"),
}


def test_the_command_offers_every_set_and_task() -> None:
    assert set(commands.NAMES) == set(SETS) == set(WRITERS)
    assert set(commands.TASKS) == set(TASKS)


@pytest.mark.parametrize("name", WRITERS)
def test_every_set_ends_in_one_layout(name: str, prepare: Prepare, work_folder: Path) -> None:
    WRITERS[name](work_folder / "download")
    result = prepare(name, "download", "ready")
    assert result.code == 0, result.error
    rows = downloads.read_table(work_folder / "ready/metadata.csv")
    assert tuple(rows[0]) == COLUMNS
    images = {file for file in downloads.files_below(work_folder / "ready") if file.count("/") >= 2}
    assert [row["image"] for row in rows] == sorted(images)
    for row in rows:
        split, label, *_ = row["image"].split("/")
        assert (split, label) == (row["split"], row["label"])
        assert row["source"] and row["licence"] and row["original"]
        Image.open(work_folder / "ready" / row["image"]).verify()
    for split in ("train", "test"):
        assert len(list_split(work_folder / "ready", split)) == sum(row["split"] == split for row in rows)
    assert sorted(path.name for path in work_folder.iterdir()) == ["download", "ready"]


def test_ham10000_row(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    prepare("ham10000", "ham", "ready")
    row = next(row for row in downloads.read_table(work_folder / "ready/metadata.csv") if "0024306" in row["image"])
    assert row | {"image": "", "split": ""} == {
        "image": "", "label": "benign", "split": "", "diagnosis": "nevus", "written": "nv",
        "confirmed_by": "histopathology", "lesion": "HAM_0000000", "patient": "",
        "age": "80", "sex": "male", "site": "scalp", "skin_type": "", "source": "HAM10000 vidir_modern",
        "licence": "CC BY-NC 4.0", "group": "HAM_0000000", "original": "HAM10000_images_part_1/ISIC_0024306.jpg",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["HAM10000_metadata", "HAM10000_metadata.tab"])
def test_ham10000_from_the_dataverse(name: str, prepare: Prepare, work_folder: Path) -> None:
    """One folder of all images; the table has no ending, or is Dataverse's own: tabs, and text in quotation marks."""
    downloads.write_ham10000(work_folder / "kaggle")
    assert prepare("ham10000", "kaggle", "expected").code == 0
    for image in (work_folder / "kaggle").rglob("*.jpg"):
        (work_folder / "ham").mkdir(exist_ok=True)
        shutil.copy(image, work_folder / "ham")
    rows = downloads.ham_rows()
    if name.endswith(".tab"):
        lines = ["\t".join(rows[0])] + ["\t".join(f'"{cell}"' for cell in row.values()) for row in rows]
        (work_folder / "ham" / name).write_text("\n".join(lines) + "\n")
    else:
        downloads.write_table(work_folder / "ham" / name, [row | {"sex": "unknown", "age": ""} for row in rows])
    assert prepare("ham10000", "ham", "ready").code == 0
    expected = downloads.read_table(work_folder / "expected/metadata.csv")
    found = downloads.read_table(work_folder / "ready/metadata.csv")
    assert [row["image"] for row in found] == [row["image"] for row in expected], "folders do not change the split"
    sexes = {"male"} if name.endswith(".tab") else {""}
    assert {row["sex"] for row in found} == sexes


def test_ham10000_with_kaggles_second_copy_of_each_folder(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    for part in (1, 2):
        copy = work_folder / "ham" / f"ham10000_images_part_{part}"
        if copy.exists():
            pytest.skip("the file system does not tell upper from lower case")
        shutil.copytree(work_folder / "ham" / f"HAM10000_images_part_{part}", copy)
    result = prepare("ham10000", "ham", "ready")
    assert result.code == 0, result.error
    count = len(downloads.ham_rows())
    assert f"note: {count} images lie in the download twice" in result.output


def test_one_image_that_lies_there_twice(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    shutil.copy(work_folder / "ham/HAM10000_images_part_1/ISIC_0024306.jpg", work_folder / "ham")
    assert "note: 1 image lies in the download twice" in prepare("ham10000", "ham", "ready").output


def test_isic_row(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_isic(work_folder / "isic")
    prepare("isic", "isic", "ready")
    row = next(row for row in downloads.read_table(work_folder / "ready/metadata.csv") if "0000047" in row["image"])
    assert row | {"image": "", "split": ""} == {
        "image": "", "label": "malignant", "split": "", "diagnosis": "invasive melanoma",
        "written": "Melanoma Invasive", "confirmed_by": "", "lesion": "IL_0000023",
        "patient": "IP_0000011", "age": "45", "sex": "female", "site": "posterior torso", "skin_type": "2",
        "source": "Hospital", "licence": "CC-BY-NC", "group": "IP_0000011", "original": "ISIC_0000047.jpg",
    }  # fmt: skip


def test_pad_ufes_20_row(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_pad(work_folder / "pad")
    prepare("pad-ufes-20", "pad", "ready")
    row = next(row for row in downloads.read_table(work_folder / "ready/metadata.csv") if "PAT_8_108_1" in row["image"])
    assert row | {"image": "", "split": ""} == {
        "image": "", "label": "malignant", "split": "", "diagnosis": "melanoma", "written": "MEL",
        "confirmed_by": "histopathology", "lesion": "108", "patient": "PAT_8",
        "age": "55", "sex": "female", "site": "neck", "skin_type": "3", "source": "PAD-UFES-20",
        "licence": "CC BY 4.0", "group": "PAT_8", "original": "images/imgs_part_3/imgs_part_3/PAT_8_108_1.png",
    }  # fmt: skip


def test_dermamnist_keeps_its_split_and_pixels(prepare: Prepare, work_folder: Path) -> None:
    arrays = downloads.dermamnist_arrays()
    downloads.write_dermamnist(work_folder / "dermamnist_28.npz", **arrays)
    result = prepare("dermamnist", "dermamnist_28.npz", "ready", "--task", "melanoma-vs-rest")
    assert result.code == 0, result.error
    rows = downloads.read_table(work_folder / "ready/metadata.csv")
    for row in rows:
        array, index = row["original"].split("/")
        assert row["split"] == {"train_images": "train", "val_images": "train", "test_images": "test"}[array]
        label = int(arrays[array.replace("images", "labels")][int(index), 0])
        assert (row["label"] == "melanoma") == (label == 4)
        assert label != 0, "actinic keratoses are uncertain"
        np.testing.assert_array_equal(
            np.asarray(Image.open(work_folder / "ready" / row["image"])), arrays[array][int(index)]
        )
    assert len(rows) == 42 * 6 // 7
    assert len({row["original"] for row in rows}) == len(rows)
    assert "641 of 7,470" in result.output
    assert "note: the dataset's own split is kept" in result.output


@pytest.mark.parametrize("kind", ["folder", "zip", "inner folder"])
def test_kaggle_holds_every_image_twice(kind: str, prepare: Prepare, work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive")
    if kind == "zip":
        downloads.zip_folder(work_folder / "archive", work_folder / "archive.zip")
    source = {"folder": "archive", "zip": "archive.zip", "inner folder": "archive/data"}[kind]
    result = prepare("kaggle-benign-malignant", source, "ready")
    assert result.code == 0, result.error
    rows = downloads.read_table(work_folder / "ready/metadata.csv")
    assert [row["image"] for row in rows] == [
        f"{split}/{label}/{number}.jpg"
        for split, numbers in (("test", [3]), ("train", [0, 1, 2]))
        for label in ("benign", "malignant")
        for number in numbers
    ]
    for row in rows:
        original = work_folder / "archive" / row["original"]
        if kind == "inner folder":
            original = work_folder / "archive/data" / row["original"]
        assert (work_folder / "ready" / row["image"]).read_bytes() == original.read_bytes()
    twice = "the download holds every image 2 times, with equal bytes; the top folder is taken"
    assert (twice in result.output) == (kind != "inner folder")
    assert "left out: none" in result.output, "the second copy is none"
    assert "group" not in result.output.rsplit("next:")[-1], "no group is known"


@pytest.mark.parametrize("zipped", [False, True])
def test_kaggle_images_in_no_class_folder_are_listed(zipped: bool, prepare: Prepare, work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive")
    stray = ["cover.jpg", "other/train/benign/1.jpg", "train/unsure/9.jpg"]
    for number, path in enumerate(stray):
        downloads.draw(work_folder / "archive" / path, 100 + number)
    downloads.draw(work_folder / "archive/__MACOSX/train/benign/._1.png", 1)
    if zipped:
        downloads.zip_folder(work_folder / "archive", work_folder / "archive.zip")
    result = prepare("kaggle-benign-malignant", "archive.zip" if zipped else "archive", "ready")
    assert result.code == 0, result.error
    assert downloads.read_table(work_folder / "ready/left_out.csv") == [
        {"original": path, "diagnosis": "", "reason": "in no class folder"} for path in stray
    ]
    assert "      3  in no class folder" in result.output
    assert len(downloads.read_table(work_folder / "ready/metadata.csv")) == 8


def test_a_kaggle_zip_whose_names_begin_with_a_dot(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive", [""])
    with zipfile.ZipFile(work_folder / "archive.zip", "w") as archive:
        for image in (work_folder / "archive").rglob("*.jpg"):
            archive.writestr(f"./{image.relative_to(work_folder / 'archive').as_posix()}", image.read_bytes())
    assert prepare("kaggle-benign-malignant", "archive.zip", "ready").code == 0
    assert len(downloads.read_table(work_folder / "ready/metadata.csv")) == 8


def test_images_are_linked_or_copied(prepare: Prepare, work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads.write_ham10000(work_folder / "ham")
    linked = prepare("ham10000", "ham", "linked").output
    copied = prepare("ham10000", "ham", "copied", "--copy").output
    monkeypatch.setattr("os.link", _no_link)
    fallen_back = prepare("ham10000", "ham", "fallen_back").output
    rows = downloads.read_table(work_folder / "linked/metadata.csv")
    for row in rows:
        original = work_folder / "ham" / row["original"]
        assert (work_folder / "linked" / row["image"]).samefile(original)
        for folder in ("copied", "fallen_back"):
            copy = work_folder / folder / row["image"]
            assert not copy.samefile(original)
            assert copy.read_bytes() == original.read_bytes()
    assert f"({len(rows)} linked)" in linked
    assert f"({len(rows)} copied)" in copied
    assert f"({len(rows)} copied)" in fallen_back


def _no_link(*arguments: object) -> None:
    raise PermissionError("no links here")


@pytest.mark.parametrize("name", ["ham10000", "isic", "pad-ufes-20", "kaggle-benign-malignant"])
def test_a_table_alone(name: str, prepare: Prepare, work_folder: Path) -> None:
    source = work_folder / "far away" / "download"
    WRITERS[name](source)
    (work_folder / "tables").mkdir()
    result = prepare(name, str(source), "tables/ready", "--table-only")
    assert result.code == 0, result.error
    assert set(downloads.files_below(work_folder / "tables/ready")) <= {"metadata.csv", "left_out.csv"}
    rows = downloads.read_table(work_folder / "tables/ready/metadata.csv")
    for row in rows:
        assert row["image"].startswith("../../far away/download/")
        assert (work_folder / "tables/ready" / row["image"]).samefile(source / row["original"])
    listing = list_images(work_folder / "tables/ready/metadata.csv")
    assert len(listing) == len(rows)
    assert set(listing.splits) == {"train", "test"}
    assert "data=table data.table=tables/ready/metadata.csv" in result.output
    assert prepare(name, str(source), "images").code == 0
    labels = {row["original"]: (row["label"], row["split"]) for row in rows}
    for row in downloads.read_table(work_folder / "images/metadata.csv"):
        assert labels.pop(row["original"]) == (row["label"], row["split"])
    assert not labels
