"""Files that replace others as a whole, and checks that a target can be written."""

import os
from pathlib import Path

import pytest

from melanoma_pl.errors import UserError
from melanoma_pl.files import check_file_target, check_folder_target, replacement, write_atomically


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


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_targets_in_a_read_only_folder_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for check in (check_folder_target, check_file_target):
        with pytest.raises(UserError, match="is not writable"):
            check(tmp_path / "new", "--to new")
