"""Measure the input pipeline: decoding, batches, and a dataset that does not fit into memory.

python -m benchmarks.input reading
python -m benchmarks.input loader FOLDER --images 4000
python -m benchmarks.input images FOLDER --images 100000     # writes them; an interrupted run continues
python -m benchmarks.input cache FOLDER                      # the first time writes the cache, the second opens it

FOLDER is created; it holds the images and `cache/`. Delete it afterwards.
"""

import argparse
import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import describe
from melanoma_pl.data.cache.cache_files import find_cached
from melanoma_pl.data.cache.memory_cache import LoadedImages, load_images
from melanoma_pl.data.decoding import decode_file
from melanoma_pl.data.labelled_images import LabelledImages, list_split
from melanoma_pl.data.loader import ImageBatches, ResumableLoader
from melanoma_pl.data.order import EpochBatches
from melanoma_pl.data.synthetic.mole_drawing import draw_image
from melanoma_pl.data.synthetic.synthetic_images import JPEG_QUALITY, draw_mole
from melanoma_pl.inference.hardware import keep_freed_memory
from melanoma_pl.preprocessing import Preprocessing

SIZES = ((224, 224), (600, 450), (1024, 768), (6000, 4000))  # pixels
FILES = 6  # of each size, read repeatedly and so from the page cache
SECONDS, ROUNDS = 0.8, 5  # a figure by size is a median of rounds in turn, so that drift affects all alike
DRAWN = 300  # moles that the many images are made from
TURNS = tuple(Image.Transpose)  # seven, and the image itself
BATCH = 128  # images
PREPROCESSING = Preprocessing()

Pixels = NDArray[np.uint8]


def draw(number: int, size: int = 224) -> Pixels:
    return draw_image(draw_mole(number % 2 == 1, 0, number), 0, number, size)


def rate(work: Callable[[Path], object], files: list[Path], threads: int) -> float:
    """Return the files a second that a pool of threads processes."""
    done, began = 0, time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        while (elapsed := time.perf_counter() - began) < SECONDS:
            done += len(list(pool.map(work, files)))
    return done / elapsed


def decode(file: Path) -> object:
    return decode_file(file, PREPROCESSING)


def decode_in_full(file: Path) -> object:
    """Decode without Pillow's draft mode, in which libjpeg decodes at a reduced size."""
    with Image.open(io.BytesIO(file.read_bytes())) as image:
        return PREPROCESSING.to_pixels(image)


def reading(folder: Path) -> None:
    """Print images a second by size: read only, decoded to 224×224 at a reduced size, and in full."""
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{'images':<12}{'kB':>7}{'':>4}{'read':>10}{'decoded':>10}{'decoded':>10}{'in full':>10}{'in full':>10}")
    print(f"{'threads':<12}{'':>7}{'':>4}{1:>10}{1:>10}{2:>10}{1:>10}{2:>10}")
    for size in SIZES:
        files = [folder / f"{size[0]}_{number}.jpg" for number in range(FILES)]
        for number, file in enumerate(files):
            Image.fromarray(draw(number, 1024)).resize(size).save(file, quality=JPEG_QUALITY)
        kilobytes = sum(file.stat().st_size for file in files) / FILES / 1000
        ways = [(Path.read_bytes, 1), (decode, 1), (decode, 2), (decode_in_full, 1), (decode_in_full, 2)]
        rounds = [[rate(work, files, threads) for work, threads in ways] for _ in range(ROUNDS)]
        figures = [median(column) for column in zip(*rounds, strict=True)]
        print(f"{size[0]}×{size[1]:<7}{kilobytes:>7.0f}{'':>4}" + "".join(f"{figure:>10,.0f}" for figure in figures))
        for file in files:
            file.unlink()


