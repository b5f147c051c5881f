"""ISIC 2024: images in an HDF5 file, of patients that stay in one split, in a folder that a killed process leaves."""

import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.conftest import Result
from tests.unit.data.public_sets.downloads import files_below, isic2024_rows, read_table, write_isic2024, write_table

from melanoma_pl.data.public_sets.diagnoses import Chosen
from melanoma_pl.data.public_sets.isic2024 import read_isic2024
from melanoma_pl.data.public_sets.preparing import _make_file

h5py = pytest.importorskip("h5py", reason="needs melanoma-pl[isic2024]")

Prepare = Callable[..., Result]
PREPARE = """
import sys, time
from pathlib import Path
from melanoma_pl.data.public_sets import isic2024, preparing
write = isic2024._write
def slowly(*arguments):
    write(*arguments)
    print("written", flush=True)
    time.sleep(0.005)
isic2024._write = slowly
preparing.prepare_dataset("isic2024", Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_row_and_its_file(prepare: Prepare, work_folder: Path) -> None:
    write_isic2024(work_folder / "download")
    result = prepare("isic2024", "download", "ready")
    assert result.code == 0, result.error
    rows = {row["original"]: row for row in read_table(work_folder / "ready/metadata.csv")}
    assert len(rows) == 60
    row = rows["train-image.hdf5/ISIC_0015670"]
    assert row | {"image": "", "split": ""} == {
        "image": "", "label": "malignant", "split": "", "diagnosis": "", "written": "Benign", "confirmed_by": "",
        "lesion": "IL_7727506", "patient": "IP_0000000", "age": "60", "sex": "male", "site": "lower extremity",
        "skin_type": "", "source": "Memorial Sloan Kettering Cancer Center", "licence": "CC-BY", "group": "IP_0000000",
        "original": "train-image.hdf5/ISIC_0015670",
    }  # fmt: skip
    assert row["image"] == f"{row['split']}/malignant/ISIC_001/ISIC_0015670.jpg"
    with h5py.File(work_folder / "download/train-image.hdf5") as archive:
        for row in rows.values():
            value = archive[row["original"].partition("/")[2]][()]
            assert (work_folder / "ready" / row["image"]).read_bytes() == value.tobytes()


def test_no_patient_is_in_two_splits_and_the_seed_decides(prepare: Prepare, work_folder: Path) -> None:
    write_isic2024(work_folder / "download")
    splits = []
    for name, options in {"one": (), "same": (), "other": ("--seed", "1")}.items():
        assert prepare("isic2024", "download", name, *options).code == 0
        rows = read_table(work_folder / name / "metadata.csv")
        patients = {split: {row["patient"] for row in rows if row["split"] == split} for split in ("train", "test")}
        assert patients["train"] and patients["test"] and not patients["train"] & patients["test"]
        splits.append(patients["test"])
    assert splits[0] == splits[1] != splits[2]


def test_kaggle_s_zip_file(prepare: Prepare, work_folder: Path) -> None:
    write_isic2024(work_folder / "download")
    with zipfile.ZipFile(work_folder / "isic-2024-challenge.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (work_folder / "download").iterdir():
            archive.write(file, file.name)
        archive.writestr("train-image/image/ISIC_0015670.jpg", "not read")
    assert prepare("isic2024", "download", "one").code == 0
    assert prepare("isic2024", "isic-2024-challenge.zip", "two").code == 0
    assert files_below(work_folder / "one") == files_below(work_folder / "two")
    assert sorted(path.name for path in work_folder.iterdir()) == ["download", "isic-2024-challenge.zip", "one", "two"]


def cut(download: Path) -> None:
    file = download / "train-image.hdf5"
    file.write_bytes(file.read_bytes()[:-2000])


def no_hdf5(download: Path) -> None:
    (download / "train-image.hdf5").write_bytes(b"<html>")


def no_file(download: Path) -> None:
    (download / "train-image.hdf5").unlink()


def no_jpeg(download: Path) -> None:
    with h5py.File(download / "train-image.hdf5", "r+") as archive:
        del archive["ISIC_0015670"]
        archive["ISIC_0015670"] = 3


def half_a_jpeg(download: Path) -> None:
    with h5py.File(download / "train-image.hdf5", "r+") as archive:
        del archive["ISIC_0015670"]
        archive["ISIC_0015670"] = b"half a file"


def a_group(download: Path) -> None:
    with h5py.File(download / "train-image.hdf5", "r+") as archive:
        del archive["ISIC_0015670"]
        archive.create_group("ISIC_0015670")


def an_image_less(download: Path) -> None:
    with h5py.File(download / "train-image.hdf5", "r+") as archive:
        del archive["ISIC_0015670"]


def a_row_less(download: Path) -> None:
    write_table(download / "train-metadata.csv", isic2024_rows()[1:])


def two_rows(download: Path) -> None:
    write_table(download / "train-metadata.csv", [*isic2024_rows(), isic2024_rows()[0]])


def another_target(download: Path) -> None:
    write_table(download / "train-metadata.csv", [*isic2024_rows()[1:], isic2024_rows()[0] | {"target": "2"}])


def a_path_for_an_id(download: Path) -> None:
    write_table(download / "train-metadata.csv", [isic2024_rows()[0] | {"isic_id": "../../ISIC_0015670"}])


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "cut short or damaged"),
        (no_hdf5, "cut short or damaged"),
        (no_file, "holds 0 files train-image.hdf5"),
        (no_jpeg, "cut short or damaged"),
        (half_a_jpeg, "1 image of 60 cannot be read"),
        (a_group, "cut short or damaged"),
        (an_image_less, "rows without an image: 1"),
        (a_row_less, "images without a row: 1"),
        (two_rows, "has two rows"),
        (another_target, "target is '2'"),
        (a_path_for_an_id, "is not an isic_id"),
    ],
)
def test_a_broken_or_incomplete_download_is_refused(
    damage: Callable[[Path], None], told: str, refused: Callable[..., str], work_folder: Path
) -> None:
    damage(write_isic2024(work_folder / "download"))
    assert told in refused("isic2024", "download", "ready")


def test_what_is_missing_can_be_left_out(prepare: Prepare, work_folder: Path) -> None:
    write_isic2024(work_folder / "download", missing=["ISIC_0015670"])
    assert prepare("isic2024", "download", "ready", "--missing", "leave-out").code == 0
    (left,) = read_table(work_folder / "ready/left_out.csv")
    assert left == {"original": "ISIC_0015670", "diagnosis": "", "reason": "no image"}


def start(download: Path, target: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PREPARE, str(download), str(target)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_preparation_goes_on(tmp_path: Path) -> None:
    """Killed at random moments; the images that were written are not written again, and the result is the same."""
    download = write_isic2024(tmp_path / "download")
    whole = start(download, tmp_path / "whole")
    assert whole.communicate()[0].count("written") == 60
    generator, written = random.Random(0), 0
    for _ in range(4):
        process = start(download, tmp_path / "ready")
        assert process.stdout is not None
        process.stdout.readline()  # the first image of this process
        time.sleep(generator.uniform(0, 0.03))
        process.send_signal(signal.SIGKILL)
        written += 1 + process.communicate()[0].count("written")
    last = start(download, tmp_path / "ready")
    written += last.communicate()[0].count("written")
    assert last.returncode == 0
    assert written <= 60 + 4, "each kill costs the image that was being written at most"
    assert files_below(tmp_path / "ready") == files_below(tmp_path / "whole")
    for file in files_below(tmp_path / "whole"):
        assert (tmp_path / "ready" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download", "ready", "whole"]


def test_an_empty_file_of_a_power_cut_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "one.jpg"
    file.touch()
    with ExitStack() as opened:
        download = read_isic2024(write_isic2024(tmp_path / "download"), "stop", opened)
        image = Chosen(download.entries[0], "benign", "")
        assert _make_file(download, image, file, copy=False) == "written"
        assert file.stat().st_size > 0
        assert _make_file(download, image, file, copy=False) == "written before an interruption"
