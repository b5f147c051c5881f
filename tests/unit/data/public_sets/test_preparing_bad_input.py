"""Faulty downloads: one line, exit code 2, nothing left behind."""

import errno
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import Result
from tests.unit.data.public_sets import downloads

from melanoma_pl.data.public_sets import dermamnist, download, preparing

Prepare = Callable[..., Result]
Refused = Callable[..., str]

WRONG_SOURCES = {
    "kaggle-benign-malignant": "holds no folder with images in {train,test}/{benign,malignant}",
    "ham10000": "holds no ham10000_metadata.csv or ham10000_metadata or ham10000_metadata.tab",
    "isic": "holds no metadata.csv",
    "pad-ufes-20": "holds no metadata.csv",
    "dermamnist": "holds 0 files dermamnist*.npz",
}


@pytest.mark.parametrize("name", WRONG_SOURCES)
def test_not_the_set(name: str, refused: Refused, work_folder: Path) -> None:
    downloads.draw(work_folder / "images/one.jpg", 1)
    assert WRONG_SOURCES[name] in refused(name, "images", "ready")
    assert "nowhere does not exist" in refused(name, "nowhere", "ready")


@pytest.mark.parametrize("name", ["ham10000", "isic", "pad-ufes-20"])
def test_an_archive_that_nobody_extracted(name: str, refused: Refused, work_folder: Path) -> None:
    downloads.draw(work_folder / "images/inside/one.jpg", 1)
    downloads.zip_folder(work_folder / "images", work_folder / "images/inside/part_1.zip")
    assert "extract it" in refused(name, "images/inside/part_1.zip", "ready")
    assert "extract part_1.zip first" in refused(name, "images", "ready")


# The target


