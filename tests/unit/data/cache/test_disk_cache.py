"""Images kept on disk: the bits that memory would hold, written once, whole or not at all, and made anew when stale."""

import hashlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tests.conftest import SIZE, draw_image

from melanoma_pl.data import MoleDataModule, decoding
from melanoma_pl.data.augmentation import Dermoscopy
from melanoma_pl.data.cache import disk_cache
from melanoma_pl.data.cache.cache_files import CachedDataset, find_cached
from melanoma_pl.data.cache.disk_cache import CHECKED, cache_key
from melanoma_pl.data.cache.memory_cache import LoadedImages, load_images
from melanoma_pl.data.decoding import decode_file
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.loader import Batch
from melanoma_pl.errors import UserError
from melanoma_pl.preprocessing import Preprocessing

SMALL = Preprocessing(SIZE)
# another process that loads the images; what it prints is the hash of their pixels
LOADER = """
import hashlib, logging, sys
from pathlib import Path
from melanoma_pl.data.labelled_images import list_split
from melanoma_pl.data.cache.memory_cache import load_images
from melanoma_pl.preprocessing import Preprocessing
{before}
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
images = list_split(Path(sys.argv[1]), "train")
loaded = load_images(images, Preprocessing(32), cache_fraction=0, cache_folder=Path(sys.argv[2]), title="train images")
print(hashlib.sha256(loaded.cache.numpy().tobytes()).hexdigest())
{after}
"""
SLOWLY = """
import time
from melanoma_pl.data import decoding
quick = decoding.decode_file
def decode_file(*arguments):
    print("decoding", flush=True)
    time.sleep(0.2)
    return quick(*arguments)
decoding.decode_file = decode_file
"""


def load(root: Path, cache_folder: Path | None, on_broken: str = "stop", side: int = SIZE) -> LoadedImages:
    images = list_split(root, "train")
    return load_images(images, Preprocessing(side), on_broken, cache_fraction=0, cache_folder=cache_folder)


