"""Files that replace others as a whole, and checks that a target can be written."""

import csv
import os
from pathlib import Path

import pytest

from melanoma_pl.errors import RunStopped, UserError
from melanoma_pl.files import (
    TableReader,
    TableWriter,
    check_file_target,
    check_folder_target,
    new_folder,
    replacement,
    write_atomically,
)


def test_a_file_is_replaced_only_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("before")
    with write_atomically(path) as file:
        file.write("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    with pytest.raises(RuntimeError), replacement(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


NAMES = ("=1+1.jpg", "@a/b.jpg", "-x", "+x", "\tx", "'=x", "''-x", "'x", "x'", "a=b", "", "-", "=\n1", "ähm, ja")
NUMBERS = ("-1", "-1.5e-3", "+2", 3, -0.25)


def test_a_spreadsheet_computes_no_name_and_the_table_returns_every_name(tmp_path: Path) -> None:
    columns = ["image", "=header", "number"]
    rows = [{"image": name, "=header": "@label", "number": number} for name in NAMES for number in NUMBERS]
    with write_atomically(tmp_path / "table.csv") as file:
        writer = TableWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert all(cell[:1] not in tuple("=+-@\t") for cell in cells if cell not in {"-", *map(str, NUMBERS)})
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        reader = TableReader(file)
        assert reader.fieldnames == columns
        assert list(reader) == [{**row, "number": str(row["number"])} for row in rows]


def test_an_empty_table_has_no_columns(tmp_path: Path) -> None:
    (tmp_path / "table.csv").touch()
    with (tmp_path / "table.csv").open(newline="") as file:
        reader = TableReader(file)
        assert (reader.fieldnames, list(reader)) == (None, [])


def test_a_new_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a/b/new"
    with new_folder(target) as folder:
        (folder / "file").write_text("whole")
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["new"]
    assert (target / "file").read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError, RunStopped(2)])
def test_a_new_folder_that_fails_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises((ValueError, RunStopped)), new_folder(tmp_path / "a/b/new") as folder:
        (folder / "file").write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_a_new_folder_replaces_nothing_that_has_appeared_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), new_folder(tmp_path / "new"):
        (tmp_path / "new").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_targets_that_can_be_written_are_not_made(tmp_path: Path) -> None:
    check_folder_target(tmp_path / "a/b", "--report a/b")
    check_folder_target(tmp_path, "--report .")
    check_file_target(tmp_path / "new.csv", "--csv new.csv")
    assert not list(tmp_path.iterdir())


def test_targets_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file/below/it", ""):
        with pytest.raises(UserError, match=r"^output=x (cannot be made|names no folder)"):
            check_folder_target(folder, "output=x")
    for file, expected in ((tmp_path, "is a folder"), (tmp_path / "no/file.csv", "does not exist")):
        with pytest.raises(UserError, match=rf"^--csv x.* {expected}"):
            check_file_target(file, "--csv x")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that only seems writable")
def test_targets_that_only_seem_writable_and_too_long_names_are_refused(tmp_path: Path) -> None:
    for folder in ("/proc/a/b", "/proc", tmp_path / ("x" * 300) / "b"):
        with pytest.raises(UserError, match=r"^--report x cannot be written \("):
            check_folder_target(folder, "--report x")
    for file in (Path("/proc/a.csv"), tmp_path / ("x" * 300), tmp_path / ("x" * 252)):
        with pytest.raises(UserError, match=r"^--csv x cannot be written \("):
            check_file_target(file, "--csv x")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_targets_in_a_read_only_folder_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for check in (check_folder_target, check_file_target):
        with pytest.raises(UserError, match="cannot be written"):
            check(tmp_path / "new", "--to new")
