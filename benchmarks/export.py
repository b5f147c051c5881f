"""Compare an exported folder with the run itself, on every image of a folder: logits, decisions and speed.

python -m benchmarks.export outputs/baseline/<run> images/isic_moles/test
python -m benchmarks.export outputs/baseline/<A> outputs/baseline/<B> photos       an ensemble

The exported side reads the files as predict.py does and predicts with ONNX Runtime in batches of 1, 2 and 7; the other
side is what melanoma-predict does. Both have as many threads as PyTorch.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.machine import describe
from benchmarks.turns import show, take_turns
from melanoma_pl.data.decoding import decode_file, stack
from melanoma_pl.evaluation.decision import Decision
from melanoma_pl.export.__main__ import finished_run
from melanoma_pl.export.exporting import ExportRequest, export_runs
from melanoma_pl.export.onnx_file import BATCHES, open_session, run_session
from melanoma_pl.export.standalone import read
from melanoma_pl.inference.hardware import keep_freed_memory
from melanoma_pl.inference.prediction import load_classifier, predict_logits
from melanoma_pl.models import MelanomaClassifier
from melanoma_pl.predict import find_images

SPEED_BATCHES, IMAGES_TIMED = (1, 32), 64


def logits_of_runs(classifiers: Sequence[MelanomaClassifier], files: Sequence[Path]) -> NDArray[np.float64]:
    """Return the mean logit of the package's own prediction, `(N,)`."""
    logits = []
    for classifier in classifiers:
        decoded = [decode_file(file, classifier.preprocessing).pixels for file in files]
        pixels = torch.split(stack([each for each in decoded if each is not None]), 32)
        logits.append(predict_logits(classifier, pixels))
    return np.mean(logits, axis=0, dtype=np.float64)


def logits_of_export(session: Any, inputs: Sequence[Any], size: int) -> NDArray[np.float32]:
    """Return the logits of the ONNX file, `(N,)`, in batches of a size; inputs are uint8 `(N, 3, S, S)`."""
    parts = [
        run_session(session, [pixels[start : start + size] for pixels in inputs])["logit"]
        for start in range(0, len(inputs[0]), size)
    ]
    return np.concatenate(parts)


def rate(predict: Callable[[], object], count: int) -> float:
    """Return the images/s of a pass over `count` images."""
    began = time.perf_counter()
    predict()
    return count / (time.perf_counter() - began)


def compare(runs: Sequence[str], images: Path, rounds: int) -> None:
    """Export the runs, and print the differences over all images and the speed of both."""
    files = find_images([images])
    evaluated = tuple(finished_run(run) for run in runs)
    classifiers = [load_classifier(each.checkpoint) for each in evaluated]
    with TemporaryDirectory() as folder:
        target = Path(folder, "exported")
        export_runs(ExportRequest(evaluated, target))
        config, session = json.loads((target / "config.json").read_text()), open_session(target / "model.onnx")
        decision = Decision(config["temperature"], config["threshold"])
        ours = logits_of_runs(classifiers, files)
        inputs = [torch.from_numpy(np.concatenate([read(file, **kind) for file in files])) for kind in config["inputs"]]
        for size in BATCHES:
            theirs = logits_of_export(session, inputs, size)
            equal = int((decision.is_malignant(ours) == decision.is_malignant(theirs)).sum())
            difference = np.abs(ours - theirs).max()
            found = f"largest difference of a logit {difference:.1e}, {equal} of {len(files)} decisions equal"
            print(f"batches of {size}: {found}")
        few = [pixels[:IMAGES_TIMED] for pixels in inputs]
        kinds = [(kind["image_size"], kind["interpolation"], kind["colour_constancy"]) for kind in config["inputs"]]

        def predict(size: int) -> None:
            for classifier in classifiers:
                own = classifier.preprocessing
                pixels = few[kinds.index((own.image_size, own.interpolation, own.colour_constancy))]
                predict_logits(classifier, torch.split(pixels, size))

        for size in SPEED_BATCHES:
            measured = {
                "exported, ONNX Runtime": partial(logits_of_export, session, few, size),
                "the run, PyTorch": partial(predict, size),
            }
            for each in measured.values():
                each()  # warm-up
            timed = {name: partial(rate, each, len(few[0])) for name, each in measured.items()}
            show(f"batches of {size}", take_turns(timed, rounds), ["the run, PyTorch"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="the folder of a run, or of several for an ensemble")
    parser.add_argument("images", type=Path, help="a folder of images")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of timing (default: %(default)s)")
    chosen = parser.parse_args()
    keep_freed_memory()
    print(f"{describe()}, {torch.get_num_threads()} threads")
    compare(chosen.runs, chosen.images, chosen.rounds)


if __name__ == "__main__":
    main()
