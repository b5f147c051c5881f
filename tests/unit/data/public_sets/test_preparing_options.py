"""Options without effect are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Result
from tests.unit.data.public_sets import downloads

from melanoma_pl.data.__main__ import parser
from melanoma_pl.data.public_sets.preparing import SEED, TEST_FRACTION

Prepare = Callable[..., Result]
Refused = Callable[..., str]


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        (["--test", "0.25"], "--test=0.25 would"),
        (["--seed", "1"], "--seed=1 would"),
        (["--test", "0.25", "--seed", "1"], "--test=0.25 and --seed=1 would"),
    ],
)
def test_split_options_for_datasets_with_an_official_split(
    typed: list[str], named: str, refused: Refused, prepare: Prepare, work_folder: Path
) -> None:
    downloads.write_kaggle(work_folder / "archive")
    downloads.write_dermamnist(work_folder / "dermamnist.npz")
    for name, source in (("kaggle-benign-malignant", "archive"), ("dermamnist", "dermamnist.npz")):
        assert f"{name} keeps its own split, so {named} have no effect" in refused(name, source, "ready", *typed)
    downloads.write_isic(work_folder / "isic")
    assert prepare("isic", "isic", "ready", *typed).code == 0


def test_the_commands_defaults_count_as_not_typed() -> None:
    chosen = parser().parse_args(["prepare", "dermamnist", "here", "there"])
    assert (chosen.test_fraction, chosen.seed) == (TEST_FRACTION, SEED)


def test_a_diagnosis_table_for_a_set_without_diagnoses(refused: Refused, work_folder: Path) -> None:
    downloads.write_kaggle(work_folder / "archive")
    error = refused("kaggle-benign-malignant", "archive", "ready", "--diagnoses", "mine.csv")
    assert "kaggle-benign-malignant has labels but no diagnoses, so --diagnoses mine.csv" in error


def test_a_table_alone_with_copies(refused: Refused, work_folder: Path) -> None:
    downloads.write_isic(work_folder / "isic")
    error = refused("isic", "isic", "ready", "--table-only", "--copy")
    assert "--table-only leaves the images where they are, but --copy copies them" in error
