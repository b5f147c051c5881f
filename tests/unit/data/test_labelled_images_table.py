"""One split of a table: the images of the folder that it lists, and errors that name file and line."""

from pathlib import Path

import pytest

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.labelled_images import list_images, list_split
from melanoma_pl.data.options import DataOptions
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing

IMAGES = [
    f"{split}/{name}/{number:03d}.png"
    for split in ("train", "test")
    for name, number in (("benign", 0), ("malignant", 1))
]


def write(path: Path, *rows: str, header: str = "image,label,split") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def table_folder(image_folder: Path, tmp_path: Path) -> Path:
    """A folder beside the images, from which their paths begin with `../images`."""
    (tmp_path / "images").symlink_to(image_folder)
    (tmp_path / "tables").mkdir()
    return tmp_path / "tables"


def test_equals_the_folder_it_lists(table_folder: Path, image_folder: Path) -> None:
    images = {split: list_split(image_folder, split) for split in ("train", "test")}
    rows = [
        f"../images/{path},{('benign', 'malignant')[target]},{split}"
        for split, listed in images.items()
        for path, target in zip(listed.paths, listed.targets, strict=True)
    ]
    table = write(table_folder / "t.csv", *reversed(rows))
    for split, listed in images.items():
        found = list_split(table, split)
        assert found.paths == tuple(f"../images/{path}" for path in listed.paths)
        assert found.targets.tolist() == listed.targets.tolist()
        assert [file.read_bytes() for file in found.files] == [file.read_bytes() for file in listed.files]


def test_names_of_classes_and_splits(table_folder: Path) -> None:
    rows = zip(
        IMAGES, ("Nevus", "MELANOMA", "b9", "malignant"), ("Training", "validation", "test", "TESTING"), strict=True
    )
    table = write(table_folder / "t.csv", *(f"../images/{','.join(row)}" for row in rows))
    folder_names = {"nevus": "benign", "melanoma": "malignant", "b9": "benign"}
    for split in ("train", "test"):
        options = DataOptions(folder_names=folder_names)
        found = list_split(table, split, options, with_validation=split == "train", every_class=False)
        assert found.targets.tolist() == [0, 1]
        assert found.paths == tuple(f"../images/{path}" for path in IMAGES if path.startswith(split))
    other_names = {name: {"benign": "mole", "malignant": "cancer"}[meant] for name, meant in folder_names.items()}
    other_options = DataOptions(class_names=("mole", "cancer"), folder_names=other_names | {"malignant": "cancer"})
    assert list_split(table, "test", other_options, every_class=False).class_names == ("mole", "cancer")


def test_absolute_paths_and_columns_of_other_names(table_folder: Path, image_folder: Path) -> None:
    rows = [f"{image_folder / path},{path.split('/')[1]},{path.split('/')[0]}" for path in IMAGES]
    table = write(table_folder / "t.csv", *rows, header="file,dx,part")
    found = list_split(table, "test", DataOptions(image_column="file", label_column="dx", split_column="part"))
    assert found.files == [image_folder / path for path in IMAGES[2:]]


