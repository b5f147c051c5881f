"""The class of each diagnosis in each task, images left out, and diagnoses that are not in the table."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Result
from tests.unit.data.public_sets import downloads

from melanoma_pl.data.public_sets.diagnoses import (
    NO_DIAGNOSIS,
    TABLE,
    TASKS,
    TOO_COARSE,
    UNCERTAIN,
    UNKNOWN,
    choose_images,
    read_diagnoses,
)
from melanoma_pl.data.public_sets.download import ImageFacts, SourceImage, read_rows
from melanoma_pl.data.public_sets.preparing import SETS, WITHOUT_DIAGNOSES
from melanoma_pl.errors import UserError

Prepare = Callable[..., Result]
MALIGNANCY, NEVUS_TASK, REST_TASK = "malignant-vs-benign", "melanoma-vs-nevus", "melanoma-vs-rest"
NOT_USED = f"not used by {NEVUS_TASK}"


def decide(set_name: str, *written: str) -> list[str]:
    """Return the class that each task gives, or the reason why it leaves the image out."""
    decisions = []
    for name in (MALIGNANCY, NEVUS_TASK, REST_TASK):
        entry = SourceImage("image.jpg", "table, line 2", ImageFacts(written))
        chosen, left_out = choose_images([entry], name, read_diagnoses(set_name), "leave-out")
        decisions.append(chosen[0].label if chosen else left_out[0].reason)
    return decisions


SINGLE = [
    ("ham10000", "nv", ["benign", "nevus", "rest"]),
    ("ham10000", "mel", ["malignant", "melanoma", "melanoma"]),
    ("ham10000", "MEL ", ["malignant", "melanoma", "melanoma"]),
    ("ham10000", "bkl", ["benign", NOT_USED, "rest"]),
    ("ham10000", "df", ["benign", NOT_USED, "rest"]),
    ("ham10000", "vasc", ["benign", NOT_USED, "rest"]),
    ("ham10000", "bcc", ["malignant", NOT_USED, "rest"]),
    ("ham10000", "akiec", [UNCERTAIN] * 3),
    ("pad-ufes-20", "NEV", ["benign", "nevus", "rest"]),
    ("pad-ufes-20", "MEL", ["malignant", "melanoma", "melanoma"]),
    ("pad-ufes-20", "BCC", ["malignant", NOT_USED, "rest"]),
    ("pad-ufes-20", "SCC", ["malignant", NOT_USED, "rest"]),
    ("pad-ufes-20", "SEK", ["benign", NOT_USED, "rest"]),
    ("pad-ufes-20", "ACK", [UNCERTAIN] * 3),
    ("pad-ufes-20", "nv", [UNKNOWN] * 3),
    ("dermamnist", "melanocytic nevi", ["benign", "nevus", "rest"]),
    ("dermamnist", "actinic keratoses and intraepithelial carcinoma", [UNCERTAIN] * 3),
    ("isic", "nevus", ["benign", "nevus", "rest"]),
    ("isic", "nevus spilus", ["benign", "nevus", "rest"]),
    ("isic", "epidermal nevus", ["benign", NOT_USED, "rest"]),
    ("isic", "melanoma", ["malignant", "melanoma", "melanoma"]),
    ("isic", "melanoma metastasis", ["malignant", "melanoma", "melanoma"]),
    ("isic", "AIMP", [UNCERTAIN] * 3),
    ("isic", "atypical spitz tumor", [UNCERTAIN] * 3),
    ("isic", "actinic keratosis", [UNCERTAIN] * 3),
    ("isic", "seborrheic  Keratosis", ["benign", NOT_USED, "rest"]),
    ("isic", "squamous cell carcinoma", ["malignant", NOT_USED, "rest"]),
    ("isic", "merkel cell carcinoma", ["malignant", NOT_USED, "rest"]),
    ("isic", "vascular lesion", ["benign", NOT_USED, "rest"]),
]


@pytest.mark.parametrize(("set_name", "written", "expected"), SINGLE)
def test_one_name(set_name: str, written: str, expected: list[str]) -> None:
    assert decide(set_name, written) == expected


MELANOMAS = "Malignant melanocytic proliferations (Melanoma)"
NEVI = "Benign melanocytic proliferations"
SEBACEOUS = "Benign adnexal epithelial proliferations - Sebaceous"
LEVELS = [  # finest first, as a row of the ISIC archive has them
    (["Melanoma in situ", MELANOMAS, "Malignant"], ["malignant", "melanoma", "melanoma"]),
    (["Melanoma in situ, Mucosal", "Melanoma in situ", MELANOMAS, "Malignant"], ["malignant", "melanoma", "melanoma"]),
    ([MELANOMAS, "Malignant"], ["malignant", "melanoma", "melanoma"]),
    (["Blue nevus, Cellular", "Blue nevus", "Nevus", NEVI, "Benign"], ["benign", "nevus", "rest"]),
    ([NEVI, "Benign"], ["benign", NOT_USED, "rest"]),
    (["Nevus sebaceus", SEBACEOUS, "Benign"], ["benign", NOT_USED, "rest"]),
    (["Basal cell carcinoma, Nodular", "Basal cell carcinoma", "x", "Malignant"], ["malignant", NOT_USED, "rest"]),
    (["Solar or actinic keratosis", "Indeterminate epidermal proliferations", "Indeterminate"], [UNCERTAIN] * 3),
    (["Benign"], ["benign", TOO_COARSE, "rest"]),
    (["Malignant"], ["malignant", TOO_COARSE, TOO_COARSE]),
    (["Indeterminate"], [UNCERTAIN] * 3),
    (["indeterminate/malignant"], [UNCERTAIN] * 3),
    (["Collision - At least one malignant proliferation", "Malignant"], ["malignant", TOO_COARSE, TOO_COARSE]),
    (["A name of tomorrow", "Malignant"], ["malignant", UNKNOWN, UNKNOWN]),
    (["A name of tomorrow", "Benign"], ["benign", UNKNOWN, "rest"]),
    (["A name of tomorrow", "Another"], [UNKNOWN] * 3),
    ([], [NO_DIAGNOSIS] * 3),
]


@pytest.mark.parametrize(("written", "expected"), LEVELS)
def test_names_below_each_other(written: list[str], expected: list[str]) -> None:
    assert decide("isic", *written) == expected


def test_the_table_is_sound() -> None:
    rows = read_rows(TABLE, ["set", "written", "diagnosis", "malignancy", "kind", "why"])
    assert {row.cells["set"] for row in rows} == set(SETS) - set(WITHOUT_DIAGNOSES)
    for name in SETS:
        read_diagnoses(name)  # refuses rows that are there twice, or say what is not allowed
    doubtful = [row for row in rows if row.cells["malignancy"] == "uncertain"]
    assert all(row.cells["why"] for row in doubtful)
    isic = [row for row in rows if row.cells["set"] == "isic"]
    assert len(isic) > 250


def test_isic_table_agrees_with_its_own_hierarchy() -> None:
    """Each row's reason holds the branch that ISIC files it under."""
    expected = {"Benign": "benign", "Malignant": "malignant", "Indeterminate": "uncertain"}
    for row in read_rows(TABLE, ["set", "why"]):
        if row.cells["why"].startswith("ISIC: "):
            branch = row.cells["why"].removeprefix("ISIC: ").split(";")[0].split(" > ")
            assert row.cells["malignancy"] == expected[branch[0]]
            assert (row.cells["kind"] == "melanoma") == (MELANOMAS in (branch[-1], row.cells["written"]))


