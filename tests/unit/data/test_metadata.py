"""The metadata table: joined by path, with errors that name file and line."""

import os
import tracemalloc
from pathlib import Path

import pytest

from melanoma_pl.data.labelled_images import LabelledImages, list_split
from melanoma_pl.data.metadata import find_metadata, read_groups, read_table
from melanoma_pl.errors import UserError


@pytest.fixture
def images(image_folder: Path) -> LabelledImages:
    return list_split(image_folder, "train")


def test_groups_are_joined_by_path(images: LabelledImages, image_folder: Path) -> None:
    groups = read_groups(images.paths, image_folder / "metadata.csv", "image", "group")
    by_path = dict(zip(images.paths, groups, strict=True))
    assert by_path["train/benign/000.png"] == by_path["train/benign/002.png"] == "trainFalse0"
    assert by_path["train/malignant/001.png"] == "trainTrue0"


def test_auto_finds_the_table_beside_the_images(image_folder: Path, tmp_path: Path) -> None:
    assert find_metadata(image_folder, "auto") == image_folder / "metadata.csv"
    assert find_metadata(tmp_path, "auto") is None
    assert find_metadata(image_folder, None) is None
    with pytest.raises(UserError, match="does not exist"):
        find_metadata(image_folder, tmp_path / "nowhere.csv")


def test_wrong_columns(images: LabelledImages, image_folder: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'image'"):
        read_groups(images.paths, image_folder / "metadata.csv", "imag", "group")
    with pytest.raises(UserError, match="did you mean 'group'"):
        read_groups(images.paths, image_folder / "metadata.csv", "image", "groups")


def test_a_row_is_a_mapping_of_its_columns(tmp_path: Path) -> None:
    table = tmp_path / "metadata.csv"
    table.write_text("image,age,sex\na.jpg,50,male\nb.jpg,,\n")
    rows = read_table(table, "image")
    assert rows == {
        "a.jpg": {"image": "a.jpg", "age": "50", "sex": "male"},
        "b.jpg": {"image": "b.jpg", "age": "", "sex": ""},
    }
    assert list(rows["b.jpg"]) == ["image", "age", "sex"] and len(rows["b.jpg"]) == 3
    assert rows["a.jpg"].get("site", "none") == "none" and "age" in rows["a.jpg"]


def test_a_large_table_takes_little_memory(tmp_path: Path) -> None:
    """Sixteen columns, as of a prepared dataset: a dict for each row would take 900 bytes."""
    table, names = tmp_path / "metadata.csv", [f"column {number}" for number in range(15)]
    lines = (",".join([f"train/benign/{row:07d}.jpg", *names]) for row in range(4000))
    table.write_text("\n".join([",".join(["image", *names]), *lines]))
    tracemalloc.start()
    rows = read_table(table, "image")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(rows) == 4000
    assert held / len(rows) < 500


def test_an_image_without_a_row(images: LabelledImages, tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image,group\ntrain/benign/000.png,a\n")
    with pytest.raises(UserError, match="no row for 39 of 40 images"):
        read_groups(images.paths, table, "image", "group")
    groups = read_groups(images.paths, table, "image", "group", without_row="own_group")
    assert len(set(groups)) == 40


def test_unknown_lesions_are_lesions_of_their_own(images: LabelledImages, tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image,group\n" + "".join(f"{path},\n" for path in images.paths))
    groups = read_groups(images.paths, table, "image", "group")
    assert len(set(groups)) == 40


def test_two_rows_of_one_image(images: LabelledImages, tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image,group\na.png,1\na.png,2\n")
    with pytest.raises(UserError, match="line 3: 'a.png' has two rows"):
        read_groups(images.paths, table, "image", "group")


def test_tables_as_spreadsheets_save_them(images: LabelledImages, tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_bytes("image,group\na.png,nævus\n".encode("latin-1"))
    with pytest.raises(UserError, match="save it as CSV UTF-8"):
        read_groups(images.paths, table, "image", "group")
    table.write_text("image,group\na.png\n")
    with pytest.raises(UserError, match="line 2: not as many cells"):
        read_groups(images.paths, table, "image", "group")


def test_blanks_around_a_lesion_do_not_count(images: LabelledImages, tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    cells = ["L1", "L1 ", " L1", " ", "  ", *("" for _ in images.paths[5:])]
    rows = zip(images.paths, cells, strict=True)
    table.write_text("image,group\n" + "".join(f"{path},{cell}\n" for path, cell in rows))
    groups = read_groups(images.paths, table, "image", "group")
    assert groups == ("L1",) * 3 + tuple(f"image:{path}" for path in images.paths[3:])


def test_names_with_backslashes(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image\na\\b.png\nc\\d.png\n")
    assert list(read_table(table, "image")) == ["a/b.png", "c/d.png"]
    assert list(read_table(table, "image", listed={"a\\b.png", "c/d.png"})) == ["a\\b.png", "c/d.png"]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(separator: str, mark: str, tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    lines = (("image", "group", "age"), ("a.png", "L1", "45"), ("b.png", "x,y" if separator != "," else "L2", ""))
    table.write_text(mark + "\n".join(map(separator.join, lines)), encoding="utf-8")
    rows = read_table(table, "image")
    assert [dict(row) for row in rows.values()] == [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    with pytest.raises(UserError, match="has no column 'file' .*available are age, group, image"):
        read_table(table, "file")


def test_names_without_ending(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image\nISIC_1\ntrain/b/ISIC_2\nISIC_3.5\nISIC_9\n")
    listed = {"train/b/ISIC_1.jpg", "train/b/ISIC_2.jpg", "test/b/ISIC_2.jpg", "test/b/ISIC_3.5.png"}
    assert list(read_table(table, "image", listed=listed)) == [
        "train/b/ISIC_1.jpg",
        "train/b/ISIC_2.jpg",
        "test/b/ISIC_3.5.png",
        "ISIC_9",
    ]
    with pytest.raises(UserError, match="line 2: 'ISIC_1' may be test/ISIC_1.png or train/b/ISIC_1.jpg"):
        read_table(table, "image", listed={*listed, "test/ISIC_1.png"})


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_of_files_that_are_not_utf_8(tmp_path: Path) -> None:
    table, name = tmp_path / "m.csv", b"\xff\xe9.png"
    table.write_bytes(b"image,group\n" + name + b",L1\n")
    with pytest.raises(UserError, match="line 2 is not in UTF-8: save it as CSV UTF-8"):
        read_table(table, "image")
    assert list(read_table(table, "image", listed={os.fsdecode(name)})) == [os.fsdecode(name)]
    (tmp_path / os.fsdecode(name)).touch()
    assert list(read_table(table, "image")) == [os.fsdecode(name)]
    table.write_bytes("image\tgroup\n".encode("utf-16"))
    with pytest.raises(UserError, match="is not a CSV table in UTF-8"):
        read_table(table, "image")
