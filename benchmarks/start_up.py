"""Measure the start-up time of the commands, and that of the imports that they need.

python -m benchmarks.start_up
python -m benchmarks.start_up --images images/isic_moles --runs 9
python -m benchmarks.start_up --processor       # on a machine with other work, which changes these seconds far less
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl

from benchmarks.machine import describe
from melanoma_pl.data.options import is_image
from melanoma_pl.data.synthetic.synthetic_images import write_images
from melanoma_pl.messages import literal
from melanoma_pl.runs import all_runs

TRAIN, TEST = 320, 80  # synthetic images
HELPED = ("train", "evaluate", "predict", "data", "runs")
REFERENCES = ("import torch, torchvision", "import lightning.pytorch")
FIRST_STEP = Path("first_step.txt")  # in the working directory of the command


class FirstStep(pl.Callback):
    """Record the time at which the first training step begins, and end the process."""

    def on_train_batch_start(self, *arguments: Any) -> None:
        """Record the time and exit."""
        FIRST_STEP.write_text(str(time.time()), encoding="utf-8")
        os._exit(0)


def clock(by_processor: bool = False) -> float:
    """Return the time in seconds, or the processor's seconds of the processes that were run."""
    times = os.times()
    return times.children_user + times.children_system if by_processor else time.time()


def python(folder: Path, *words: str, by_processor: bool = False) -> float:
    """Run Python in a folder, and return its seconds."""
    began = clock(by_processor)
    search = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search)}
    answer = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{answer.stdout}{answer.stderr}")
    return clock(by_processor) - began


def first_step(folder: Path, images: Path, by_processor: bool) -> float:
    """Return the seconds from the start of a training run to its first step."""
    began = time.time()
    words = [*training(images), "+callbacks.first_step._target_=benchmarks.start_up.FirstStep"]
    seconds = python(folder, *words, by_processor=by_processor)
    return seconds if by_processor else float((folder / FIRST_STEP).read_text(encoding="utf-8")) - began


def training(images: Path) -> list[str]:
    return ["-m", "melanoma_pl.train", "data=folder", f"data.root={literal(str(images))}"]


def prepare(folder: Path, images: Path, image: Path, by_processor: bool) -> dict[str, Callable[[], float]]:
    """Train a run to predict with, and return what is measured: name → function that returns seconds."""
    python(folder, *training(images), "name=short", "trainer.max_epochs=1", "report=numbers", "test=false")
    run = next(all_runs(folder / "outputs" / "short")).folder
    predicting = ["-m", "melanoma_pl.predict", "--run", str(run), str(image)]
    measure = partial(python, folder, by_processor=by_processor)
    return {
        **{f"melanoma-{name} --help": partial(measure, "-m", f"melanoma_pl.{name}", "--help") for name in HELPED},
        "import torch": partial(measure, "-c", "import torch"),
        **{reference: partial(measure, "-c", reference) for reference in REFERENCES},
        "melanoma-predict, one image": partial(measure, *predicting),
        "melanoma-train, first step": partial(first_step, folder, images, by_processor),
    }


def main() -> None:
    """Measure everything in turn, and print the medians."""
    parsing = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsing.add_argument("--images", type=Path, help="folder of images (default: synthetic, 224×224)")
    parsing.add_argument("--runs", type=int, default=5, help="rounds (default: %(default)s)")
    parsing.add_argument("--processor", action="store_true", help="seconds of the processor instead of the clock's")
    chosen = parsing.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        images = chosen.images.resolve() if chosen.images else write_images(folder / "images", TRAIN, TEST)
        files = [file for file in sorted(images.rglob("*")) if is_image(file.relative_to(images))]
        measured = prepare(folder, images, files[0], chosen.processor)
        seconds: dict[str, list[float]] = {what: [] for what in measured}
        for _ in range(chosen.runs):
            for what, run in measured.items():
                seconds[what].append(run())
    print(f"{describe()}; {len(files)} images, {chosen.runs} runs in turn\n")
    show(seconds)


def show(seconds: dict[str, list[float]]) -> None:
    references = [statistics.median(seconds[name]) for name in REFERENCES]
    print(f"{'seconds':<28} {'median':>6} {'range':>11}" + "".join(f"  ÷ {name}" for name in REFERENCES))
    for what, each in seconds.items():
        median = statistics.median(each)
        ratios = [f"{median / value:>{len(name) + 4}.2f}" for name, value in zip(REFERENCES, references, strict=True)]
        print(f"{what:<28} {median:>6.2f} {f'{min(each):.2f}–{max(each):.2f}':>11}{''.join(ratios)}")


if __name__ == "__main__":
    main()
