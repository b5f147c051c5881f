"""Cells of a dataset's table: separators, ages, sexes, sites, and how a diagnosis was confirmed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import Result
from tests.unit.data.public_sets import downloads

from melanoma_pl.data.public_sets.download import ImageFacts, TableRow, read_rows, sex, skin_type, years
from melanoma_pl.data.public_sets.table_sets import HAM10000, ISIC, PAD_UFES_20

Prepare = Callable[..., Result]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("80", "80"), ("80.0", "80"), ("80,0", "80"), ("85+", "85"), ("0", "0"), ("0.5", "0.5"), ("120", "120"),
        ("121", ""), ("999", ""), ("-1", ""), ("1_0", ""), ("1e1", ""), ("nan", ""), ("inf", ""), ("+5", ""),
        ("٣", ""), ("", ""), ("adult", ""), ("85++", ""),
    ],
)  # fmt: skip
def test_years(cell: str, expected: str) -> None:
    assert years(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("FEMALE", "female"), ("Male", "male"), ("m", "male"), ("F", "female"), ("diverse", "")],
)
def test_sex(cell: str, expected: str) -> None:
    assert sex(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"), [("III", "3"), ("iv", "4"), ("3.0", "3"), ("3,0", "3"), ("7", ""), ("0", "")]
)
def test_skin_type(cell: str, expected: str) -> None:
    assert skin_type(cell) == expected


def test_semicolons(prepare: Prepare, work_folder: Path) -> None:
    downloads.write_ham10000(work_folder / "ham")
    assert prepare("ham10000", "ham", "commas").code == 0
    rows = [row | {"age": "80,0"} for row in downloads.ham_rows()]
    downloads.write_table(work_folder / "ham/HAM10000_metadata.csv", rows, delimiter=";")
    result = prepare("ham10000", "ham", "semicolons")
    assert result.code == 0, result.error
    tables = [(work_folder / target / "metadata.csv").read_bytes() for target in ("commas", "semicolons")]
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("a;b\n1,5;2\n", {"a": "1,5", "b": "2"}),
        ("a;b,c\n1;5,2\n", {"a;b": "1;5", "c": "2"}),
        ("\n\na,b\n1;5,2\n", {"a": "1;5", "b": "2"}),
        ("a;b\tc,d\n1\t2\n", {"a;b": "1", "c,d": "2"}),
    ],
    ids=["semicolons", "commas", "after empty lines", "tabs"],
)
def test_separators(text: str, cells: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(text)
    rows = read_rows(tmp_path / "table.csv", ())
    assert [row.cells for row in rows] == [cells]
    assert rows[0].line == len(text.splitlines())


@pytest.mark.parametrize(
    ("describe", "column"),
    [
        (HAM10000.describe, "localization"),
        (ISIC.describe, "anatom_site_general"),
        (PAD_UFES_20.describe, "region"),
    ],
)
def test_sites_are_in_lower_case(describe: Callable[[TableRow], ImageFacts], column: str) -> None:
    assert describe(TableRow(Path("table.csv"), 2, {column: "Upper Extremity"})).site == "upper extremity"


@pytest.mark.parametrize(
    ("describe", "column", "cell", "expected"),
    [
        (HAM10000.describe, "dx_type", "histo", "histopathology"),
        (HAM10000.describe, "dx_type", "Follow_Up", "follow-up"),
        (HAM10000.describe, "dx_type", "consensus", "expert consensus"),
        (HAM10000.describe, "dx_type", "confocal", "confocal microscopy"),
        (HAM10000.describe, "dx_type", "of tomorrow", "of tomorrow"),
        (HAM10000.describe, "dx", "nv", ""),
        (ISIC.describe, "diagnosis_confirm_type", "Histopathology", "histopathology"),
        (ISIC.describe, "diagnosis", "nevus", ""),
        (PAD_UFES_20.describe, "biopsed", "True", "histopathology"),
        (PAD_UFES_20.describe, "biopsed", "FALSE", ""),
        (PAD_UFES_20.describe, "diagnostic", "NEV", ""),
    ],
)
def test_how_a_diagnosis_was_confirmed(
    describe: Callable[[TableRow], ImageFacts], column: str, cell: str, expected: str
) -> None:
    assert describe(TableRow(Path("table.csv"), 2, {column: cell})).confirmed_by == expected


def test_the_finest_name_is_kept_as_written(prepare: Prepare, work_folder: Path) -> None:
    rows = downloads.isic_rows()
    rows[40] |= {"diagnosis_4": "Melanoma of tomorrow, Nodular", "diagnosis_confirm_type": "histopathology"}
    for row in rows:
        row.setdefault("diagnosis_confirm_type", "")
    downloads.write_isic(work_folder / "isic", rows)
    assert prepare("isic", "isic", "ready").code == 0
    found = {row["original"]: row for row in downloads.read_table(work_folder / "ready/metadata.csv")}
    image = found["ISIC_0000040.jpg"]
    assert (image["written"], image["confirmed_by"]) == ("Melanoma of tomorrow, Nodular", "histopathology")
    assert image["diagnosis"] == "invasive melanoma", "a coarser name decides"
    assert found["ISIC_0000000.jpg"]["written"] == "Nevus"