def only_dataset(folder: Path) -> CachedDataset:
    (found,) = find_cached(folder)
    return found


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from here on."""
    files: list[Path] = []

    def noting(file: Path, preprocessing: Preprocessing) -> object:
        files.append(file)
        return decode_file(file, preprocessing)

    monkeypatch.setattr("melanoma_pl.data.decoding.decode_file", noting)
    monkeypatch.setattr(disk_cache, "decode_file", noting)
    return files


def batches(root: Path, **options: object) -> list[Batch]:
    data = MoleDataModule(root, preprocessing=SMALL, batch_size=8, augmentation=Dermoscopy(), **options)  # type: ignore[arg-type]
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
    return [data.augment(batch) for batch in loader]


@pytest.mark.parametrize("workers", [0, 2, "auto"])
def test_batches_are_those_of_memory_and_of_files(workers: int | str, image_folder: Path, tmp_path: Path) -> None:
    on_disk: dict[str, object] = {"cache_fraction": 0.0, "cache_folder": tmp_path / "cache", "num_workers": workers}
    sources = [{}, {**on_disk, "cache_folder": None}, on_disk, on_disk]  # the last opens what the third wrote
    memory, *others = (batches(image_folder, **options) for options in sources)
    assert len(memory) == 4
    for other in others:
        for one, two in zip(memory, other, strict=True):
            assert all(torch.equal(part, twin) for part, twin in zip(one, two, strict=True))
    assert len(find_cached(tmp_path / "cache")) == 1


def test_a_dataset_that_is_moved_away_can_still_be_read(image_folder: Path, tmp_path: Path) -> None:
    loaded = load(image_folder, tmp_path / "cache")
    expected = loaded.pixels(torch.arange(40))
    (tmp_path / "cache").rename(tmp_path / "moved")
    assert torch.equal(loaded.pixels(torch.arange(40)), expected)


def test_no_workers_are_needed(image_folder: Path, tmp_path: Path) -> None:
    data = MoleDataModule(image_folder, preprocessing=SMALL, batch_size=8, cache_fraction=0, cache_folder=tmp_path)
    assert data.train_dataloader().num_workers == 0


def test_a_second_start_decodes_a_few_images_only(image_folder: Path, tmp_path: Path, decoded: list[Path]) -> None:
    first = load(image_folder, tmp_path)
    assert len(decoded) == 40
    decoded.clear()
    second = load(image_folder, tmp_path)
    assert len(decoded) == CHECKED
    assert first.cache is not None
    assert second.cache is not None
    assert torch.equal(first.cache, second.cache)
    assert second.sha256 == first.sha256
    assert second.fingerprint() == first.fingerprint()
    assert second.images.paths == first.images.paths


def test_pixels_fit_memory_and_no_disk_is_used(image_folder: Path, tmp_path: Path) -> None:
    load_images(list_split(image_folder, "train"), SMALL, cache_folder=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_broken_images_are_remembered(own_image_folder: Path, tmp_path: Path, decoded: list[Path]) -> None:
    (own_image_folder / "train/benign/000.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="1 of 40 images cannot be read"):
        load(own_image_folder, tmp_path / "cache")
    decoded.clear()
    loaded = load(own_image_folder, tmp_path / "cache", "skip")
    assert len(decoded) == CHECKED + 1, "the broken one is tried again"
    assert list(loaded.broken) == ["train/benign/000.png"]
    assert "format" in loaded.broken["train/benign/000.png"]
    in_memory = load_images(list_split(own_image_folder, "train"), SMALL, "skip")
    assert loaded.sha256 == in_memory.sha256
    assert loaded.images.paths == in_memory.images.paths
    assert torch.equal(loaded.pixels(torch.arange(39)), in_memory.pixels(torch.arange(39)))


def test_nothing_but_broken_images(own_image_folder: Path, tmp_path: Path) -> None:
    for path in own_image_folder.glob("train/*/*.png"):
        path.write_bytes(b"broken")
    for _ in range(2):
        with pytest.raises(UserError, match="40 of 40 images cannot be read"):
            load(own_image_folder, tmp_path / "cache", "skip")


def test_an_image_that_can_be_read_again_is_no_longer_broken(own_image_folder: Path, tmp_path: Path) -> None:
    """A link that leads to a file again: neither its size nor its time of change tell."""
    image = own_image_folder / "train/benign/000.png"
    content, times = image.read_bytes(), image.stat()
    image.write_bytes(b"x" * len(content))
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(load(own_image_folder, tmp_path / "cache", "skip").images) == 39
    image.write_bytes(content)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert len(load(own_image_folder, tmp_path / "cache", "skip").images) == 40


def test_a_changed_image_makes_another_dataset(own_image_folder: Path, tmp_path: Path) -> None:
    before = load(own_image_folder, tmp_path / "cache")
    draw_image(own_image_folder / "train/benign/000.png", malignant=True, seed=77)
    after = load(own_image_folder, tmp_path / "cache")
    assert len(find_cached(tmp_path / "cache")) == 2
    assert after.fingerprint() != before.fingerprint()
    assert not torch.equal(after.pixels(torch.tensor([0])), before.pixels(torch.tensor([0])))


def test_the_key_depends_on_all_that_decides_the_pixels(
    own_image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = list_split(own_image_folder, "train")
    keys = {cache_key(images, SMALL), cache_key(images, Preprocessing(SIZE + 1)), cache_key(images.take([1, 0]), SMALL)}
    assert cache_key(images, Preprocessing.imagenet(SIZE)) in keys, "scaling comes after decoding"
    os.utime(images.files[0], ns=(0, 0))
    keys.add(cache_key(images, SMALL))
    images.files[0].unlink()
    keys.add(cache_key(images, SMALL))
    monkeypatch.setattr("PIL.__version__", "0.1")
    keys.add(cache_key(images, SMALL))
    assert len(keys) == 6


def test_a_moved_folder_keeps_its_dataset(own_image_folder: Path, tmp_path: Path, decoded: list[Path]) -> None:
    load(own_image_folder, tmp_path / "cache")
    decoded.clear()
    load(own_image_folder.rename(tmp_path / "moved"), tmp_path / "cache")
    assert len(decoded) == CHECKED


def other_pixels(cached: CachedDataset) -> None:
    cached.pixels.write_bytes(bytes(cached.pixels.stat().st_size))


def cut_pixels(cached: CachedDataset) -> None:
    cached.pixels.write_bytes(cached.pixels.read_bytes()[:-1])


def no_pixels(cached: CachedDataset) -> None:
    cached.pixels.unlink()


def cut_record(cached: CachedDataset) -> None:
    cached.record.write_bytes(cached.record.read_bytes()[:-20])


def empty_record(cached: CachedDataset) -> None:
    cached.record.write_text("[]")


def other_format(cached: CachedDataset) -> None:
    cached.record.write_text(json.dumps({**json.loads(cached.record.read_text()), "format": 0}))


def other_content(cached: CachedDataset) -> None:
    record = json.loads(cached.record.read_text())
    cached.record.write_text(json.dumps({**record, "sha256": ["0" * 64] * len(record["sha256"])}))


def other_images(cached: CachedDataset) -> None:
    record = json.loads(cached.record.read_text())
    cached.record.write_text(json.dumps({**record, "broken": {"train/benign/000.png": "it was"}}))


DAMAGES = [other_pixels, cut_pixels, no_pixels, cut_record, empty_record, other_format, other_content, other_images]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_dataset_is_made_anew(
    damage: Callable[[CachedDataset], None],
    image_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    decoded: list[Path],
) -> None:
    expected = load(image_folder, tmp_path).pixels(torch.arange(40))
    damage(only_dataset(tmp_path))
    again = load(image_folder, tmp_path)
    assert torch.equal(again.pixels(torch.arange(40)), expected)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "cannot be used" in warning.getMessage()
    assert "decoded anew" in warning.getMessage()
    decoded.clear()
    load(image_folder, tmp_path)
    assert len(decoded) == CHECKED, "the new one is whole"


def test_an_image_that_changed_unnoticed_is_seen(own_image_folder: Path, tmp_path: Path) -> None:
    load(own_image_folder, tmp_path / "cache")
    image = own_image_folder / "train/benign/000.png"
    size, times = image.stat().st_size, image.stat()
    draw_image(image, malignant=True, seed=78)
    image.write_bytes(image.read_bytes()[:size].ljust(size, b"\0"))
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    in_memory = load_images(list_split(own_image_folder, "train"), SMALL, "skip")
    again = load(own_image_folder, tmp_path / "cache", "skip")
    assert again.sha256 == in_memory.sha256
    assert len(find_cached(tmp_path / "cache")) == 1


def fill_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(disk_cache.shutil, "disk_usage", lambda cached: SimpleNamespace(free=free))


def test_files_are_read_again_if_the_disk_lacks_room(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill_disk(monkeypatch, 40 * 3 * SIZE * SIZE)  # for the pixels, and nothing else
    loaded = load(image_folder, tmp_path)
    assert loaded.cache is None
    in_memory = load_images(list_split(image_folder, "train"), SMALL)
    assert torch.equal(loaded.pixels(torch.arange(40)), in_memory.pixels(torch.arange(40)))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "0.54 GB are missing" in warning
    assert "data.cache_folder" in warning
    assert "\n" not in warning
    assert not any(cached.size for cached in find_cached(tmp_path))
    fill_disk(monkeypatch, 2**40)
    assert load(image_folder, tmp_path).cache is not None


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
def test_a_disk_that_fills_up_meanwhile(image_folder: Path, tmp_path: Path) -> None:
    limit = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))"
    )
    code = LOADER.format(before=limit, after="").replace("print(", "print(loaded.cache) #")
    answer = subprocess.run(
        [sys.executable, "-c", code, str(image_folder), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "no room for" in answer.stdout
    assert answer.stdout.splitlines()[-1] == "None"
    assert not any(cached.size for cached in find_cached(tmp_path))


@pytest.mark.parametrize("location", ["a file", "below a file"])
def test_a_folder_that_cannot_be_made(location: str, image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" if location == "a file" else tmp_path / "file/cache"
    with pytest.raises(UserError, match=r"data\.cache_folder=.* cannot be written to"):
        load(image_folder, folder)


def start(root: Path, cache: Path, before: str = "", after: str = "") -> subprocess.Popen[str]:
    code = LOADER.format(before=before, after=after)
    command = [sys.executable, "-c", code, str(root), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_two_processes_at_once(image_folder: Path, tmp_path: Path) -> None:
    both = [start(image_folder, tmp_path, SLOWLY) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    builders = [answer for answer in answers if "kept in" in answer]
    waiters = [answer for answer in answers if "taken from" in answer]
    assert len(builders) == len(waiters) == 1, answers
    assert "waiting for it" in waiters[0]
    assert waiters[0].count("decoding") <= CHECKED
    expected = load(image_folder, tmp_path).cache
    assert expected is not None
    assert len({answer.splitlines()[-1] for answer in answers}) == 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_while_building(image_folder: Path, tmp_path: Path) -> None:
    process = start(image_folder, tmp_path, SLOWLY)
    assert process.stdout is not None
    while not (
        parts := [cached for cached in find_cached(tmp_path) if cached.part.exists() and cached.part.stat().st_size]
    ):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert parts[0].part.exists(), "what a killed process leaves"
    assert not parts[0].pixels.exists()
    assert not parts[0].record.exists()
    again = load(image_folder, tmp_path)
    in_memory = load_images(list_split(image_folder, "train"), SMALL)
    assert torch.equal(again.pixels(torch.arange(40)), in_memory.pixels(torch.arange(40)))
    assert not parts[0].part.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killed_at_random_moments(image_folder: Path, tmp_path: Path) -> None:
    before = f"{SLOWLY}\nfrom melanoma_pl.data.cache import cache_files\ncache_files.FLUSHED = 4"
    generator = random.Random(0)
    for _ in range(3):
        process = start(image_folder, tmp_path, before)
        assert process.stdout is not None
        for _ in range(generator.randint(5, 12)):  # images; all three together are not enough
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    answer, _ = start(image_folder, tmp_path, before).communicate(timeout=120)
    assert "an earlier process left" in answer
    in_memory = load_images(list_split(image_folder, "train"), Preprocessing(32)).cache
    assert in_memory is not None
    assert answer.splitlines()[-1] == hashlib.sha256(in_memory.numpy().tobytes()).hexdigest()


def test_what_was_decoded_before_an_interruption_is_not_decoded_again(
    own_image_folder: Path,
    tmp_path: Path,
    decoded: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("melanoma_pl.data.cache.cache_files.FLUSHED", 4)
    files = list_split(own_image_folder, "train").files
    files[3].write_bytes(b"broken")
    whole = load(own_image_folder, tmp_path / "whole", "skip")
    assert whole.cache is not None
    struck = decoding.decode_file

    def strike(path: Path, preprocessing: Preprocessing) -> object:
        if path == files[30]:
            raise KeyboardInterrupt
        return struck(path, preprocessing)

    monkeypatch.setattr("melanoma_pl.data.decoding.decode_file", strike)
    with pytest.raises(KeyboardInterrupt):
        load(own_image_folder, tmp_path / "cache", "skip")
    left = only_dataset(tmp_path / "cache")
    assert not left.pixels.exists()
    lines = left.progress.read_bytes()
    count = lines.count(b"\n")
    assert count >= 4
    monkeypatch.setattr("melanoma_pl.data.decoding.decode_file", struck)
    for cut in (lines[:-10], lines, lines[:-1] + b"x\n"):  # a line that was cut short, or torn, names no image
        left.progress.write_bytes(cut)
        part = left.part.read_bytes()
        decoded.clear()
        with caplog.at_level(logging.INFO):
            again = load(own_image_folder, tmp_path / "cache", "skip")
        assert len(decoded) <= 40 - count + 1 + CHECKED + 1
        assert f"{count - (cut != lines)} of 40" in caplog.text
        assert again.cache is not None
        assert torch.equal(again.cache, whole.cache)
        assert (again.sha256, again.broken) == (whole.sha256, whole.broken)
        assert not left.progress.exists() and not left.part.exists()
        left.record.unlink()
        left.part.write_bytes(part)


@pytest.mark.parametrize("damage", ["other pixels", "no pixels", "other images"])
def test_a_rest_that_does_not_fit_is_decoded_anew(
    damage: str, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load(image_folder, tmp_path)
    assert whole.cache is not None
    cached = only_dataset(tmp_path)
    names = [json.dumps(each) + "\n" for each in whole.sha256[:20]]
    pixels = cached.pixels.read_bytes()
    cached.part.write_bytes(
        b"" if damage == "no pixels" else pixels if damage == "other images" else bytes(len(pixels))
    )
    cached.progress.write_text("".join(names * 3 if damage == "other images" else names))
    cached.record.unlink()
    again = load(image_folder, tmp_path)
    assert again.cache is not None
    assert torch.equal(again.cache, whole.cache)
    assert again.sha256 == whole.sha256


def test_an_error_leaves_nothing(image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decoding, "read_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load(image_folder, tmp_path)
    assert only_dataset(tmp_path).size == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_mapped_pixels_are_not_the_process_s_own_memory(tmp_path: Path) -> None:
    """A file larger than the machine's memory: it is mapped, and what is read of it belongs to the system's cache."""

    def own_memory() -> int:
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
        return int(line.split()[1]) * 1024

    side, read = 1000, 100
    images = 2 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (3 * side * side)
    with (tmp_path / "pixels.u8").open("wb") as file:
        file.truncate(images * 3 * side * side)  # all holes: it takes no room
    before = own_memory()
    mapped = disk_cache._map(tmp_path / "pixels.u8", images, side)
    assert mapped.shape == (images, side, side, 3)
    assert int(mapped[:read].max()) == 0
    assert own_memory() - before < read * 3 * side * side / 2