def test_target_is_taken(refused: Refused, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    (work_folder / "mine").mkdir()
    (work_folder / "mine/thesis.txt").write_text("years of work")
    assert "mine is not empty" in refused("ham10000", "ham", "mine")
    assert "thesis.txt is a file" in refused("ham10000", "ham", "mine/thesis.txt")
    assert "lies inside it" in refused("ham10000", "ham", "ham/ready")
    assert "is ham or lies inside it" in refused("ham10000", "ham", "ham")


def test_an_empty_target_is_taken(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    (work_folder / "ready").mkdir()
    assert prepare("ham10000", "ham", "ready").code == 0
    assert (work_folder / "ready/metadata.csv").is_file()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_nothing_is_left_after_ctrl_c_or_a_full_disk(
    error: BaseException, prepare: Prepare, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads.write_ham10000(work_folder / "ham")
    written = []

    def write(file: Path, *arguments: Any) -> None:
        written.append(list(file.parent.rglob("*.jpg")))
        raise error

    monkeypatch.setattr(preparing, "write_csv", write)
    result = prepare("ham10000", "ham", "new/ready")
    assert result.code == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert written[0], "images were there already"
    assert [path.name for path in work_folder.iterdir()] == ["ham"]


def test_disk_full_while_copying(prepare: Prepare, work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloads.write_ham10000(work_folder / "ham")
    copied = []

    def copy(image: Path, target: Path) -> None:
        copied.append(target.write_bytes(b"half"))
        if len(copied) == 5:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("shutil.copyfile", copy)
    result = prepare("ham10000", "ham", "ready", "--copy")
    assert result.code == 2
    assert "no space is left to write" in result.error
    assert [path.name for path in work_folder.iterdir()] == ["ham"]


# Tables


def test_missing_column(refused: Refused, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    table = work_folder / "ham/HAM10000_metadata.csv"
    table.write_text(table.read_text().replace("lesion_id,image_id,dx,", "lesion_id,image_id,diagnosis,"))
    error = refused("ham10000", "ham", "ready")
    assert "HAM10000_metadata.csv has no column 'dx'" in error
    assert "available are age, dataset, diagnosis, dx_type, image_id" in error


def test_isic_without_any_diagnosis(refused: Refused, work_folder: Path) -> None:
    rows = [{"isic_id": f"ISIC_{number:07d}", "attribution": "Hospital"} for number in range(4)]
    downloads.write_isic(work_folder / "isic", rows)
    assert "metadata.csv has none of the columns diagnosis_5," in refused("isic", "isic", "ready")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [*lines, lines[2]], ", line {end}: line 3 already has 'ISIC_0024307'"),
        (lambda lines: [*lines, "HAM_9,ISIC_9"], ", line {end}: 2 cells"),
        (lambda lines: [lines[0], lines[1].replace("ISIC_0024306", " "), *lines[2:]], ", line 2: no image_id"),
        (lambda lines: lines[:1], " has no rows"),
        (lambda lines: [], " is empty"),
        (lambda lines: ["\ufeff", "", " "], " is empty"),
        (lambda lines: ["\udcff\udcfe" + lines[0], *lines[1:]], " is not a table in UTF-8"),
    ],
    ids=["twice", "short", "no name", "only a header", "empty", "blank", "not UTF-8"],
)
def test_bad_tables(
    change: Callable[[list[str]], list[str]], expected: str, refused: Refused, work_folder: Path
) -> None:
    downloads.write_ham10000(work_folder / "ham")
    table = work_folder / "ham/HAM10000_metadata.csv"
    lines = change(table.read_text().splitlines())
    table.write_text("\n".join(lines), errors="surrogateescape")
    assert f"HAM10000_metadata.csv{expected.format(end=len(lines))}" in refused("ham10000", "ham", "ready")


def test_two_tables(refused: Refused, work_folder: Path) -> None:
    downloads.write_isic(work_folder / "isic/2019")
    downloads.write_isic(work_folder / "isic/2020")
    assert "isic holds isic/2019/metadata.csv and isic/2020/metadata.csv" in refused("isic", "isic", "ready")


def test_a_table_with_a_mark_of_byte_order_and_an_empty_line(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    table = work_folder / "ham/HAM10000_metadata.csv"
    table.write_text("\ufeff" + table.read_text() + "\n", encoding="utf-8")
    assert prepare("ham10000", "ham", "ready").code == 0


# Images and rows without each other


def test_rows_without_an_image(refused: Refused, prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    for number in (24308, 24310):
        next((work_folder / "ham").rglob(f"*{number}.jpg")).unlink()
    error = refused("ham10000", "ham", "ready")
    assert "HAM10000_metadata.csv, line 4: there is no image ISIC_0024308 below ham; rows without an image: 2" in error
    assert "--missing leave-out" in error
    result = prepare("ham10000", "ham", "ready", "--missing", "leave-out")
    assert result.code == 0, result.error
    left_out = downloads.read_table(work_folder / "ready/left_out.csv")
    assert [row["original"] for row in left_out if row["reason"] == "no image"] == ["ISIC_0024308", "ISIC_0024310"]
    assert "      2  no image" in result.output


def test_images_without_a_row(refused: Refused, prepare: Prepare, work_folder: Path) -> None:
    downloads.write_pad(work_folder / "pad")
    downloads.draw(work_folder / "pad/images/PAT_999_1_1.png", 999)
    error = refused("pad-ufes-20", "pad", "ready")
    assert "pad/images/PAT_999_1_1.png has no row in pad/metadata.csv; images without a row: 1" in error
    assert prepare("pad-ufes-20", "pad", "ready", "--missing", "leave-out").code == 0
    left_out = downloads.read_table(work_folder / "ready/left_out.csv")
    assert {"original": "images/PAT_999_1_1.png", "diagnosis": "", "reason": "no row in metadata.csv"} in left_out


def test_two_images_of_one_name_that_differ(refused: Refused, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    downloads.draw(work_folder / "ham/again/ISIC_0024306.jpg", 999)
    assert "ISIC_0024306.jpg have one name and differ" in refused("ham10000", "ham", "ready")


# Zip files


def zip_with(file: Path, name: str, mode: int = 0, flags: int = 0) -> None:
    """Write a zip with one more member than Kaggle's."""
    downloads.zip_folder(downloads.write_kaggle(file.parent / "archive"), file)
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(member, "../../etc/passwd")
        archive.filelist[-1].flag_bits |= flags


EVIL = {
    "outside": ({"name": "../../evil.jpg"}, "its member '../../evil.jpg' leads out of its folder"),
    "absolute": ({"name": "/tmp/evil.jpg"}, "its member '/tmp/evil.jpg' leads out of its folder"),
    "backslashes": ({"name": "..\\evil.jpg"}, "leads out of its folder"),
    "a drive": ({"name": "C:\\evil.jpg"}, "leads out of its folder"),
    "a link": ({"name": "link.jpg", "mode": stat.S_IFLNK | 0o777}, "its member 'link.jpg' is a link"),
    "encrypted": ({"name": "secret.jpg", "flags": 1}, "its member 'secret.jpg' is encrypted"),
}


@pytest.mark.parametrize("case", EVIL)
def test_members_that_lead_elsewhere(case: str, refused: Refused, work_folder: Path) -> None:
    options, expected = EVIL[case]
    zip_with(work_folder / "archive.zip", **options)
    error = refused("kaggle-benign-malignant", "archive.zip", "ready")
    assert "archive.zip: its member" in error
    assert expected in error
    assert not (work_folder.parent / "evil.jpg").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice(refused: Refused, work_folder: Path) -> None:
    zip_with(work_folder / "archive.zip", "train/benign/0.jpg")
    assert "'train/benign/0.jpg' is there twice" in refused("kaggle-benign-malignant", "archive.zip", "ready")


def pack(file: Path, content: bytes) -> None:
    """Write a zip or npz file in which one image has this content."""
    if file.suffix == ".npz":
        arrays = downloads.dermamnist_arrays()
        arrays["val_images"] = np.frombuffer(content, dtype=np.uint8)
        downloads.write_dermamnist(file, **arrays)
        return
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for split in ("train", "test"):
            for label in ("benign", "malignant"):
                archive.writestr(f"{split}/{label}/1.jpg", content)


@pytest.mark.parametrize(("name", "file"), [("kaggle-benign-malignant", "bomb.zip"), ("dermamnist", "bomb.npz")])
def test_an_archive_that_unpacks_to_far_more_than_it_has(
    name: str, file: str, refused: Refused, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "UNSUSPICIOUS", 1_000_000)
    pack(work_folder / file, bytes(20_000_000))
    assert f"{file} has " in (error := refused(name, file, "ready"))
    assert "would unpack to" in error
    monkeypatch.setattr(download, "LARGEST_FILE", 10_000_000)
    assert "has 20.0 MB, more than 10.0 MB" in refused(name, file, "ready")


@pytest.mark.parametrize("content", [b"no image", b"\x89PNG\r\n\x1a\n"])
def test_an_archive_whose_members_are_not_images(content: bytes, refused: Refused, work_folder: Path) -> None:
    pack(work_folder / "archive.zip", content)
    error = refused("kaggle-benign-malignant", "archive.zip", "ready")
    assert "4 images of 4 cannot be read (test/benign/1.jpg: " in error


@pytest.mark.parametrize("options", [[], ["--table-only"], ["--copy"]])
def test_a_broken_image_of_a_folder_is_named(options: list[str], refused: Refused, work_folder: Path) -> None:
    folder = downloads.write_ham10000(work_folder / "images")
    broken = sorted(folder.rglob("*.jpg"))[3]
    broken.write_bytes(b"no image")
    error = refused("ham10000", "images", "ready", *options)
    assert f"1 image of 33 cannot be read ({broken.relative_to(folder)}: not an image" in error
    broken.unlink()
    assert "no image" in refused("ham10000", "images", "ready", *options)


def test_zip_cut_short(refused: Refused, work_folder: Path) -> None:
    file = downloads.zip_folder(downloads.write_kaggle(work_folder / "archive"), work_folder / "archive.zip")
    file.write_bytes(file.read_bytes()[:-200])
    assert "archive.zip is cut short" in refused("kaggle-benign-malignant", "archive.zip", "ready")


def test_zip_with_a_changed_byte(refused: Refused, work_folder: Path) -> None:
    file = downloads.zip_folder(downloads.write_kaggle(work_folder / "archive"), work_folder / "archive.zip")
    content = bytearray(file.read_bytes())
    content[content.index(b"JFIF")] ^= 1
    file.write_bytes(content)
    assert "data/test/benign/3.jpg is damaged" in refused("kaggle-benign-malignant", "archive.zip", "ready")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_members_packed_otherwise_that_are_damaged(method: int, refused: Refused, work_folder: Path) -> None:
    with zipfile.ZipFile(work_folder / "archive.zip", "w", method) as archive:
        archive.writestr("train/benign/0.jpg", np.random.default_rng(0).bytes(5000))
    content = bytearray((work_folder / "archive.zip").read_bytes())
    content[100:200] = bytes(100)
    (work_folder / "archive.zip").write_bytes(content)
    error = refused("kaggle-benign-malignant", "archive.zip", "ready")
    assert "archive.zip is cut short" in error
    assert "download it again" in error


def test_a_failing_disk_is_not_reported_as_a_damaged_zip(
    prepare: Prepare, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads.zip_folder(downloads.write_kaggle(work_folder / "archive"), work_folder / "archive.zip")

    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    error = prepare("kaggle-benign-malignant", "archive.zip", "ready").error
    assert "no space is left to write" in error
    monkeypatch.setattr("zipfile.ZipFile.testzip", fail)
    assert "cut short" not in prepare("kaggle-benign-malignant", "archive.zip", "ready").error


def test_a_file_that_is_not_a_zip(refused: Refused, work_folder: Path) -> None:
    (work_folder / "archive.zip").write_text("<html>log in first</html>")
    assert "archive.zip is cut short" in refused("kaggle-benign-malignant", "archive.zip", "ready")


@pytest.mark.parametrize("zipped", [False, True])
def test_two_kaggle_sets_that_differ(zipped: bool, refused: Refused, work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive")
    downloads.draw(work_folder / "archive/data/train/benign/0.jpg", 99)
    source = "archive"
    if zipped:
        source = downloads.zip_folder(work_folder / "archive", work_folder / "archive.zip").name
    error = refused("kaggle-benign-malignant", source, "ready")
    assert (
        f"{source} holds two groups of {{train,test}}/{{benign,malignant}} that differ, in the top folder and data"
        in error
    )


def test_kaggle_with_an_image_more_in_one_root(refused: Refused, work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive")
    downloads.draw(work_folder / "archive/data/train/benign/more.jpg", 99)
    assert "that differ" in refused("kaggle-benign-malignant", "archive", "ready")


def test_kaggle_without_one_class(refused: Refused, work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive", [""])
    for image in (work_folder / "archive/test/malignant").iterdir():
        image.unlink()
    assert "holds no folder with images in" in refused("kaggle-benign-malignant", "archive", "ready")


@pytest.mark.parametrize("source", ["archive.zip", "dermamnist.npz"])
def test_a_table_alone_of_an_archive(source: str, refused: Refused, work_folder: Path) -> None:
    name = "dermamnist"
    if source.endswith("zip"):
        downloads.zip_folder(downloads.write_kaggle(work_folder / "archive"), work_folder / source)
        name = "kaggle-benign-malignant"
    else:
        downloads.write_dermamnist(work_folder / source)
    error = refused(name, source, "ready", "--table-only")
    assert f"--table-only: the images of {source} are in an archive" in error


# npz files


def test_npz_cut_short(refused: Refused, work_folder: Path) -> None:
    file = downloads.write_dermamnist(work_folder / "dermamnist.npz")
    file.write_bytes(file.read_bytes()[:-500])
    assert "dermamnist.npz is cut short" in refused("dermamnist", "dermamnist.npz", "ready")


def test_npz_with_damaged_pixels(refused: Refused, work_folder: Path) -> None:
    file = downloads.write_dermamnist(work_folder / "dermamnist.npz")
    content = bytearray(file.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 50] = bytes(50)
    file.write_bytes(content)
    assert "train_images is damaged" in refused("dermamnist", "dermamnist.npz", "ready")


def test_arrays_that_are_wrong(refused: Refused, work_folder: Path) -> None:
    whole = downloads.dermamnist_arrays()
    labels = whole["val_labels"].copy()
    labels[3] = 9
    cases: list[tuple[dict[str, Any], str]] = [
        ({name: array for name, array in whole.items() if name != "val_labels"}, "has no val_labels"),
        (whole | {"val_labels": labels}, "val_labels[3] is 9, not 0 to 6"),
        (whole | {"val_labels": np.array([[np.nan]])}, "val_labels[0] is nan"),
        (whole | {"test_images": whole["test_images"][:-1]}, "test_images is uint8 (13, 28, 28, 3), not uint8 (14,"),
        (whole | {"train_images": whole["train_images"][..., 0]}, "train_images is uint8 (21, 28, 28)"),
        (whole | {"train_images": whole["train_images"] / 255}, "train_images is float64"),
        (whole | {"train_labels": np.array([[{}]], dtype=object)}, "train_labels is damaged: download it again"),
        (whole | {"val_labels": np.zeros((7, 2), np.uint8)}, "val_labels has the shape (7, 2), not (N, 1)"),
        (whole | {"test_labels": np.eye(7, dtype=np.uint8)}, "test_labels has the shape (7, 7), not (N, 1)"),
        (whole | {"test_labels": np.uint8(3)}, "test_labels has the shape (), not (N, 1)"),
        (
            {f"array_{number}": np.zeros(1) for number in range(9)},
            "has no train_images, train_labels, val_images, …: it has array_0, array_1, array_2, …; give",
        ),
    ]
    for arrays, expected in cases:
        downloads.write_dermamnist(work_folder / "dermamnist.npz", **arrays)
        assert expected in refused("dermamnist", "dermamnist.npz", "ready")


def test_a_file_that_is_not_an_npz(refused: Refused, work_folder: Path) -> None:
    (work_folder / "dermamnist.npz").write_text("<html>not found</html>")
    error = refused("dermamnist", "dermamnist.npz", "ready")
    assert "is cut short" in error
    assert "pickle" not in error
    with (work_folder / "dermamnist.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    assert "is a single array" in refused("dermamnist", "dermamnist.npz", "ready")


@pytest.mark.parametrize("name", ["retinamnist.npz", "BloodMNIST_224.npz", "mnist.npz"])
def test_another_set_of_medmnist(name: str, refused: Refused, work_folder: Path) -> None:
    downloads.write_dermamnist(work_folder / name)
    begin = name.lower().partition("mnist")[0] + "mnist"
    assert f"{name} is {begin}, not dermamnist" in refused("dermamnist", name, "ready")


def test_splits_of_another_size_are_warned_of(
    prepare: Prepare, work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads.write_dermamnist(work_folder / "renamed.npz")
    warning = "warning: its splits (train, val, test) have 21, 7, 14 images, those of DermaMNIST 7,007, 1,003, 2,005"
    assert warning in prepare("dermamnist", "renamed.npz", "ready").output
    monkeypatch.setattr(dermamnist, "PUBLISHED", {"train": 21, "val": 7, "test": 14})
    assert "its splits" not in prepare("dermamnist", "renamed.npz", "whole").output


def test_several_sizes(refused: Refused, prepare: Prepare, work_folder: Path) -> None:
    for size in ("", "_224"):
        downloads.write_dermamnist(work_folder / f"medmnist/dermamnist{size}.npz")
    error = refused("dermamnist", "medmnist", "ready")
    assert "holds 2 files dermamnist*.npz: dermamnist.npz, dermamnist_224.npz: give the file itself" in error
    assert prepare("dermamnist", "medmnist/dermamnist_224.npz", "ready").code == 0
