"""Which predictions can be compared, which are refused with which way out, and the warnings about the others."""

import json
import re
from pathlib import Path

import pytest
from tests.unit.runs.run_examples import Row, rows_of, write_images, write_predictions, write_run

from melanoma_pl.errors import UserError
from melanoma_pl.messages import SYNTHETIC
from melanoma_pl.runs.pairing import UNCHECKED, PairedPredictions, pair
from melanoma_pl.runs.predictions import choose_split, find_source, read_predictions

ROWS = rows_of([0.9, 0.2, 0.8, 0.4], "mbmb")
TRAINED = [("train/000.png", 0.0, "benign")]


def write_model(folder: Path, rows: list[Row] = ROWS, split: str = "test", **data: object) -> Path:
    """Write a run that was evaluated on some images, and trained on others."""
    write_run(folder, data=data)
    write_predictions(folder / "report" / split, rows)
    write_images(folder, train=TRAINED, **{split: rows})
    return folder


def compared(first: Path, second: Path, split: str | None = None) -> PairedPredictions:
    sources = find_source(first), find_source(second)
    chosen = choose_split(*sources, split)
    return pair(*(read_predictions(source, chosen) for source in sources))


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs on the same images."""
    return write_model(tmp_path / "a"), write_model(tmp_path / "b")


def test_runs_on_the_same_images(models: tuple[Path, Path]) -> None:
    found = compared(*models)
    assert list(found.first.images) == [path for path, _, _ in ROWS]
    assert (found.groups, found.warnings, found.first.threshold, found.first.split) == (None, (), 0.5, "test")
    image = found.second.images["test/000.png"]
    assert (image.probability, image.is_called_malignant, image.is_malignant) == (0.9, True, True)


def test_a_run_and_itself(models: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="A and B are the same predictions"):
        compared(models[0], models[0] / "report/test")


def test_images_in_another_order(models: tuple[Path, Path]) -> None:
    write_predictions(models[1] / "report/test", ROWS[::-1])
    assert list(compared(*models).first.images) == [path for path, _, _ in ROWS]


def test_names_of_classes_are_the_runs(tmp_path: Path) -> None:
    rows = [(path, value, {"benign": "rest", "malignant": "melanoma"}[label]) for path, value, label in ROWS]
    for name in "ab":
        write_model(tmp_path / name, rows, class_names=["rest", "melanoma"])
        table = tmp_path / name / "report/test/predictions.csv"
        table.write_text(table.read_text().replace("benign", "rest").replace("malignant", "melanoma"))
    images = compared(tmp_path / "a", tmp_path / "b").first.images.values()
    assert [image.is_called_malignant for image in images] == [True, False, True, False]


@pytest.mark.parametrize("path", ["report", "report/test", "report/test/predictions.csv"])
def test_reports_and_tables_are_sources_too(path: str, models: tuple[Path, Path]) -> None:
    assert compared(models[0], models[1] / path).warnings == ()


def test_test_is_taken_where_both_have_it(models: tuple[Path, Path]) -> None:
    for model in models:
        write_predictions(model / "report/validation", rows_of([0.1, 0.9], "bm", "train"))
    sources = [find_source(model) for model in models]
    assert choose_split(*sources, None) == "test"
    assert choose_split(*sources, "validation") == "validation"
    (models[0] / "report/test/predictions.csv").unlink()
    assert choose_split(*[find_source(model) for model in models], None) == "validation"


def test_missing_predictions_name_the_command(models: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=re.escape(f"{models[0]} and {models[1]} hold no predictions of the valid")):
        compared(*models, "validation")
    (models[1] / "report/test/predictions.csv").unlink()
    command = f"melanoma-evaluate run={models[1]} split=test"
    with pytest.raises(UserError, match=re.escape(f"holds no predictions of the test images: make them: {command}")):
        compared(*models)


def test_a_table_of_another_split(models: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="hold no predictions of the validation images"):
        compared(models[0] / "report/test", models[1] / "report/test/predictions.csv", "validation")


def test_a_table_that_belongs_to_no_run(models: tuple[Path, Path], tmp_path: Path) -> None:
    table = write_predictions(tmp_path / "ensemble", ROWS)
    (warning, about) = compared(models[0], table).warnings
    assert warning == UNCHECKED
    assert about == "B has no list of its training images (images.csv): whether these are among them cannot be checked."


def write_ensemble(folder: Path, *members: Path) -> Path:
    """Write the predictions of an ensemble, whose report names its members."""
    table = write_predictions(folder, ROWS)
    (folder / "metrics.json").write_text(json.dumps({"threshold": 0.5, "runs": [str(member) for member in members]}))
    return table


def test_an_ensemble(models: tuple[Path, Path], tmp_path: Path) -> None:
    table = write_ensemble(tmp_path / "ensembles/now/test", *models)
    found = compared(models[0], table)
    assert found.warnings == (UNCHECKED,)
    assert [run.folder for run in found.second.runs] == list(models)
    write_images(models[1], train=[("train/9.png#test/001.png", 0.0, "benign")])
    with pytest.raises(UserError, match=r"B \(.*\) was trained on 1 of these 4 images"):
        compared(models[0], table)


def test_one_path_is_a_different_file_in_each_member(models: tuple[Path, Path], tmp_path: Path) -> None:
    table = write_ensemble(tmp_path / "ensembles/now/test", tmp_path / "c", models[1])
    write_model(tmp_path / "c")
    write_images(tmp_path / "c", train=[("train/000.png#test/001.png", 0.0, "benign")])
    write_images(models[1], train=TRAINED)
    with pytest.raises(UserError, match=r"B \(.*\) was trained on 1 of these 4 images"):
        compared(models[0], table)


@pytest.mark.parametrize("rows", [ROWS, rows_of([0.5], "b", "other")])
def test_a_member_validated_on_test(rows: list[Row], models: tuple[Path, Path], tmp_path: Path) -> None:
    original = write_run(tmp_path / "c", data={"validate_on": "test"})
    write_images(original, train=TRAINED, validation=rows)
    warnings = compared(models[0], write_ensemble(tmp_path / "now/test", models[1], original)).warnings
    said = [warning for warning in warnings if warning.startswith("B validated on the test images, as the original")]
    assert len(said) == (rows == ROWS), "on these, not on the test images of another dataset"


def test_a_member_is_missing(models: tuple[Path, Path], tmp_path: Path) -> None:
    table = write_ensemble(tmp_path / "ensembles/now/test", models[1], tmp_path / "gone")
    assert "B has no list of its training images" in compared(models[0], table).warnings[1]


def test_eight_views_of_the_runs_own_images(models: tuple[Path, Path]) -> None:
    table = write_predictions(models[0] / "report/test_dihedral", ROWS)
    found = compared(models[0], table)
    assert found.warnings == ()
    assert found.second.own_images
    with pytest.raises(UserError, match="holds no predictions of the validation images|hold no predictions"):
        compared(models[0], table, "validation")


@pytest.mark.parametrize("path", ["report/test", "elsewhere"])
def test_synthetic_images(path: str, models: tuple[Path, Path]) -> None:
    write_run(models[1], data={"root": None, "synthetic": {"seed": 0}})
    table = write_predictions(models[1] / path, ROWS)
    assert compared(models[0], table).second.is_synthetic == (path == "report/test")
    (table.parent / "metrics.json").write_text(json.dumps({"threshold": 0.5, "notes": [SYNTHETIC]}))
    assert compared(models[0], table).second.is_synthetic


@pytest.mark.parametrize(
    ("path", "expected"), [("nowhere", "does not exist"), ("", "is not a run's folder and does not hold")]
)
def test_paths_without_predictions(path: str, expected: str, models: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=expected):
        compared(models[0], tmp_path / path)


def test_different_images(tmp_path: Path) -> None:
    write_model(tmp_path / "a", ROWS, root="images (1)")
    write_model(tmp_path / "b", ROWS[1:] + rows_of([0.1], "b", "more"))
    with pytest.raises(UserError, match="1 only in A .* 1 only in B .* 3 in both: evaluate both on the same") as raised:
        compared(tmp_path / "a", tmp_path / "b")
    command = f"melanoma-evaluate run={tmp_path / 'b'} split=test 'data.root=\"images (1)\"'"
    assert f"{command}, and then compare A with {tmp_path / 'b/report/images (1)/test'}" in str(raised.value)


def test_different_images_of_tables(tmp_path: Path) -> None:
    write_model(tmp_path / "a", ROWS, root=None, table="t.csv")
    write_model(tmp_path / "b", ROWS[1:])
    with pytest.raises(UserError, match="melanoma-evaluate run=<B> split=test data.root=<images>"):
        compared(tmp_path / "a", tmp_path / "b")


def test_different_labels(models: tuple[Path, Path]) -> None:
    write_predictions(models[1] / "report/test", [*ROWS[:3], ("test/003.png", 0.4, "malignant")])
    expected = r"1 of 4 images have different labels in A and B \(test/003.png\): evaluate both .* split=test and "
    with pytest.raises(UserError, match=expected):
        compared(*models)


def test_different_files(models: tuple[Path, Path]) -> None:
    write_images(models[1], train=TRAINED, test=[("test/000.png#changed", 0.9, "malignant"), *ROWS[1:]])
    with pytest.raises(
        UserError, match=r"1 of 4 images are different files in the images.csv of A and of B \(test/000.png"
    ):
        compared(*models)


@pytest.mark.parametrize("name", ["A", "B"])
def test_trained_on_the_images(name: str, models: tuple[Path, Path]) -> None:
    write_images(models["AB".index(name)], train=ROWS[:3], test=ROWS[3:])
    with pytest.raises(
        UserError, match=rf"{name} \(.*\) was trained on 3 of these 4 images: compare on images that ne"
    ):
        compared(*models)


def on_the_images_of(model: Path, other: Path) -> Path:
    """Write what `melanoma-evaluate run=model data.root=<images of other>` would, and return the report's folder."""
    write_images(model, train=[("train/mine.png", 0.0, "benign")], test=[("test/mine.png", 0.0, "benign")])
    return write_predictions(model / "report/images/test", ROWS).parent


