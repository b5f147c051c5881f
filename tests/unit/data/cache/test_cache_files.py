"""`melanoma-data cache`: the datasets that are listed and removed, and the files that stay."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from tests.conftest import SIZE, Command

from melanoma_pl.data import __main__ as data
from melanoma_pl.data.cache import cache_files
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
def datasets(work_folder: Path, image_folder: Path) -> list[CachedDataset]:
    """Cached training and test images in the default folder; the test images were last used forty days ago."""
    for split in ("train", "test"):
        load_images(list_split(image_folder, split), Preprocessing(SIZE), cache_fraction=0, cache_folder=CACHE)
    both = sorted(find_cached(CACHE), key=lambda cached: -cached.read().images)
    for file in both[1].files:
        os.utime(file, (time.time() - 40 * DAY,) * 2)
    return both


@pytest.fixture
def training(datasets: list[CachedDataset], image_folder: Path) -> Iterator[None]:
    """Another process that trains on the training images."""
    command = [sys.executable, "-c", TRAINER, str(image_folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        yield
        process.communicate("")


def test_cached_datasets_are_listed(datasets: list[CachedDataset], image_folder: Path, run_command: Command) -> None:
    datasets[0].part.write_bytes(b"of a killed process")
    (CACHE / "0123456789abcdef").mkdir()
    (CACHE / "0123456789abcdef/.pixels.u8.part").write_bytes(b"of a killed process")
    lines = run_command(data.command, "cache", "list").output.splitlines()
    assert len(lines) == 5
    (train,) = [line for line in lines if "40 images" in line]
    assert f"{image_folder}, {SIZE} px" in train
    assert datasets[0].folder.name in train
    assert "kB" in train
    assert lines[3].startswith(datasets[1].folder.name), "the last used dataset is the first"
    assert time.strftime("%Y-%m-%d", time.localtime(time.time() - 40 * DAY)) in lines[3]
    assert any("unfinished" in line for line in lines)
    assert lines[-1].startswith("3 datasets, ")
    assert "in use" not in " ".join(lines)


def test_opening_a_dataset_counts_as_use(
    datasets: list[CachedDataset], image_folder: Path, run_command: Command
) -> None:
    load_images(list_split(image_folder, "test"), Preprocessing(SIZE), cache_fraction=0, cache_folder=CACHE)
    assert "nothing to remove" in run_command(data.command, "cache", "clean", "--older-than", "39").output
    assert len(find_cached(CACHE)) == 2


def test_everything_is_removed(datasets: list[CachedDataset], run_command: Command) -> None:
    datasets[0].part.write_bytes(b"of a killed process")
    result = run_command(data.command, "cache", "clean")
    assert result.code == 0
    assert "kB of 2 datasets in outputs/cache" in result.output
    assert not list(CACHE.iterdir())
    assert "nothing to remove" in run_command(data.command, "cache", "clean").output
    assert "no decoded images are kept" in run_command(data.command, "cache", "list").output


def test_only_datasets_that_were_not_used_for_long_are_removed(
    datasets: list[CachedDataset], run_command: Command
) -> None:
    assert "nothing to remove" in run_command(data.command, "cache", "clean", "--older-than", "41").output
    assert "1 dataset " in run_command(data.command, "cache", "clean", "--older-than", "39").output
    assert [cached.folder for cached in find_cached(CACHE)] == [datasets[0].folder]
    result = run_command(data.command, "cache", "clean", "--older-than", "-1")
    assert result.code == 2
    assert "negative" in result.error


def test_nothing_else_is_removed(datasets: list[CachedDataset], run_command: Command) -> None:
    others = [CACHE / "notes.txt", CACHE / "images/train/a.png", datasets[0].folder / "mine.txt", CACHE / "other.lock"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert run_command(data.command, "cache", "clean").code == 0
    assert all(path.exists() for path in others)
    assert sum(path.is_file() for path in CACHE.rglob("*")) == len(others)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_a_dataset_in_training_stays(datasets: list[CachedDataset], training: None, run_command: Command) -> None:
    listed = run_command(data.command, "cache", "list").output
    assert listed.count("in use now") == 1
    result = run_command(data.command, "cache", "clean")
    assert result.code == 2
    assert str(datasets[0].folder) in result.error
    assert "another process uses it; freed" in result.error
    assert [cached.folder for cached in find_cached(CACHE)] == [datasets[0].folder]
    assert datasets[0].read().images == 40


def test_a_dataset_that_is_being_written_stays(datasets: list[CachedDataset], run_command: Command) -> None:
    with FileLock(CACHE / f"{datasets[0].folder.name}.lock"):
        result = run_command(data.command, "cache", "clean")
    assert result.code == 2
    assert "another process uses it" in result.error
    assert datasets[0].read().images == 40
    assert run_command(data.command, "cache", "clean").code == 0


def test_a_mapping_alone_keeps_a_dataset(work_folder: Path, image_folder: Path) -> None:
    loaded = load_images(list_split(image_folder, "test"), Preprocessing(SIZE), cache_fraction=0, cache_folder=CACHE)
    (cached,) = find_cached(CACHE)
    assert cached.is_used()
    del loaded
    assert not cached.is_used()


def test_other_folders(datasets: list[CachedDataset], work_folder: Path, run_command: Command) -> None:
    CACHE.rename("elsewhere")
    assert "no decoded images are kept" in run_command(data.command, "cache", "list").output
    assert "2 datasets" in run_command(data.command, "cache", "list", "elsewhere").output
    assert run_command(data.command, "cache", "clean", "elsewhere").code == 0
    result = run_command(data.command, "cache", "clean", "nowhere")
    assert result.code == 2
    assert "nowhere does not exist" in result.error


def test_the_command_imports_nothing_heavy(work_folder: Path) -> None:
    code = (
        "import sys\nfrom melanoma_pl.data.__main__ import command\ncommand(sys.argv[1:])\n"
        "print('heavy:', [name for name in ('torch', 'numpy', 'PIL', 'lightning') if name in sys.modules])"
    )
    for action in ("list", "clean"):
        words = [sys.executable, "-c", code, "cache", action]
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "heavy: []" in answer.stdout, answer.stderr


def test_windows_removes_no_lock_that_is_held(
    datasets: list[CachedDataset], work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_files, "sys", SimpleNamespace(platform="win32"))
    removed: list[str] = []
    unlink = Path.unlink

    def noting(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", noting)
    assert datasets[0].remove()
    assert sorted(removed) == ["pixels.u8", "set.json"]
