"""One fold validates, the others train, and wrong tables of folds are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from melanoma_pl.data import MoleDataModule
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.data.splits import cut_fold
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing

IMAGES = LabelledImages(
    Path(), tuple(f"{index}.png" for index in range(8)), ("benign", "malignant") * 4, ("train",) * 8
)


def write(path: Path, folds: str, header: str = "image,fold") -> Path:
    path.write_text(
        "".join(f"{line}\n" for line in [header, *(f"{i}.png,{f}" for i, f in enumerate(folds.split(",")))])
    )
    return path


def test_each_image_validates_once(tmp_path: Path) -> None:
    table = write(tmp_path / "split.csv", "0,0,1,1,2,2,10,10")
    held = []
    for fold in (0, 1, 2, 10):
        training, validation = cut_fold(IMAGES, table, fold)
        assert sorted([*training, *validation]) == list(range(8))
        assert training.dtype == validation.dtype == np.int64
        held += validation.tolist()
    assert held == list(range(8))


@pytest.mark.parametrize(
    ("folds", "fold", "expected"),
    [
        ("0,0,1,1,10,10,2,2", 3, "data.fold=3 does not exist: FILE has 0, 1, 2, 10"),
        (",,,,,,,", 0, "data.fold=0: FILE has no folds: cut folds: melanoma-data split"),
        ("0,0,1,1,,,,", 0, "FILE has no fold for 4 of 8 images (4.png, 5.png, 6.png, …)"),
        ("0,0,1,1", 0, "FILE has no fold for 4 of 8 images (4.png, 5.png, 6.png, …)"),
        ("0,1,0,1,1,1,1,1", 0, "in FILE images of one class only are in fold 0"),
        ("0,0,0,0,0,0,0,0", 0, "in FILE images of one class only are in the folds other than 0"),
    ],
)
def test_wrong_tables_are_refused(folds: str, fold: int, expected: str, tmp_path: Path) -> None:
    table = write(tmp_path / "split.csv", folds)
    with pytest.raises(UserError) as error:
        cut_fold(IMAGES, table, fold)
    assert expected.replace("FILE", str(table)) in str(error.value)


def test_a_table_without_folds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no column 'fold' \(data.fold\)"):
        cut_fold(IMAGES, write(tmp_path / "split.csv", "0,1", header="image,part"), 0)


def test_the_module_validates_on_a_fold(own_image_folder: Path) -> None:
    def module(fold: int) -> MoleDataModule:
        return MoleDataModule(own_image_folder, preprocessing=Preprocessing(32), batch_size=8, fold=fold)

    with pytest.raises(UserError, match=r"data.fold=0 needs .*split.csv, which does not exist: cut folds"):
        module(0).setup("fit")
    paths = MoleDataModule(own_image_folder).list_split("train").paths
    rows = "".join(f"{path},{index % 4}\n" for index, path in enumerate(paths))
    (own_image_folder / "split.csv").write_text(f"image,fold\n{rows}train/benign/gone.png,9\n")
    data = module(3)
    data.setup("fit")
    assert data.split("validation").positions.tolist() == list(range(3, 40, 4))
    assert data.split("train").positions.tolist() == [index for index in range(40) if index % 4 != 3]


def test_a_lesion_in_two_folds_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "split.csv", "0,0,1,1,2,2,3,3")
    whole = replace(IMAGES, groups=tuple("aabbccdd"))
    assert cut_fold(whole, table, 0)[1].tolist() == [0, 1]
    parted = replace(IMAGES, groups=tuple("xyxybbcc"))
    assert cut_fold(parted, table, 2)[1].tolist() == [4, 5]
    with pytest.raises(UserError) as error:
        cut_fold(parted, table, 0, group_column="lesion")
    assert f"in {table} 2 groups (x, y) of fold 0 have images in other folds too: cut the folds anew" in str(
        error.value
    )
    assert str(error.value).endswith("melanoma-data split <images> <target> --folds 4 --group-column lesion")


def test_the_data_module_refuses_it_in_a_folder_and_in_a_table(own_image_folder: Path) -> None:
    paths = MoleDataModule(own_image_folder).list_split("train").paths
    rows = "".join(f"{path},{path.split('/')[1]},train,{index % 4},one\n" for index, path in enumerate(paths))
    table = own_image_folder / "split.csv"
    table.write_text(f"image,label,split,fold,lesion\n{rows}")
    wanted = r"1 group \(one\) of fold 0 .*--group-column lesion"
    for sources in ({"root": own_image_folder, "metadata": table}, {"table": table}):
        data = MoleDataModule(**sources, fold=0, group_column="lesion", preprocessing=Preprocessing(32))  # type: ignore[arg-type]
        with pytest.raises(UserError, match=wanted):
            data.setup("fit")