@pytest.mark.parametrize(
    ("task", "classes", "training"),
    [
        (MALIGNANCY, {"benign": 15, "malignant": 9}, "data.group_column=group\n"),
        (NEVUS_TASK, {"nevus": 10, "melanoma": 7}, "data.group_column=group\n"),
        (REST_TASK, {"rest": 17, "melanoma": 7}, "data.group_column=group 'data.class_names=[rest,melanoma]'\n"),
    ],
)
def test_each_task(task: str, classes: dict[str, int], training: str, prepare: Prepare, work_folder: Path) -> None:
    rows = list({row["lesion_id"]: row for row in downloads.ham_rows()}.values())
    downloads.write_ham10000(work_folder / "ham", rows)  # one image a lesion
    result = prepare("ham10000", "ham", "ready", "--task", task)
    assert result.code == 0, result.error
    found = downloads.read_table(work_folder / "ready/metadata.csv")
    assert Counter(row["label"] for row in found) == classes
    assert "next: melanoma-data audit ready --group-column group\n" in result.output
    assert f"\n      melanoma-train data=folder data.root=ready {training}" in result.output
    left_out = downloads.read_table(work_folder / "ready/left_out.csv")
    assert len(left_out) + len(found) == len(rows)
    assert {"original", "diagnosis", "reason"} == set(left_out[0])
    assert Counter(row["reason"] for row in left_out if row["diagnosis"] == "akiec") == {UNCERTAIN: 2}
    assert f"left out: {len(left_out)}" in result.output
    assert f"      2  {UNCERTAIN}: akiec" in result.output


