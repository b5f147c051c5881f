"""Pipes, devices and other things among the images that no one can read as a file."""

import os
import time
from pathlib import Path

import pytest

from melanoma_pl import image_files
from melanoma_pl.data.__main__ import command
from melanoma_pl.image_files import BrokenImageError, open_image, read_file
from tests.conftest import Command, draw_image

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def test_what_is_not_a_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    draw_image(tmp_path / "image.png", malignant=False, seed=0)
    for name in ("pipe", "device", "folder"):
        for read in (read_file, lambda file: open_image(file).__enter__()):
            with pytest.raises(BrokenImageError, match="not a file"):
                read(tmp_path / f"{name}.png")
    assert len(read_file(tmp_path / "image.png")) == (tmp_path / "image.png").stat().st_size
    monkeypatch.setattr(image_files, "LARGEST_FILE", 100)
    with pytest.raises(BrokenImageError, match="more than any image takes"):
        read_file(tmp_path / "image.png")


@pytest.mark.parametrize("arguments", [["audit", "images"], ["split", "images", "new"], ["card", "images"]])
def test_no_command_waits_for_a_pipe(own_image_folder: Path, run_command: Command, arguments: list[str]) -> None:
    os.mkfifo(own_image_folder / "train/benign/pipe.png")
    began = time.monotonic()
    result = run_command(command, *arguments)
    assert time.monotonic() - began < 60
    assert "pipe.png" in result.output + result.error or arguments[0] == "card"
