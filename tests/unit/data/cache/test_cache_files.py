"""`melanoma-data cache`: what is listed, what is removed, and what is left alone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from tests.conftest import SIZE, Command

from melanoma_pl.data import __main__ as data
from melanoma_pl.data.cache.cache_files import CachedDataset, find_cached
from melanoma_pl.data.cache.memory_cache import load_images
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.preprocessing import Preprocessing

CACHE = Path("outputs/cache")
DAY = 24 * 60 * 60
TRAINER = """
import sys
from pathlib import Path
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.cache.memory_cache import load_images
from melanoma_pl.preprocessing import Preprocessing
images = list_split(Path(sys.argv[1]), "train")
loaded = load_images(images, Preprocessing(32), cache_fraction=0, cache_folder=Path("outputs/cache"))
print("loaded", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sets(work_folder: Path, image_folder: Path) -> list[CachedDataset]:
    """The sets of training and test images in the default folder, those of the test images used forty days ago."""
    for split in ("train", "test"):
        load_images(list_split(image_folder, split), Preprocessing(SIZE), cache_fraction=0, cache_folder=CACHE)
    both = sorted(find_cached(CACHE), key=lambda place: -place.read().images)
    for file in both[1].files:
        os.utime(file, (time.time() - 40 * DAY,) * 2)
    return both


@pytest.fixture
def training(sets: list[CachedDataset], image_folder: Path) -> Iterator[None]:
    """Another process that trains on the training images."""
    command = [sys.executable, "-c", TRAINER, str(image_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        yield
        process.communicate("")


def test_what_is_there(sets: list[CachedDataset], image_folder: Path, run_command: Command) -> None:
    sets[0].part.write_bytes(b"of a killed process")
    (CACHE / "0123456789abcdef").mkdir()
    (CACHE / "0123456789abcdef/.pixels.u8.part").write_bytes(b"of a killed process")
    lines = run_command(data.command, "cache", "list").output.splitlines()
    assert len(lines) == 5
    (train,) = [line for line in lines if "40 images" in line]
    assert f"{image_folder}, {SIZE} px" in train
    assert sets[0].folder.name in train
    assert "kB" in train
    assert lines[3].startswith(sets[1].folder.name), "what was used last stands first"
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 40 * DAY)) in lines[3]
    assert any("unfinished" in line for line in lines)
    assert lines[-1].startswith("3 datasets, ")
    assert "in use" not in " ".join(lines)


def test_opening_a_set_is_using_it(sets: list[CachedDataset], image_folder: Path, run_command: Command) -> None:
    load_images(list_split(image_folder, "test"), Preprocessing(SIZE), cache_fraction=0, cache_folder=CACHE)
    assert "nothing to remove" in run_command(data.command, "cache", "clean", "--older-than", "39").output
    assert len(find_cached(CACHE)) == 2


def test_everything_is_removed(sets: list[CachedDataset], run_command: Command) -> None:
    sets[0].part.write_bytes(b"of a killed process")
    result = run_command(data.command, "cache", "clean")
    assert result.code == 0
    assert "kB of 2 datasets in outputs/cache" in result.output
    assert not list(CACHE.iterdir())
    assert "nothing to remove" in run_command(data.command, "cache", "clean").output
    assert "no decoded images are kept" in run_command(data.command, "cache", "list").output


def test_only_what_was_not_used_for_long(sets: list[CachedDataset], run_command: Command) -> None:
    assert "nothing to remove" in run_command(data.command, "cache", "clean", "--older-than", "41").output
    assert "1 dataset " in run_command(data.command, "cache", "clean", "--older-than", "39").output
    assert find_cached(CACHE) == [sets[0]]
    result = run_command(data.command, "cache", "clean", "--older-than", "-1")
    assert result.code == 2
    assert "negative" in result.error


def test_nothing_else_is_removed(sets: list[CachedDataset], run_command: Command) -> None:
    others = [CACHE / "notes.txt", CACHE / "images/train/a.png", sets[0].folder / "mine.txt", CACHE / "other.lock"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert run_command(data.command, "cache", "clean").code == 0
    assert all(path.exists() for path in others)
    assert sum(path.is_file() for path in CACHE.rglob("*")) == len(others)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_what_a_training_uses_stays(sets: list[CachedDataset], training: None, run_command: Command) -> None:
    listed = run_command(data.command, "cache", "list").output
    assert listed.count("in use now") == 1
    result = run_command(data.command, "cache", "clean")
    assert result.code == 2
    assert str(sets[0].folder) in result.error
    assert "another process uses it; freed" in result.error
    assert find_cached(CACHE) == [sets[0]]
    assert sets[0].read().images == 40


def test_what_is_being_written_stays(sets: list[CachedDataset], run_command: Command) -> None:
    with FileLock(CACHE / f"{sets[0].folder.name}.lock"):
        result = run_command(data.command, "cache", "clean")
    assert result.code == 2
    assert "another process uses it" in result.error
    assert sets[0].read().images == 40
    assert run_command(data.command, "cache", "clean").code == 0


def test_the_mapping_alone_keeps_a_set(work_folder: Path, image_folder: Path) -> None:
    loaded = load_images(list_split(image_folder, "test"), Preprocessing(SIZE), cache_fraction=0, cache_folder=CACHE)
    (place,) = find_cached(CACHE)
    assert place.is_used()
    del loaded
    assert not place.is_used()


def test_folders_of_ones_own(sets: list[CachedDataset], work_folder: Path, run_command: Command) -> None:
    CACHE.rename("elsewhere")
    assert "no decoded images are kept" in run_command(data.command, "cache", "list").output
    assert "2 datasets" in run_command(data.command, "cache", "list", "elsewhere").output
    assert run_command(data.command, "cache", "clean", "elsewhere").code == 0
    result = run_command(data.command, "cache", "clean", "nowhere")
    assert result.code == 2
    assert "nowhere does not exist" in result.error


def test_it_is_light(work_folder: Path) -> None:
    code = (
        "import sys\nfrom melanoma_pl.data.__main__ import command\ncommand(sys.argv[1:])\n"
        "print('heavy:', [name for name in ('torch', 'numpy', 'PIL', 'lightning') if name in sys.modules])"
    )
    for action in ("list", "clean"):
        words = [sys.executable, "-c", code, "cache", action]
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "heavy: []" in answer.stdout, answer.stderr
