"""Datasets without an official split: split by class and group, the same on any machine."""

import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Result
from tests.unit.data.public_sets import downloads

Prepare = Callable[..., Result]


def splits_of(folder: Path) -> dict[str, str]:
    return {Path(row["original"]).name: row["split"] for row in downloads.read_table(folder / "metadata.csv")}


def on_both_sides(rows: downloads.Rows, column: str) -> set[str]:
    sides = defaultdict(set)
    for row in rows:
        sides[row[column]].add(row["split"])
    return {name for name, splits in sides.items() if name and len(splits) > 1}


@pytest.mark.parametrize(
    ("name", "write"),
    [("ham10000", downloads.write_ham10000), ("isic", downloads.write_isic), ("pad-ufes-20", downloads.write_pad)],
)
def test_no_group_on_both_sides_and_both_classes_on_each(
    name: str, write: Callable[[Path], Path], prepare: Prepare, work_folder: Path
) -> None:
    write(work_folder / "download")
    assert prepare(name, "download", "ready", "--test", "0.25").code == 0
    rows = downloads.read_table(work_folder / "ready/metadata.csv")
    for column in ("group", "lesion", "patient"):
        assert not on_both_sides(rows, column)
    assert len({row["group"] for row in rows}) < len(rows), "some group has several images"
    assert {(row["split"], row["label"]) for row in rows} == {
        (split, label) for split in ("train", "test") for label in ("benign", "malignant")
    }
    assert 0.1 < sum(row["split"] == "test" for row in rows) / len(rows) < 0.4


def test_the_split_does_not_depend_on_folders_or_order(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    for target in ("first", "second"):
        assert prepare("ham10000", "ham", target).code == 0
    first, second = (work_folder / target / "metadata.csv" for target in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
    (work_folder / "flat").mkdir()
    for image in (work_folder / "ham").rglob("*.jpg"):
        shutil.copy(image, work_folder / "flat")
    downloads.write_table(work_folder / "flat/HAM10000_metadata.csv", downloads.ham_rows()[::-1])
    assert prepare("ham10000", "flat", "flattened").code == 0
    assert splits_of(work_folder / "flattened") == splits_of(work_folder / "first")


def test_another_seed_another_split(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_isic(work_folder / "isic")
    for seed in ("0", "1"):
        assert prepare("isic", "isic", seed, "--seed", seed).code == 0
    assert splits_of(work_folder / "0") != splits_of(work_folder / "1")


def test_an_image_without_patient_stays_with_the_patient_of_its_lesion(prepare: Prepare, work_folder: Path) -> None:
    rows = downloads.isic_rows()
    rows[0]["patient_id"] = ""  # its lesion's other image has one
    for row in rows[20:22]:  # a lesion whose patient nobody knows
        row["patient_id"] = ""
    rows[22] |= {"patient_id": "", "lesion_id": ""}
    downloads.write_isic(work_folder / "isic", rows)
    assert prepare("isic", "isic", "ready").code == 0
    groups = {row["original"]: row["group"] for row in downloads.read_table(work_folder / "ready/metadata.csv")}
    assert groups["ISIC_0000000.jpg"] == groups["ISIC_0000001.jpg"] == groups["ISIC_0000002.jpg"] == "IP_0000000"
    assert groups["ISIC_0000020.jpg"] == groups["ISIC_0000021.jpg"] == "IL_0000010"
    assert groups["ISIC_0000022.jpg"] == ""


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_patients_who_share_a_lesion_stay_together(seed: str, prepare: Prepare, work_folder: Path) -> None:
    rows = downloads.isic_rows()
    for row in rows:  # each lesion under two patients, who have nothing else in common
        row["patient_id"] = f"IP_{row['isic_id']}"
    rows[5]["patient_id"] = rows[2]["patient_id"]  # and two lesions joined through one patient
    downloads.write_isic(work_folder / "isic", rows)
    assert prepare("isic", "isic", "ready", "--seed", seed).code == 0
    table = downloads.read_table(work_folder / "ready/metadata.csv")
    for column in ("group", "lesion", "patient"):
        assert not on_both_sides(table, column)
    groups = {row["original"]: row["group"] for row in table}
    assert {groups[f"ISIC_000000{number}.jpg"] for number in (2, 3, 4, 5)} == {"IP_ISIC_0000002"}
    assert len(set(groups.values())) == 24 - 1


@pytest.mark.parametrize("fraction", ["0", "1", "-0.2", "1.5", "nan"])
def test_fractions_out_of_range(fraction: str, refused: Callable[..., str], work_folder: Path) -> None:
    downloads.write_pad(work_folder / "pad")
    assert "give a fraction between 0 and 1" in refused("pad-ufes-20", "pad", "ready", f"--test={fraction}")


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
def test_seeds_out_of_range(seed: str, refused: Callable[..., str], work_folder: Path) -> None:
    downloads.write_pad(work_folder / "pad")
    assert f"--seed={seed} is not allowed" in refused("pad-ufes-20", "pad", "ready", f"--seed={seed}")


def test_too_few_lesions_to_split(refused: Callable[..., str], work_folder: Path) -> None:
    rows = downloads.ham_rows()[:4] + [row for row in downloads.ham_rows() if row["dx"] == "mel"][:2]
    downloads.write_ham10000(work_folder / "ham", rows)
    assert "too few for a test split" in refused("ham10000", "ham", "ready")
