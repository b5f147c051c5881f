"""Count the images that a checkpoint calls out of distribution: ordinary ones, others, and drawings without skin.

python -m benchmarks.out_of_distribution RUN --ordinary IMAGES/test --others CLINICAL [--others MORE]
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from melanoma_pl.data.options import is_image
from melanoma_pl.evaluation import wilson
from melanoma_pl.inference.hardware import keep_freed_memory
from melanoma_pl.inference.prediction import iterate_predictions, load_classifier
from melanoma_pl.models.classifier import MelanomaClassifier
from melanoma_pl.runs import open_run

SIDE = 224  # pixels
DRAWN = 50  # of each kind


def noise(random: np.random.Generator) -> Image.Image:
    return Image.fromarray(random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def one_colour(random: np.random.Generator) -> Image.Image:
    return Image.new("RGB", (SIDE, SIDE), tuple(int(level) for level in random.integers(0, 256, 3)))


def text(random: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(page)
    for line in range(8, SIDE, 14):
        pen.text((8, line), "".join(chr(letter) for letter in random.integers(97, 123, 32)), fill="black")
    return page


def gradient(random: np.random.Generator) -> Image.Image:
    rise = np.linspace(0, 1, SIDE)
    planes = [np.outer(rise, np.ones(SIDE)), np.outer(np.ones(SIDE), rise), np.outer(rise, rise)]
    return Image.fromarray((np.stack(planes, -1) * random.integers(100, 256, 3)).astype(np.uint8))


def boxes(random: np.random.Generator) -> Image.Image:
    image = one_colour(random)
    pen = ImageDraw.Draw(image)
    for _ in range(15):
        left, top, size = (int(number) for number in random.integers((0, 0, 10), (SIDE, SIDE, 80)))
        pen.rectangle(
            (left, top, left + size, top + size), fill=tuple(int(level) for level in random.integers(0, 256, 3))
        )
    return image


def blurred_colours(random: np.random.Generator) -> Image.Image:
    cells = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return cells.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


KINDS: tuple[Callable[[np.random.Generator], Image.Image], ...] = (
    noise, one_colour, text, gradient, boxes, blurred_colours,
)  # fmt: skip


def draw(folder: Path) -> dict[str, list[Path]]:
    """Draw images without skin, and return the files of each kind."""
    drawn: dict[str, list[Path]] = {}
    for kind in KINDS:
        for number in range(DRAWN):
            path = folder / f"{kind.__name__}_{number}.png"
            kind(np.random.default_rng(number)).save(path)
            drawn.setdefault(f"drawn: {kind.__name__.replace('_', ' ')}", []).append(path)
    return drawn


def report(classifier: MelanomaClassifier, name: str, paths: list[Path]) -> None:
    answers = [prediction.is_ood for prediction in iterate_predictions(classifier, paths)]
    found = sum(bool(answer) for answer in answers)
    interval = wilson(found, len(answers)) or (0.0, 1.0)
    print(
        f"{name:<28}{found:>6} of {len(answers):<5} {found / len(answers):7.1%}  [{interval[0]:.1%}–{interval[1]:.1%}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--ordinary", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--others", type=Path, action="append", default=[], metavar="FOLDER")
    chosen = parser.parse_args()
    keep_freed_memory()
    run = open_run(chosen.run)
    classifier = load_classifier(run.checkpoint(run.read()["config"]["checkpoint"]["evaluate"]))
    if classifier.ood_detector is None:
        raise SystemExit("this checkpoint has no out-of-distribution detector")
    for folder in (chosen.ordinary, *chosen.others):
        paths = sorted(path for path in folder.rglob("*") if is_image(path.relative_to(folder)))
        report(classifier, folder.name, paths)
    with tempfile.TemporaryDirectory() as folder:
        for name, paths in draw(Path(folder)).items():
            report(classifier, name, paths)


if __name__ == "__main__":
    main()
