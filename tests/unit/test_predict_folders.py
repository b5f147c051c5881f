"""Images that prediction finds in folders, and the files beside them."""

from pathlib import Path

import pytest

from melanoma_pl.errors import UserError
from melanoma_pl.predict import find_images


def test_files_that_are_not_read_are_counted_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "more/b.JFIF", "more/c.gif", "notes.txt", "more/d.cr2", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images([tmp_path]) == [tmp_path / name for name in ("a.png", "more/b.JFIF", "more/c.gif")]
    assert "2 files are not read as images: .cr2 1, .txt 1 (more/d.cr2, notes.txt)" in capsys.readouterr().err
    find_images([tmp_path / "a.png"])
    assert not capsys.readouterr().err


def test_a_folder_without_images_names_its_files(tmp_path: Path) -> None:
    (tmp_path / "d.cr2").touch()
    with pytest.raises(UserError, match=r"holds no images \(1 file is not read as images: .cr2 1 \(d.cr2\)\)"):
        find_images([tmp_path])