GOOD = [f"../images/{path},{path.split('/')[1]},{path.split('/')[0]}" for path in IMAGES]
CASES = {
    "no rows": ([], "image,label,split", "t.csv has no rows"),
    "image column": (GOOD, "file,label,split", "has no column 'image' (data.image_column)"),
    "label column": (GOOD, "image,lable,split", "has no column 'label' (data.label_column): did you mean 'lable'"),
    "split column": (GOOD, "image,label,splits", "did you mean 'splits'"),
    "way out of no split": (GOOD, "image,label,fold", "cut a split: melanoma-data split"),
    "no split": (
        [*GOOD[:2], "../images/a.png,benign,"],
        None,
        "t.csv, line 4: '../images/a.png' is not in a split: cut a",
    ),
    "unknown split": ([*GOOD, "a.png,benign,tset"], None, "t.csv, line 6: 'tset' is not a split: did you mean 'test'"),
    "unknown label": (
        ["a.png,benin,train", *GOOD],
        None,
        "line 2: the label 'benin' is not a class; did you mean 'benign'",
    ),
    "way out of a label": (["a.png,bcc,train", *GOOD], None, "'+data.folder_names.bcc=<class>'"),
    "way out of a label with a space": (
        ["a.png,basal cell,train", *GOOD],
        None,
        r"name its class: '+data.folder_names={basal\ cell: <class>}'",
    ),
    "way out of a label that Hydra cannot read": (
        ["a.png,nävus,train", *GOOD],
        None,
        ": correct it, or delete the row",
    ),
    "no label": (["a.png,,train", *GOOD], None, "line 2: the label '' is not a class"),
    "two rows": ([*GOOD, GOOD[0]], None, "line 6: '../images/train/benign/000.png' has two rows"),
    "a class": (GOOD[1:], None, "t.csv has no train image of the class 'benign'"),
    "no train": (GOOD[2:], None, "t.csv has no train image of the class 'benign'"),
    "missing images": (
        [*GOOD, *(f"../images/{name}.png,benign,train" for name in "abcd")],
        None,
        "line 6: 4 of 6 train images do not exist (../images/a.png, ../images/b.png, ../images/c.png, …)",
    ),
    "after a line break in a cell": (
        ['../images/test/benign/002.png,benign,test,"a\nb"', "a.png,x,train,"],
        "image,label,split,note",
        "t.csv, line 4: the label 'x'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_errors_name_file_and_line(case: str, table_folder: Path) -> None:
    rows, header, expected = CASES[case]
    table = write(table_folder / "t.csv", *rows, header=header or "image,label,split")
    with pytest.raises(UserError) as error:
        list_split(table, "train")
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_errors_in_test_rows_do_not_stop_training(table_folder: Path) -> None:
    table = write(table_folder / "t.csv", *GOOD, "../images/gone.png,bcc,test")
    assert len(list_split(table, "train")) == 2
    with pytest.raises(UserError, match="line 6: the label 'bcc'"):
        list_split(table, "test")


def module(table: Path, **options: object) -> MoleDataModule:
    return MoleDataModule(table=table, preprocessing=Preprocessing(32), batch_size=8, **options)  # type: ignore[arg-type]


@pytest.fixture
def table(table_folder: Path, image_folder: Path) -> Path:
    """All images of the folder, with their lesions, three folds, and a metadata table of its own beside it."""
    lines = (image_folder / "metadata.csv").read_text().splitlines()[1:]
    rows = []
    for number, (path, group, _) in enumerate(line.split(",") for line in lines):
        split, name, _ = path.split("/")
        rows.append(f"../images/{path},{name},{split},{group},{number // 4 % 3 if split == 'train' else ''}")
    return write(table_folder / "t.csv", *rows, header="image,label,split,group,fold")


def test_the_data_module_takes_a_table(table: Path, image_folder: Path) -> None:
    data = module(table, group_column="group")
    data.setup("fit")
    training, validation = data.split("train"), data.split("validation")
    assert (len(training), len(validation), len(data.split("test"))) == (32, 8, 12)
    folder = MoleDataModule(image_folder, preprocessing=Preprocessing(32), batch_size=8, group_column="group")
    assert data.list_split("train").groups == folder.list_split("train").groups
    assert data.split("validation").positions.tolist() == folder.split("validation").positions.tolist()
    assert not data.shared_with_train(data.list_split("test")).any()


def test_metadata_beside_the_table_is_ignored_unless_named(table: Path) -> None:
    (table.parent / "metadata.csv").write_text("image,group\n")
    assert module(table, group_column="group").list_split("train").groups is not None
    with pytest.raises(UserError, match=r"metadata.csv has no row for 40 of 40"):
        module(table, group_column="group", metadata=table.parent / "metadata.csv").list_split("train")


def test_folds_of_a_table(table: Path) -> None:
    data = module(table, fold=1)
    validation = {data.load("train").images.paths[position] for position in data.split("validation").positions}
    expected = {line.split(",")[0] for line in table.read_text().splitlines() if line.endswith(",1")}
    assert validation == expected
    assert len(data.split("train")) == 40 - len(expected)


def test_a_table_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        module(tmp_path / "t.csv").setup("fit")
    with pytest.raises(UserError, match="is a folder"):
        module(tmp_path).setup("fit")
    with pytest.raises(ValueError, match="give a root or a table"):
        MoleDataModule()


def test_isics_own_table(image_folder: Path, tmp_path: Path) -> None:
    """Its names have no ending, its images lie in a folder, and it has no split: the error gives the whole command."""
    (tmp_path / "jpeg").symlink_to(image_folder / "train/benign")
    rows = [f"{file.stem},IP_1,benign,0" for file in sorted((tmp_path / "jpeg").iterdir())]
    table = write(tmp_path / "train.csv", *rows, header="image_name,patient_id,benign_malignant,target")
    listing = list_images(table, "image_name", "benign_malignant")
    assert listing.paths == tuple(f"jpeg/{file.name}" for file in sorted((tmp_path / "jpeg").iterdir()))
    with pytest.raises(UserError) as error:
        list_split(table, "train", DataOptions(image_column="image_name", label_column="benign_malignant"))
    words = f"melanoma-data split {table} --image-column image_name --label-column benign_malignant <target folder>"
    assert words in str(error.value)
