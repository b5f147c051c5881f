"""Compare prediction with the Keras original, and prediction of files with that of images in memory.

python -m benchmarks.prediction memory [--keras keras-env/bin/python keras_original.py]
python -m benchmarks.prediction files outputs/baseline/<run> images/isic_moles

`memory` predicts a batch of 128 images. `files` runs melanoma-predict on a folder, in the first variant with one batch
after another on all cores. Its time excludes the imports, and includes the checkpoint, the list of files, reading,
decoding, the network, the out-of-distribution check and the table.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import torch

from benchmarks import original
from benchmarks.machine import describe
from benchmarks.turns import Rates, child, show, take_turns
from melanoma_pl.inference import prediction
from melanoma_pl.inference.hardware import has_bf16, keep_freed_memory
from melanoma_pl.inference.prediction import load_classifier, predict_logits
from melanoma_pl.models import MelanomaClassifier, ThreeConvNet
from melanoma_pl.predict import command, find_images
from melanoma_pl.runs import open_run

BATCH, SIDE = 128, 224
BATCHES, WARM_UP = 15, 3
OURS, BF16, LAYERS = "ours, 32-bit", "ours, bf16", "ours, layers one by one"
COMPILED, NOT_KEPT = "ours, by torch.compile", "ours, memory given back"
FROM_FILES, FROM_FILES_BF16 = "melanoma-predict", "melanoma-predict --precision bf16-mixed"
IN_TURN, IN_MEMORY = "melanoma-predict, one batch after another", "the same images in memory"


def images_in_memory(side: int = SIDE) -> torch.Tensor:
    return torch.randint(0, 256, (BATCH, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)


def memory_rate(variant: str) -> float:
    """Return the images/s of a batch of uint8 pixels, the median of several batches."""
    if variant != NOT_KEPT:
        keep_freed_memory()
    classifier = MelanomaClassifier(ThreeConvNet()).eval()
    classifier.network.to(memory_format=torch.channels_last)
    if variant == LAYERS:
        for layer in classifier.network.children():
            layer.register_forward_hook(lambda *arguments: None)
    if variant == COMPILED:
        classifier.network.compile()
    pixels, seconds = images_in_memory(), []
    for _ in range(WARM_UP + BATCHES):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == BF16):
            predict_logits(classifier, [pixels])
        seconds.append(time.perf_counter() - began)
    return BATCH / statistics.median(seconds[WARM_UP:])


def compare_memory(rounds: int, keras: list[Path] | None) -> None:
    variants = (OURS, *[BF16] * has_bf16("cpu"), LAYERS, COMPILED, NOT_KEPT)
    measured = {name: partial(child, "benchmarks.prediction", "--variant", name) for name in variants}
    if keras:
        measured[original.NAME] = partial(original.step_rate, keras, "predict")
    show(f"a batch of {BATCH} images", take_turns(measured, rounds), [original.NAME])


def compare_files(run: str, images: Path, rounds: int) -> None:
    keep_freed_memory()
    checkpoint = open_run(run).checkpoint("best")
    classifier = load_classifier(checkpoint)
    pixels = images_in_memory(classifier.preprocessing.image_size)
    count = len(find_images([str(images)]))

    def from_files(*options: str) -> float:
        with TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            words = ["--checkpoint", str(checkpoint), str(images), "--csv", str(Path(folder, "predictions.csv"))]
            began = time.perf_counter()
            command([*words, *options])
            return count / (time.perf_counter() - began)

    def in_turn() -> float:
        with mock.patch.object(prediction, "FEWEST_ON_EACH_CORE", float("inf")):
            return from_files()

    def in_memory() -> float:
        batches = -(-count // BATCH)
        began = time.perf_counter()
        predict_logits(classifier, [pixels] * batches)
        return BATCH * batches / (time.perf_counter() - began)

    in_memory()  # warm-up
    measured: dict[str, Callable[[], float]] = {FROM_FILES: from_files, IN_TURN: in_turn, IN_MEMORY: in_memory}
    if has_bf16("cpu"):
        measured[FROM_FILES_BF16] = partial(from_files, "--precision", "bf16-mixed")
    rates: Rates = take_turns(measured, rounds)
    show(f"{count} images", rates, [IN_MEMORY])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("memory", "files"))
    parser.add_argument("run", nargs="?", help="for `files`: the folder of a run")
    parser.add_argument("images", nargs="?", type=Path, help="for `files`: a folder of images")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    original.add_option(parser)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.variant:
        print(memory_rate(chosen.variant))
    elif chosen.what is None or (chosen.what == "files") != (chosen.images is not None):
        parser.error("give `memory`, or `files` with a run and a folder of images")
    else:
        print(f"{describe()}; median (range) of {chosen.rounds} in turn")
        if chosen.what == "memory":
            compare_memory(chosen.rounds, chosen.keras)
        else:
            compare_files(chosen.run, chosen.images, chosen.rounds)


if __name__ == "__main__":
    main()
