"""Downloads of the ISIC archive: older columns, sparse rows, images that do not show a single lesion."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Result
from tests.unit.data.public_sets import downloads
from tests.unit.data.public_sets.downloads import MELANOMA, NEVUS, isic_row

Prepare = Callable[..., Result]


def labels_of(folder: Path) -> Counter[tuple[str, str]]:
    return Counter((row["diagnosis"], row["label"]) for row in downloads.read_table(folder / "metadata.csv"))


def old_rows() -> downloads.Rows:
    """As isic-cli wrote them before the five levels."""
    rows = []
    for number in range(30):
        row = {"isic_id": f"ISIC_{number:07d}", "attribution": "Hospital", "copyright_license": "CC-0"}
        row |= {"age_approx": "85.0", "benign_malignant": "benign" if number % 2 else "malignant"}
        row |= {"diagnosis": "nevus" if number % 2 else "melanoma", "sex": "unknown"}
        rows.append(row)
    rows[1] |= {"diagnosis": "unknown"}
    rows[3] |= {"diagnosis": "other"}
    rows[5] |= {"diagnosis": "", "benign_malignant": "indeterminate/benign"}
    rows[7] |= {"diagnosis": "", "benign_malignant": ""}
    rows[9] |= {"diagnosis": "AIMP", "benign_malignant": "indeterminate"}
    return rows


def test_older_columns(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_isic(work_folder / "isic", old_rows())
    result = prepare("isic", "isic", "ready")
    assert result.code == 0, result.error
    assert labels_of(work_folder / "ready") == {
        ("nevus", "benign"): 10, ("melanoma", "malignant"): 15, ("", "benign"): 2,
    }  # fmt: skip
    rows = downloads.read_table(work_folder / "ready/metadata.csv")
    assert {(row["age"], row["sex"], row["group"], row["licence"]) for row in rows} == {("85", "", "", "CC-0")}
    reasons = Counter(
        (row["reason"], row["diagnosis"]) for row in downloads.read_table(work_folder / "ready/left_out.csv")
    )
    assert reasons == {
        ("malignancy uncertain", "indeterminate/benign"): 1,
        ("malignancy uncertain", "AIMP"): 1,
        ("no diagnosis", ""): 1,
    }


def test_a_benign_lesion_is_not_a_melanoma_but_a_malignant_one_may_be(prepare: Prepare, work_folder: Path) -> None:
    rows = old_rows()
    rows[2] |= {"diagnosis": ""}
    downloads.write_isic(work_folder / "isic", rows)
    result = prepare("isic", "isic", "ready", "--task", "melanoma-vs-rest")
    assert result.code == 0, result.error
    assert labels_of(work_folder / "ready") == {
        ("nevus", "rest"): 10, ("melanoma", "melanoma"): 14, ("", "rest"): 2,
    }  # fmt: skip
    assert "      1  diagnosis too coarse to tell melanoma: malignant" in result.output


def test_a_name_of_tomorrow(prepare: Prepare, refused: Callable[..., str], work_folder: Path) -> None:
    """Its level 1 says whether it is malignant; whether it is a melanoma, nothing says."""
    rows = downloads.isic_rows()
    rows[40] = isic_row(40, ("Malignant", "A branch of tomorrow", "A tumour of tomorrow", "", ""))
    downloads.write_isic(work_folder / "isic", rows)
    error = refused("isic", "isic", "ready", "--task", "melanoma-vs-rest")
    assert "metadata.csv, line 42: the diagnosis 'A tumour of tomorrow' is not in the diagnosis table" in error
    assert prepare("isic", "isic", "ready").code == 0
    assert labels_of(work_folder / "ready")["", "malignant"] == 1


def test_images_that_do_not_show_a_single_lesion(prepare: Prepare, work_folder: Path) -> None:
    rows = downloads.isic_rows()
    types = ["RCM: mosaic", "TBP tile: overview", "clinical: overview", "clinical: close-up", "TBP tile: close-up", ""]
    for number, image_type in enumerate(types):
        rows[number]["image_type"] = image_type
    downloads.write_isic(work_folder / "isic", rows)
    assert prepare("isic", "isic", "ready").code == 0
    left_out = [row["reason"] for row in downloads.read_table(work_folder / "ready/left_out.csv")]
    assert sorted(left_out) == [
        "image type 'RCM: mosaic'",
        "image type 'TBP tile: overview'",
        "image type 'clinical: overview'",
    ]


def test_few_columns_are_enough(prepare: Prepare, work_folder: Path) -> None:
    """A column is there only where one of the images has something in it."""
    rows = [
        {
            "isic_id": f"ISIC_{number:07d}",
            "diagnosis_1": MELANOMA[0] if number % 2 else NEVUS[0],
            "anatom_site_1": "Trunk",
        }
        for number in range(12)
    ]
    downloads.write_isic(work_folder / "isic", rows)
    result = prepare("isic", "isic", "ready")
    assert result.code == 0, result.error
    assert {row["site"] for row in downloads.read_table(work_folder / "ready/metadata.csv")} == {"trunk"}
    assert "licence: none stated" in result.output
    assert "group" not in result.output.rsplit("next:")[-1]


def test_licences_are_counted(prepare: Prepare, work_folder: Path) -> None:
    rows = downloads.isic_rows()
    rows[0]["copyright_license"] = "CC-0"
    downloads.write_isic(work_folder / "isic", rows)
    assert "licence: CC-BY-NC (47), CC-0 (1)\n" in prepare("isic", "isic", "ready").output
