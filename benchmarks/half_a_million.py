"""Measure how preparing, decoding, training, evaluation and audit grow up to the size of ISIC 2024.

python -m benchmarks.half_a_million grow FOLDER --images 10000,40000,400000
python -m benchmarks.half_a_million kills FOLDER --images 1000 --kills 20
python -m benchmarks.half_a_million stores FOLDER --images 40000            # after grow

`grow` draws downloads (`benchmarks.drawn_isic2024`) and runs the commands on each, each in a process of its own, whose
largest memory the system tells. Seconds are given twice: by the clock, and as the processor's, which other work on the
machine changes far less. `kills` kills the writing of the cache and of the prepared folder at random moments, up to
three times before it may end, and compares them with undisturbed ones. Needs h5py; `kills` needs Linux.
"""

import argparse
import hashlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.drawn_isic2024 import write_download
from benchmarks.machine import describe

SIDE = 64  # pixels of the network's input
TRAINING = [
    "data=folder", f"data.image_size={SIDE}", "data.group_column=group", "data.sampler=balanced",
    "data.cache_fraction=0", "data.batch_size=16", "trainer.max_epochs=1", "trainer=cpu", "report=numbers",
    "test=false", "augmentation=dihedral",
]  # fmt: skip


class Cost(NamedTuple):
    """What a process cost: seconds by the clock and of the processor, and its largest memory in MB."""

    seconds: float
    processor: float
    memory: float


def measured(*words: str) -> Cost:
    """Run a Python module in a process of its own and return what it cost.

    Raises:
        SystemExit: If it fails, with its output.
    """
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    output = process.stdout.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):  # an audit that finds something answers 1
        sys.exit(f"{' '.join(words)}\n{output}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def size_of(*paths: Path) -> float:
    """Return the room that files and folders take on the disk in MB."""
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return sum(512 * file.stat().st_blocks for file in files) / 1e6


def grow(folder: Path, numbers: Sequence[int], parts: Sequence[str]) -> None:
    """Measure every part at each number of images, and print a row for each."""
    print(f"{describe()}; {SIDE}×{SIDE} pixels\n")
    print(f"| {'images':>7} | {'part':<12} | seconds | of the processor | memory, MB | disk, MB |")
    print("|---|---|---|---|---|---|")
    for number in numbers:
        home = folder / str(number)
        if not (home / "download/train-metadata.csv").is_file():
            write_download(home / "download", number)
        for name, cost, disk in rows_of(home, parts):
            print(
                f"| {number:>7,} | {name:<12} | {cost.seconds:.0f} | {cost.processor:.0f} | {cost.memory:,.0f} | ",
                end="",
            )
            print(f"{disk:,.1f} |", flush=True)


def rows_of(home: Path, parts: Sequence[str]) -> Iterator[tuple[str, Cost, float]]:
    """Run the parts in order, and yield the name, the cost, and the room on the disk of what each made."""
    ready, cache, run = home / "ready", home / "cache", home / "run"
    words = [*TRAINING, f"data.root={ready}", f"data.cache_folder={cache}", f"hydra.run.dir={run}"]
    steps: dict[str, tuple[Path, Callable[[], list[str]]]] = {
        "prepare": (ready, lambda: ["melanoma_pl.data", "prepare", "isic2024", str(home / "download"), str(ready)]),
        "cache": (cache, lambda: ["benchmarks.half_a_million", "cache", str(ready), "--to", str(cache)]),
        "train": (run, lambda: ["melanoma_pl.train", *words]),
        "evaluate": (run / "report", lambda: ["melanoma_pl.evaluate", f"run={run}"]),
        "audit": (home / "audit", lambda: ["melanoma_pl.data", "audit", str(ready), "--report", str(home / "audit")]),
    }
    for name in parts:
        made, command = steps[name]
        shutil.rmtree(made, ignore_errors=True)
        cost = measured(*command())
        yield name, cost, size_of(made)


def write_cache(root: Path, folder: Path) -> None:
    """Decode the training and the test images into the cache on disk, as a training does first."""
    from melanoma_pl.data import MoleDataModule
    from melanoma_pl.preprocessing import Preprocessing

    data = MoleDataModule(root, preprocessing=Preprocessing(SIDE), cache_fraction=0, cache_folder=folder)
    for split in ("train", "test"):
        data.load(split)


def stores(home: Path) -> None:
    """Read all images as files in folders, as files in one folder (hard links), and from the HDF5 file."""
    import h5py

    flat = home / "flat"
    flat.mkdir(exist_ok=True)
    for file in (home / "ready").rglob("*.jpg"):
        if not (flat / file.name).exists():
            os.link(file, flat / file.name)

    def files(folder: Path) -> int:
        return sum(len(Path(top, name).read_bytes()) for top, _, names in os.walk(folder) for name in sorted(names))

    def hdf5() -> int:
        with h5py.File(home / "download/train-image.hdf5") as archive:
            return sum(len(archive[name][()].tobytes()) for name in archive)

    readers = {"folders": lambda: files(home / "ready"), "one folder": lambda: files(flat), "HDF5": hdf5}
    for name, read in [*readers.items(), *readers.items()]:  # the second time from the system's own cache
        began, processor = time.perf_counter(), time.process_time()
        read()
        print(f"{name}: {time.perf_counter() - began:.1f} s, {time.process_time() - processor:.1f} s of the processor")
    shutil.rmtree(flat)


def kills(folder: Path, count: int, images: int, seed: int) -> int:
    """Kill both writers at random moments, and return how many tries ended with other files than undisturbed ones."""
    download, generator = folder / "download", random.Random(seed)
    if not (download / "train-metadata.csv").is_file():
        write_download(download, images)
    whole, ready = folder / "whole", folder / "whole/ready"
    shutil.rmtree(whole, ignore_errors=True)
    writers: dict[str, Callable[[Path], list[str]]] = {
        "ready": lambda home: ["melanoma_pl.data", "prepare", "isic2024", str(download), str(home / "ready")],
        "cache": lambda home: ["benchmarks.half_a_million", "cache", str(ready), "--to", str(home / "cache")],
    }
    failed = 0
    for name, words in writers.items():
        seconds = measured(*words(whole)).seconds
        expected, strikes, tries = contents(whole / name), 0, 0
        while strikes < count:
            home = folder / "struck"
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            for _ in range(generator.randint(1, 3)):
                if not was_killed(words(home), generator.uniform(0.3, 1) * seconds):
                    break
                strikes += 1
            else:
                measured(*words(home))
            tries += 1
            failed += contents(home / name) != expected
        print(f"{name}: {tries} tries with {strikes} kills; {failed} differ from an undisturbed one", flush=True)
    return failed


def was_killed(words: Sequence[str], seconds: float) -> bool:
    """Run a Python module for some seconds, and return whether it had to be killed."""
    command = [sys.executable, "-m", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of each file, without locks."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".lock"]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("grow", "kills", "stores", "cache"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", default="10000,40000,400000", help="numbers of images, separated by commas")
    parser.add_argument("--parts", default="prepare,cache,train,evaluate,audit")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, help="folder of the cache")
    chosen = parser.parse_args()
    numbers = [int(number) for number in chosen.images.split(",")]
    if chosen.part == "cache":
        write_cache(chosen.folder, chosen.to)
        return 0
    if chosen.part == "stores":
        for number in numbers:
            stores(chosen.folder / str(number))
        return 0
    if chosen.part == "kills":
        return int(kills(chosen.folder, chosen.kills, numbers[0], chosen.seed) > 0)
    grow(chosen.folder, numbers, chosen.parts.split(","))
    return 0


if __name__ == "__main__":
    sys.exit(main())
