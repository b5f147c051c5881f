"""Subgroups: by columns of the metadata, and by estimated skin tone."""

import csv
from pathlib import Path

import numpy as np
import pytest
from tests.unit.conftest import member

from melanoma_pl.errors import UserError
from melanoma_pl.report.subgroups import MOST, Grouping, find_groupings, subgroup_table


def with_columns(root: Path, rows: int | None = None, **columns: object) -> Path:
    """Add columns to a folder's metadata: a value for all, or one for each row in turn; keep the first rows only."""
    table = root / "metadata.csv"
    with table.open() as file:
        old = list(csv.DictReader(file))[:rows]
    with table.open("w", newline="") as file:
        values = {name: value if isinstance(value, list) else [value] for name, value in columns.items()}
        new = [
            {**row, **{name: each[index % len(each)] for name, each in values.items()}} for index, row in enumerate(old)
        ]
        writer = csv.DictWriter(file, new[0])
        writer.writeheader()
        writer.writerows(new)
    return root


def groupings(root: Path, *wanted: str, **options: object):  # type: ignore[no-untyped-def]
    data = member(root, **options).evaluated
    return find_groupings(data, data.split("test"), wanted or None)


def test_columns_with_known_names_are_taken_by_default(own_image_folder: Path) -> None:
    found = groupings(with_columns(own_image_folder, sex=["male", "Female", "female", ""], colour="red"))
    assert [grouping.column for grouping in found] == ["age", "sex"]
    assert set(found[0].values) <= {"under 30", "30–44", "45–59", "60–74", "75 and over", "unknown"}
    assert not any(grouping.is_estimated for grouping in found)


def test_without_metadata_skin_tone_is_estimated(own_image_folder: Path) -> None:
    (own_image_folder / "metadata.csv").unlink()
    (tone,) = groupings(own_image_folder)
    assert (tone.column, tone.is_estimated, len(tone.values)) == ("skin tone", True, 12)
    assert "Estimated" in tone.note


def test_any_column_can_be_wanted_with_the_estimate_beside_it(own_image_folder: Path) -> None:
    found = groupings(with_columns(own_image_folder, camera=["a", "b"]), "camera", "skin_tone")
    assert [grouping.column for grouping in found] == ["camera", "skin tone"]


def test_figures_are_those_of_each_groups_images(own_image_folder: Path) -> None:
    root = with_columns(own_image_folder, site=["back", "back", "arm", "arm"])
    data = member(root).evaluated
    images = data.list_split("test")
    scores = np.linspace(0, 1, 12)
    (grouping,) = find_groupings(data, data.split("test"), ["site"])
    site = subgroup_table(grouping, scores, scores, images.targets, 0.5)
    assert {row.value: row.n for row in site.rows} == {"back": 6, "arm": 6}
    assert sum(row.positives for row in site.rows) == images.targets.sum()
    assert all(row.auroc.value is None and "too small" in row.auroc.reason for row in site.rows)


def test_an_impossible_age_is_unknown_and_said(own_image_folder: Path) -> None:
    (ages,) = groupings(with_columns(own_image_folder, age=["200", "40", "x", ""]), "age")
    assert sorted(set(ages.values)) == ["30–44", "unknown"]
    assert ages.values.count("unknown") == 9
    assert ages.note == "The age of 6 images is not a number of years from 0 to 120, and counts as unknown."
    assert groupings(with_columns(own_image_folder, age=["30", ""]), "age")[0].note == ""


def test_of_many_values_the_most_frequent_are_shown() -> None:
    values = [f"c{number}" for number in range(MOST)] * 2 + ["once"]
    zeros = np.zeros(len(values))
    table = subgroup_table(Grouping("camera", values), zeros, zeros, zeros.astype(np.int64), 0.5)
    assert [row.n for row in table.rows] == [2] * MOST
    assert f"{MOST} most frequent of {MOST + 1} values" in table.note


MISTAKES = {
    "no such column": ({}, ["sxe"], "has no column 'sxe' (subgroups)"),
    "no table": ({"metadata": None}, ["age"], "subgroups=age needs a metadata table"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_missing_columns_and_tables_are_refused(case: str, own_image_folder: Path) -> None:
    options, wanted, expected = MISTAKES[case]
    with pytest.raises(UserError) as refusal:
        groupings(own_image_folder, *wanted, **options)
    assert expected in str(refusal.value)


def test_images_without_a_row(own_image_folder: Path) -> None:
    root = with_columns(own_image_folder, rows=45, sex="male")  # seven test images have none
    with pytest.raises(UserError, match=r"has no row for 7 of 12 images .* data.without_row=own_group"):
        groupings(root, "sex")
    (unasked,) = [grouping for grouping in groupings(root) if grouping.column == "sex"]
    (allowed,) = groupings(root, "sex", without_row="own_group")
    assert list(unasked.values).count("") == list(allowed.values).count("") == 7