def test_kaggle_has_no_diagnoses(refused: Callable[..., str], work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive")
    error = refused("kaggle-benign-malignant", "archive", "ready", "--task", NEVUS_TASK)
    assert "has labels but no diagnoses" in error


def strange_rows() -> downloads.Rows:
    rows = downloads.ham_rows()
    for index, dx in ((3, "scc"), (5, "ulcer"), (8, "scc"), (9, "")):
        rows[index]["dx"] = dx
    return rows


def test_unknown_diagnoses_are_named(refused: Callable[..., str], work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham", strange_rows())
    error = refused("ham10000", "ham", "ready")
    assert "HAM10000_metadata.csv, line 5: the diagnosis 'scc' is not in the diagnosis table" in error
    assert "with the number of their images: 'scc' (2), 'ulcer' (1)" in error
    assert "--diagnoses FILE" in error
    assert "--unknown leave-out" in error


def test_unknown_diagnoses_are_left_out(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham", strange_rows())
    result = prepare("ham10000", "ham", "ready", "--unknown", "leave-out")
    assert result.code == 0, result.error
    reasons = Counter(
        (row["reason"], row["diagnosis"]) for row in downloads.read_table(work_folder / "ready/left_out.csv")
    )
    assert reasons[UNKNOWN, "scc"] == 2
    assert reasons[UNKNOWN, "ulcer"] == 1
    assert reasons[NO_DIAGNOSIS, ""] == 1
    assert f"      2  {UNKNOWN}: scc" in result.output


def own_table(folder: Path, *lines: str) -> str:
    (folder / "mine.csv").write_text("\n".join(["set,written,diagnosis,malignancy,kind,why", *lines]) + "\n")
    return "mine.csv"


def test_a_diagnosis_table_of_the_user(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham", strange_rows())
    table = own_table(
        work_folder,
        "ham10000,SCC,squamous cell carcinoma,malignant,other,ours",
        "ham10000,ulcer,ulcer,benign,other,",
        "ham10000,akiec,actinic keratosis,malignant,other,as many papers do",
        "isic,nevus,nevus,uncertain,nevus,another set's row",
    )
    result = prepare("ham10000", "ham", "ready", "--diagnoses", table)
    assert result.code == 0, result.error
    labels = {(row["diagnosis"], row["label"]) for row in downloads.read_table(work_folder / "ready/metadata.csv")}
    assert ("squamous cell carcinoma", "malignant") in labels
    assert ("ulcer", "benign") in labels
    assert ("actinic keratosis", "malignant") in labels
    assert ("melanoma", "malignant") in labels, "the other rows stay"
    assert {row["reason"] for row in downloads.read_table(work_folder / "ready/left_out.csv")} == {NO_DIAGNOSIS}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ham10000,scc,SCC,malign,other,", "mine.csv, line 2: malignancy is 'malign'"),
        ("ham10000,scc,SCC,malignant,tumour,", "mine.csv, line 2: kind is 'tumour'"),
        ("ham10000,scc,SCC,malignant,nevus,", "mine.csv, line 2: a malignant nevus"),
        ("ham10000,mel,melanoma,benign,melanoma,", "mine.csv, line 2: a benign melanoma"),
        ("ham10000,scc,SCC,malignant", "mine.csv, line 2: 4 cells"),
        ("ham10000,scc,S,malignant,other,\nham10000, SCC,S,benign,other,", "mine.csv, line 3: 'SCC' already has a row"),
        ("ham1000,scc,SCC,malignant,other,", "mine.csv, line 2: there is no dataset 'ham1000'"),
        ("", "mine.csv has no rows"),
    ],
)
def test_mistakes_in_a_diagnosis_table_of_the_user(
    line: str, expected: str, refused: Callable[..., str], work_folder: Path
) -> None:
    downloads.write_ham10000(work_folder / "ham")
    assert expected in refused("ham10000", "ham", "ready", "--diagnoses", own_table(work_folder, line))


def test_a_diagnosis_table_that_is_missing_or_not_a_table(refused: Callable[..., str], work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    assert "--diagnoses mine.csv does not exist" in refused("ham10000", "ham", "ready", "--diagnoses", "mine.csv")
    (work_folder / "mine.csv").write_text("written,malignancy\nscc,malignant\n")
    assert "mine.csv has no column 'set'" in refused("ham10000", "ham", "ready", "--diagnoses", "mine.csv")


def test_a_task_without_images_of_a_class(refused: Callable[..., str], work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham", [row for row in downloads.ham_rows() if row["dx"] != "mel"])
    error = refused("ham10000", "ham", "ready", "--task", NEVUS_TASK)
    assert "no image is melanoma in melanoma-vs-nevus" in error


def test_names_of_sets_and_tasks_from_python(tmp_path: Path) -> None:
    from melanoma_pl.data.public_sets.preparing import prepare_dataset

    with pytest.raises(UserError, match="did you mean 'ham10000'"):
        prepare_dataset("ham1000", tmp_path, tmp_path / "ready")
    with pytest.raises(UserError, match="did you mean 'melanoma-vs-nevus'"):
        prepare_dataset("ham10000", tmp_path, tmp_path / "ready", task="melanoma-vs-nevi")


def test_the_guide_names_every_set_and_task_and_its_table_works(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[4] / "docs/public_sets.md").read_text(encoding="utf-8")
    for name in SETS:
        assert f"\n## {name}\n" in guide
        assert f"melanoma-data prepare {name} " in guide
    for task in TASKS:
        assert f"| `{task}`" in guide
    (tmp_path / "mine.csv").write_text(guide.split("```csv\n")[1].split("```")[0])
    assert read_diagnoses("ham10000", tmp_path / "mine.csv")["akiec"].malignancy == "malignant"
