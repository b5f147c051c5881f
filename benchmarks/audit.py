"""Measure how many planted copies the audit finds, how many false alarms it raises, and how long it takes.

python -m benchmarks.audit planted images/isic_moles --group-column group
python -m benchmarks.audit parts images/isic_moles --images 100000
python -m benchmarks.audit scale FOLDER --images 2000,20000

`scale` draws images of 64×64 pixels in FOLDER and audits each number of them with `melanoma-data audit`, in a process
of its own. Seconds are given by the clock, and as the processor's, which other work on the machine changes far less.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from scipy.ndimage import affine_transform
from threadpoolctl import threadpool_limits

from benchmarks.half_a_million import Cost, measured
from benchmarks.machine import describe
from melanoma_pl.data.audit.candidates import PER_IMAGE, find_candidates
from melanoma_pl.data.audit.duplicates import BATCH, find_matches
from melanoma_pl.data.audit.registration import confirm
from melanoma_pl.data.audit.scanning import SIDE, Scan, scan
from melanoma_pl.data.labelled_images import LabelledImages, list_images
from melanoma_pl.data.synthetic.synthetic_images import write_images

Change = Callable[[Image.Image], Image.Image]
QUALITY = 90  # JPEG quality of the copies that do not test compression
PAIRS = 10_000  # random pairs of different lesions


def crop(image: Image.Image) -> Image.Image:
    """Return the lower right part, 95 % of width and height: a corner is the hardest crop to find."""
    width, height = image.size
    return image.crop((width - round(0.95 * width), height - round(0.95 * height), width, height))


def halve(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.resize((width // 2, height // 2)).resize((width, height))


CHANGES: dict[str, tuple[Change, int]] = {
    "JPEG quality 50": (lambda image: image, 50),
    "resized to half and back": (halve, QUALITY),
    "mirrored": (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), QUALITY),
    "rotated by 90°": (lambda image: image.transpose(Image.Transpose.ROTATE_90), QUALITY),
    "cropped to 95 %": (crop, QUALITY),
    "10 % brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.1), QUALITY),
}


def planted(root: Path, group_column: str | None, copies: int, seed: int) -> None:
    """Add copies of every kind to the images, audit all of them, and count the copies that were found."""
    listing = list_images(root.resolve())
    groups = groups_of(root, listing, group_column)
    chosen = np.random.default_rng(seed).choice(len(listing), copies, replace=False)
    with TemporaryDirectory() as folder:
        copied = [plant(listing, index, kind, Path(folder)) for kind in CHANGES for index in chosen]
        originals = scan(listing)
        copy_scan = scan(LabelledImages(Path(folder), tuple(copied), ("",) * len(copied), ("",) * len(copied)))
        everything = join(originals, copy_scan)
        with elapsed(f"audit of {len(everything.images)} images, without reading them"):
            found = find_matches(everything)[0]
    pairs = {(match.first, match.second) for match in found}
    print(f"\n{'planted':<26} {'found':>5} of")
    for number, kind in enumerate(CHANGES):
        start = len(listing) + number * copies
        hits = sum((int(index), start + position) in pairs for position, index in enumerate(chosen))
        print(f"{kind:<26} {hits:>5} {copies}")
    origin = [*range(len(listing)), *(int(index) for _ in CHANGES for index in chosen)]
    lesion = [groups[index] for index in origin]
    different = [pair for pair in pairs if lesion[pair[0]] != lesion[pair[1]]]
    among_originals = [pair for pair in different if max(pair) < len(listing)]
    sampled = sample_pairs(lesion, seed)
    print(f"\nfalse alarms among {PAIRS} random pairs of different lesions: {len(sampled & pairs)}")
    total = sum(lesion[a] != lesion[b] for a, b in combinations(range(len(listing)), 2))
    print(f"pairs reported among all {total} pairs of different lesions of the dataset: {len(among_originals)}")
    for first, second in sorted(among_originals):
        print(f"  {listing.paths[first]} = {listing.paths[second]}")


def plant(listing: LabelledImages, index: int, kind: str, folder: Path) -> str:
    """Write a changed copy of an image, and return the name of its file."""
    change, quality = CHANGES[kind]
    name = f"{kind.replace(' ', '_')}_{index}.jpg"
    with Image.open(listing.files[index]) as image:
        change(image.convert("RGB")).save(folder / name, quality=quality)
    return name


def join(first: Scan, second: Scan) -> Scan:
    """Return two scans as one."""
    paths = (*map(str, first.listing.files), *map(str, second.listing.files))
    empty = ("",) * len(paths)
    return Scan(
        replace(first.listing, root=Path("/"), paths=paths, labels=empty, splits=empty),
        first.images + second.images,
        {},
    )


def groups_of(root: Path, listing: LabelledImages, column: str | None) -> list[str]:
    if column is None:
        return list(listing.paths)
    with (root / "metadata.csv").open(newline="", encoding="utf-8-sig") as file:
        group_of = {row["image"]: row[column] for row in csv.DictReader(file)}
    return [group_of[path] for path in listing.paths]


def sample_pairs(lesion: list[str], seed: int) -> set[tuple[int, int]]:
    generator = np.random.default_rng(seed)
    sampled: set[tuple[int, int]] = set()
    while len(sampled) < PAIRS:
        first, second = sorted(generator.integers(0, len(lesion), 2).tolist())
        if lesion[first] != lesion[second]:
            sampled.add((first, second))
    return sampled


def scale(folder: Path, numbers: Sequence[int], seed: int) -> None:
    """Measure whole audits of drawn images, and compare the seconds of each number with those of the first."""
    print(f"{describe()}\n")
    print(f"{'images':>9} {'seconds':>8} {'ratio':>6} {'of the processor':>17} {'ratio':>6}")
    costs: list[Cost] = []
    for number in numbers:
        home = write_images(folder / str(number), number - number // 10, number // 10, seed, SIDE)
        costs.append(measured("melanoma_pl.data", "audit", str(home), "--report", str(folder / f"report_{number}")))
        seconds, processor, _ = costs[-1]
        ratios = seconds / costs[0].seconds, processor / costs[0].processor
        print(f"{number:>9,} {seconds:>8.1f} {ratios[0]:>6.1f} {processor:>17.1f} {ratios[1]:>6.1f}")


def parts(root: Path, images: int, seed: int) -> None:
    """Measure the time that it takes to read images, to compare pixels, and to find candidates among many images.

    The many images are the small grey images of the dataset, rotated, scaled and shifted.
    """
    listing = list_images(root)
    began = time.perf_counter()
    scanned = scan(listing)
    rate = len(listing) / (time.perf_counter() - began)
    print(f"reading: {rate:.0f} images a second, so {images / rate:.0f} s for {images}")
    grey, files = scanned.grey, listing.files
    candidates, _ = find_candidates(grey)
    began = time.perf_counter()
    with threadpool_limits(1):  # as in the audit, which does this on all cores
        for start in range(0, len(candidates), BATCH):
            confirm(candidates[start : start + BATCH], grey, files)
    pace = (time.perf_counter() - began) / len(candidates)
    most = round(PER_IMAGE * images)
    print(f"comparing pixels: {1000 * pace:.1f} ms a pair, so at most {pace * most:.0f} s for {most} uncertain pairs")
    generator = np.random.default_rng(seed)
    origin = generator.integers(0, len(listing), images)
    warped = np.stack([warp(grey[index], generator) for index in origin])
    with elapsed(f"finding candidates among {images} images"):
        found, left_out = find_candidates(warped)
    print(f"{len(found)} candidates, {left_out} uncertain ones left out")


def warp(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return an image rotated by any angle, scaled and shifted, which stands for another mole of the same kind."""
    angle, size = generator.uniform(0, 2 * np.pi), generator.uniform(0.4, 0.8)
    matrix = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.full(2, SIDE / 2) + generator.uniform(-8, 8, 2)
    return affine_transform(image, matrix, centre - matrix @ np.full(2, SIDE / 2), order=1, mode="reflect")


@contextmanager
def elapsed(what: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.1f} s")


def main() -> None:
    """Run one of the measurements."""
    parsing = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsing.add_argument("which", choices=("planted", "parts", "scale"))
    parsing.add_argument("root", type=Path)
    parsing.add_argument("--group-column")
    parsing.add_argument("--copies", type=int, default=100)
    parsing.add_argument("--images", default="2000,20000", help="numbers of images (default: %(default)s)")
    parsing.add_argument("--seed", type=int, default=0)
    chosen = parsing.parse_args()
    if chosen.which == "planted":
        planted(chosen.root, chosen.group_column, chosen.copies, chosen.seed)
        return
    numbers = [int(number) for number in chosen.images.split(",")]
    if chosen.which == "parts":
        parts(chosen.root, numbers[-1], chosen.seed)
    else:
        scale(chosen.root.resolve(), numbers, chosen.seed)


if __name__ == "__main__":
    main()