def test_evaluated_on_another_dataset(models: tuple[Path, Path]) -> None:
    assert compared(models[0], on_the_images_of(models[1], models[0])).warnings == (UNCHECKED,)


def test_trained_on_the_images_of_another_dataset_under_other_names(models: tuple[Path, Path]) -> None:
    report = on_the_images_of(models[1], models[0])
    write_images(models[1], train=[("train/mine.png#test/000.png", 0.0, "benign")])
    with pytest.raises(UserError, match="was trained on 1 of these 4 images"):
        compared(models[0], report)


def test_both_evaluated_on_another_dataset(models: tuple[Path, Path]) -> None:
    reports = [on_the_images_of(model, model) for model in models]
    assert [warning for warning in compared(*reports).warnings if "cannot be checked" in warning] == [
        UNCHECKED,
        "These are not the images of A's run: whether it was trained on them cannot be checked.",
        "These are not the images of B's run: whether it was trained on them cannot be checked.",
    ]


def test_copies_among_the_training_images(models: tuple[Path, Path]) -> None:
    write_images(models[0], train=[("train/000.png#test/001.png", 0.0, "benign")], test=ROWS)
    (warning,) = compared(*models).warnings
    assert warning.startswith("1 of these 4 images are, byte for byte, among those that A was trained on")


