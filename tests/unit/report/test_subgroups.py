"""What images are grouped by when a network's figures are looked at group by group."""

import csv
from pathlib import Path

import numpy as np
import pytest
from tests.unit.conftest import member

from melanoma_pl.errors import UserError
from melanoma_pl.report.subgroups import MOST, find_groupings, subgroup_tables


def with_columns(root: Path, rows: int | None = None, **columns: object) -> Path:
    """Add columns to a folder's metadata: a value for all, or one for each row in turn; keep the first rows only."""
    table = root / "metadata.csv"
    with table.open() as file:
        old = list(csv.DictReader(file))[:rows]
    with table.open("w", newline="") as file:
        values = {name: value if isinstance(value, list) else [value] for name, value in columns.items()}
        new = [
            {**row, **{name: each[place % len(each)] for name, each in values.items()}} for place, row in enumerate(old)
        ]
        writer = csv.DictWriter(file, new[0])
        writer.writeheader()
        writer.writerows(new)
    return root


def groupings(root: Path, *wanted: str, **options: object):  # type: ignore[no-untyped-def]
    data = member(root, **options).evaluated
    return find_groupings(data, data.split("test"), wanted or None)


def test_columns_that_are_known_by_their_names_are_taken_unasked(own_image_folder: Path) -> None:
    found = groupings(with_columns(own_image_folder, sex=["male", "Female", "female", ""], colour="red"))
    assert [grouping.column for grouping in found] == ["age", "sex"]
    assert set(found[0].values) <= {"under 30", "30–44", "45–59", "60–74", "75 and over", "unknown"}
    assert not any(grouping.is_estimated for grouping in found)


def test_without_metadata_skin_tone_is_estimated(own_image_folder: Path) -> None:
    (own_image_folder / "metadata.csv").unlink()
    (tone,) = groupings(own_image_folder)
    assert (tone.column, tone.is_estimated, len(tone.values)) == ("skin tone", True, 12)
    assert "Estimated" in tone.note


def test_any_column_can_be_asked_for_and_the_estimate_beside_it(own_image_folder: Path) -> None:
    found = groupings(with_columns(own_image_folder, camera=["a", "b"]), "camera", "skin_tone")
    assert [grouping.column for grouping in found] == ["camera", "skin tone"]


def test_figures_are_those_of_each_groups_images(own_image_folder: Path) -> None:
    root = with_columns(own_image_folder, site=["back", "back", "arm", "arm"])
    data = member(root).evaluated
    images = data.list_split("test")
    scores = np.linspace(0, 1, 12)
    (site,) = subgroup_tables(find_groupings(data, data.split("test"), ["site"]), scores, scores, images.targets, 0.5)
    assert {row.value: row.n for row in site.rows} == {"back": 6, "arm": 6}
    assert sum(row.positives for row in site.rows) == images.targets.sum()
    assert all(row.auroc.value is None and "too small" in row.auroc.reason for row in site.rows)


def test_of_many_values_the_most_frequent_are_shown(own_image_folder: Path) -> None:
    root = with_columns(own_image_folder, camera=[f"c{number}" for number in range(52)])
    data = member(root).evaluated
    found = find_groupings(data, data.split("test"), ["camera"])
    targets = data.list_split("test").targets
    many = [*found[0].values, *(f"more{number}" for number in range(9))]
    assert len(set(many)) > MOST
    (table,) = subgroup_tables(found, np.zeros(12), np.zeros(12), targets, 0.5)
    assert len(table.rows) == 12


MISTAKES = {
    "no such column": ({}, ["sxe"], "has no column 'sxe' (subgroups)"),
    "no table": ({"metadata": None}, ["age"], "subgroups=age needs a metadata table"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_is_not_there(case: str, own_image_folder: Path) -> None:
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