def write_many(folder: Path, images: int, seconds: float) -> bool:
    """Write distinct images, made by rotating and tinting a few drawings; return whether all of them exist."""
    began = time.perf_counter()
    bases = [Image.fromarray(draw(number)) for number in range(DRAWN)]
    print(f"drawing {DRAWN} moles took {time.perf_counter() - began:.1f} s")
    for name in ("benign", "malignant"):
        (folder / "train" / name).mkdir(parents=True, exist_ok=True)
    began, written = time.perf_counter(), 0
    for number in range(images):
        path = folder / "train" / ("malignant" if number % 2 else "benign") / f"{number:07}.jpg"
        if path.exists():
            continue
        content = io.BytesIO()
        change(bases[number % DRAWN], number // DRAWN).save(content, "JPEG", quality=JPEG_QUALITY)
        part = path.with_suffix(".part")
        part.write_bytes(content.getvalue())
        part.rename(path)
        written += 1
        if time.perf_counter() - began > seconds:
            print(f"{written} images written, {written / seconds:.0f} a second; {number + 1} exist: run it again")
            return False
    print(f"{written} images written in {time.perf_counter() - began:.0f} s: all {images} exist")
    return True


def change(image: Image.Image, number: int) -> Image.Image:
    """Return an image rotated and tinted in a different way for each number below 8 · 729."""
    number, turn = divmod(number, len(TURNS) + 1)
    turned = image.transpose(TURNS[turn]) if turn < len(TURNS) else image
    levels = [0.8 + 0.04 * (number // 9**channel % 9) for channel in range(3)]
    return turned.point([min(255, round(level * gain)) for gain in levels for level in range(256)])


def loader(folder: Path, images: int) -> None:
    """Print the images a second that the training loader yields, by storage."""
    if not write_many(folder, images, seconds=200):
        return
    listed = list_split(folder, "train")
    on_disk = load(listed, 0.0, folder / "cache")
    print(f"{'batches of 128 from':<34}{'images/s, each epoch':>28}{'read from disk':>18}")
    show_epochs("memory", load(listed, 0.5), 0)
    show_epochs("the cache on disk, in the page cache", on_disk, 0)
    del on_disk  # mapped pages cannot be dropped
    for _ in range(2):
        drop_pages(folder / "cache")
        show_epochs("the cache on disk, dropped before", load(listed, 0.0, folder / "cache"), 0, epochs=1)
    for workers in (0, 2):
        show_epochs(f"files, {workers} workers", load(listed, 0.0), workers)


def load(listed: LabelledImages, cache_fraction: float, cache_folder: Path | None = None) -> LoadedImages:
    return load_images(listed, PREPROCESSING, cache_fraction=cache_fraction, cache_folder=cache_folder)


def show_epochs(name: str, loaded: LoadedImages, workers: int, epochs: int = 3) -> None:
    before, rates = bytes_read(), []
    dataset = ImageBatches(loaded, torch.arange(len(loaded.images)))
    batches = EpochBatches(len(dataset), BATCH, seed=0)
    source = ResumableLoader(dataset, batches, workers)
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        began = time.perf_counter()
        count = sum(len(batch.pixels) for batch in source)
        rates.append(count / (time.perf_counter() - began))
    text = ", ".join(f"{figure:,.0f}" for figure in rates)
    print(f"{name:<38}{text:>24}{(bytes_read() - before) / 1e9:>15.2f} GB", flush=True)


def drop_pages(cache: Path) -> None:
    """Ask the system to drop the cache files from the page cache, which is all an ordinary user can do."""
    for cached in find_cached(cache):
        with cached.pixels.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cache(folder: Path, epochs: int, cold: bool) -> None:
    """Open or write the cache of many images, then run epochs, and print time and memory."""
    keep_freed_memory()  # as in training
    if cold:
        drop_pages(folder / "cache")
    began = time.perf_counter()
    listed = list_split(folder, "train")
    print(f"{len(listed)} images listed in {time.perf_counter() - began:.1f} s; {memory()}")
    began = time.perf_counter()
    loaded = load(listed, 0.0, folder / "cache")
    size = sum(cached.size for cached in find_cached(folder / "cache"))
    print(f"cache of {size / 1e9:.2f} GB ready after {time.perf_counter() - began:.1f} s; {memory()}", flush=True)
    for epoch in range(epochs):
        show_epochs(f"epoch {epoch + 1}", loaded, 0, epochs=1)
        print(f"    {memory()}", flush=True)


def memory() -> str:
    """Return the process's own memory and the part of the page cache that it maps, as text."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines() if line.endswith("kB"))
    kilobytes = {words[0].rstrip(":"): int(words[1]) for words in lines}
    own, mapped = kilobytes["RssAnon"] / 1e6, kilobytes["RssFile"] / 1e6
    return f"own memory {own:.2f} GB, mapped from the page cache {mapped:.2f} GB"


def bytes_read() -> int:
    """Return the bytes that the system has read from disk for this process."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("read_bytes")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("reading", "loader", "images", "cache"))
    parser.add_argument("folder", nargs="?", type=Path, default=Path("outputs/benchmarks/input"))
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=200, help="to write images for (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--cold", action="store_true", help="drop the cache files from the page cache first")
    chosen = parser.parse_args()
    print(describe())
    if chosen.which == "reading":
        reading(chosen.folder)
    elif chosen.which == "loader":
        loader(chosen.folder, chosen.images)
    elif chosen.which == "images":
        write_many(chosen.folder, chosen.images, chosen.seconds)
    else:
        cache(chosen.folder, chosen.epochs, chosen.cold)


if __name__ == "__main__":
    main()