def test_validated_on_test(models: tuple[Path, Path]) -> None:
    write_run(models[1], data={"validate_on": "test"})
    write_images(models[1], train=TRAINED, validation=ROWS, test=ROWS)
    assert compared(*models).warnings == (
        "B validated on the test images, as the original did: its figures on them are too good.",
    )


def test_the_validation_images_of_both(tmp_path: Path) -> None:
    models = [write_model(tmp_path / name, split="validation") for name in "ab"]
    assert compared(*models).warnings == tuple(
        f"{name} chose its epoch and its threshold on 4 of these 4 images: its figures are too good." for name in "AB"
    )


def test_lesions_and_copies_shared_with_the_train_folder(models: tuple[Path, Path]) -> None:
    table = models[1] / "report/test/predictions.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], f"{lines[-1][:-1]}1"]))
    assert compared(*models).warnings == (
        "1 of these 4 images show a lesion, or are a copy, of the train folder of B's run.",
    )


def test_jobs_of_a_sweep_have_no_list_of_test_images(models: tuple[Path, Path]) -> None:
    for model in models:
        write_images(model, train=TRAINED)
    assert compared(*models).warnings == (), "the same training folder: the same images"
    write_run(models[1], fingerprint="other")
    assert compared(*models).warnings == (UNCHECKED,)


def test_lesions_come_from_either(models: tuple[Path, Path]) -> None:
    write_predictions(models[1] / "report/test", ROWS, groups=["x", "x", "", "test/002.png"])
    groups = compared(*models).groups
    assert groups == ("lesion x", "lesion x", "image test/002.png", "lesion test/002.png")


TABLES = {
    "no label": ("path,probability,decision\na,0.5,benign\n", "lacks the column label: take a predictions.csv"),
    "empty": ("", "lacks the column path"),
    "no rows": ("path,probability,decision,label\n", "holds no images: make it anew: melanoma-evaluate run="),
    "no number": ("path,probability,decision,label\na,high,benign,benign\n", "line 2: the probability high is not"),
    "not a number": ("path,probability,decision,label\na,nan,benign,benign\n", "line 2: the probability nan is not"),
    "too large": ("path,probability,decision,label\na,1.5,benign,benign\n", "line 2: the probability 1.5 is not"),
    "cut": ("path,probability,decision,label\na,0.5,benign\n", "line 2: the label None is neither benign nor malignan"),
    "class": ("path,probability,decision,label\na,0.5,benign,mole\n", "line 2: the label mole is neither benign nor"),
    "twice": ("path,probability,decision,label\n" + 2 * "a,0.5,benign,benign\n", "lists a twice"),
}


@pytest.mark.parametrize("case", TABLES)
def test_broken_tables(case: str, models: tuple[Path, Path]) -> None:
    content, expected = TABLES[case]
    (models[1] / "report/test/predictions.csv").write_text(content)
    with pytest.raises(UserError, match=expected):
        compared(*models)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("run.json", "{", "run.json cannot be read"),
        ("images.csv", "path,sha256\na,0\n", "images.csv cannot be read .it lacks 'split'"),
        (
            "images.csv",
            "path,split,label,group,sha256\na,train\n",
            "images.csv cannot be read .a line of it is cut short",
        ),
    ],
)
def test_broken_files_of_a_run(name: str, content: str, expected: str, models: tuple[Path, Path]) -> None:
    (models[1] / name).write_text(content)
    with pytest.raises(UserError, match=expected):
        compared(*models)
