"""`melanoma-predict`: what a checkpoint says of images.

Predictions one by one: a line or a JSON object each on screen, a row each in a table. Light.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melanoma_pl import runs
from melanoma_pl.config.app import FAILED, OK, run_command
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import DISCLAIMER

if TYPE_CHECKING:
    from melanoma_pl.inference.prediction import Prediction
    from melanoma_pl.models.classifier import MelanomaClassifier

NAMES = "normal,melanoma"  # the two names of the presentation
ADVICE = f"{DISCLAIMER} A doctor should look at a mole that worries you."
EXAMPLES = """examples:
  melanoma-predict --run outputs/baseline/<run> image.jpg
  melanoma-predict --run outputs/baseline/<run> images/test --csv predictions.csv
  melanoma-predict --checkpoint best.ckpt a.jpg more/*.png --json
  melanoma-predict --run outputs/baseline/<run> image.jpg --tta --heatmaps looked_at
"""


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parsing = argparse.ArgumentParser(
        "melanoma-predict",
        description=f"Print the probability of malignant and the decision for each image. {ADVICE}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parsing.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", metavar="FOLDER", help="a run's folder: its evaluated checkpoint predicts")
    source.add_argument("--checkpoint", metavar="FILE", help="a checkpoint of a run")
    parsing.add_argument("images", nargs="+", metavar="IMAGE", help="images, or folders with images at any depth")
    parsing.add_argument(
        "--names", default=NAMES, metavar="A,B", help="names of the two decisions (default: %(default)s)"
    )
    parsing.add_argument("--tta", action="store_true", help="judge by the mean of an image's eight flips and turns")
    parsing.add_argument("--heatmaps", metavar="FOLDER", help="write each image with what speaks for its decision")
    parsing.add_argument("--csv", metavar="FILE", help="write a table")
    parsing.add_argument("--json", action="store_true", help="print one JSON object a line instead of a table")
    parsing.add_argument("--device", choices=("auto", "cpu", "gpu"), default="cpu", help="default: %(default)s")
    return parsing


def command(arguments: list[str]) -> int:
    """Predict all images.

    Returns:
        The exit code: 1 if an image could not be read.
    """
    chosen = parser().parse_args(arguments)
    names = decision_names(chosen.names)
    checkpoint = Path(chosen.checkpoint) if chosen.checkpoint else run_checkpoint(chosen.run)
    if not checkpoint.is_file():
        raise UserError(f"the checkpoint {checkpoint} does not exist", "give best.ckpt or last.ckpt of a run, or --run")
    paths = find_images(chosen.images)
    check_target(chosen.csv, paths)
    check_folder(chosen.heatmaps, chosen.images)
    from melanoma_pl.inference.hardware import choose_accelerator, keep_freed_memory
    from melanoma_pl.inference.prediction import load_classifier, predict_files

    keep_freed_memory()
    classifier = load_classifier(checkpoint, choose_accelerator(chosen.device, "--device cpu"))
    say(ADVICE)
    for caution in cautions(classifier, chosen.tta):
        say(caution)
    predictions = predict_files(classifier, paths, "dihedral" if chosen.tta else "none")
    if chosen.heatmaps:
        maps = with_heat_maps(classifier, predictions, paths, Path(chosen.heatmaps))
        rows = (as_row(prediction, names, written) for prediction, written in maps)
    else:
        rows = (as_row(prediction, names) for prediction in predictions)
    broken, unlike = write_rows(rows, chosen.json, Path(chosen.csv) if chosen.csv else None)
    if unlike:
        say(f"{unlike} of {len(paths)} images are unlike the training images: their numbers should not be relied on")
    if broken:
        say(f"{broken} of {len(paths)} images could not be read")
    return FAILED if broken else OK


def cautions(classifier: "MelanomaClassifier", tta: bool) -> list[str]:
    """Return what must be said of a checkpoint's numbers before they come."""
    said = []
    if classifier.images_note:
        note = classifier.images_note
        said.append(f"This checkpoint was trained on {note} images: its numbers say nothing about patients.")
    if classifier.ood_detector is None:
        said.append("This checkpoint cannot tell whether an image is unlike its training images.")
    if tta and classifier.augmented_decision is None:
        said.append(
            "Temperature and threshold are those of single views; to fit them for --tta: melanoma-evaluate "
            "run=<run folder> tta=dihedral"
        )
    return said


def with_heat_maps(
    classifier: "MelanomaClassifier", predictions: Iterable["Prediction"], paths: Sequence[Path], folder: Path
) -> Iterator[tuple["Prediction", Path | None]]:
    """Write the heat map of each image that can be read, and return the predictions with their files.

    Raises:
        UserError: If the network has no convolution.
    """
    from melanoma_pl.inference.heat_maps import heat_map_files, write_heat_map
    from melanoma_pl.models.features import last_convolution

    if last_convolution(classifier.network) is None:
        name = type(classifier.network).__name__
        raise UserError(f"{name} has no convolution to draw heat maps of", "leave --heatmaps out")
    for prediction, target in zip(predictions, heat_map_files(paths, folder), strict=True):
        yield prediction, write_heat_map(classifier, prediction, target)


def say(text: str) -> None:
    """Tell the person something that is no part of the result."""
    print(text, file=sys.stderr, flush=True)


def decision_names(text: str) -> tuple[str, str]:
    """Return the names of the two decisions.

    Raises:
        UserError: If there are not two.
    """
    names = tuple(name.strip() for name in text.split(","))
    if len(set(names)) != 2 or not all(names):
        raise UserError(f"--names {text} should be two names with a comma between", f"for instance --names {NAMES}")
    return names[0], names[1]


def run_checkpoint(folder: str) -> Path:
    """Return the checkpoint that the run itself evaluates."""
    run = runs.open_run(folder)
    return run.checkpoint(run.read()["config"]["checkpoint"]["evaluate"])


def find_images(arguments: Iterable[str]) -> list[Path]:
    """Return the images that are named, and those in folders that are named, in sorted order.

    A file that is named is always taken; in a folder only what has an image's ending.

    Raises:
        UserError: If something is not there, or a folder holds no image.
    """
    from melanoma_pl.data.layout import is_image

    paths: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if not path.exists():
            raise UserError(f"{path} does not exist", "give images, or folders with images")
        found = (
            sorted(file for file in path.rglob("*") if is_image(file.relative_to(path))) if path.is_dir() else [path]
        )
        if not found:
            raise UserError(f"{path} holds no images", "give images, or folders with images")
        paths.extend(found)
    return paths


def check_target(csv_path: str | None, images: Sequence[Path]) -> None:
    """Refuse a table that could not be written, or would take an image's place, before anything is predicted.

    Raises:
        UserError: If its folder is missing or not writable, or it is a folder or one of the images.
    """
    if csv_path is not None and Path(csv_path).resolve() in {image.resolve() for image in images}:
        raise UserError(f"--csv {csv_path} is one of the images", "name another file, predictions.csv for instance")
    if csv_path is not None and Path(csv_path).is_dir():
        raise UserError(
            f"--csv {csv_path} is a folder", f"name a file, {Path(csv_path) / 'predictions.csv'} for instance"
        )
    if csv_path is not None and not Path(csv_path).resolve().parent.is_dir():
        raise UserError(f"--csv {csv_path}: the folder {Path(csv_path).parent} does not exist", "make it first")
    if csv_path is not None and not os.access(Path(csv_path).resolve().parent, os.F_OK | os.W_OK):
        raise UserError(f"--csv {csv_path}: nothing can be written into {Path(csv_path).resolve().parent}")


def check_folder(folder: str | None, arguments: Sequence[str]) -> None:
    """Refuse a folder for heat maps that could not be written into, or is looked for images, before any is predicted.

    Raises:
        UserError: If it is a file, cannot be made, or lies among the images.
    """
    if folder is None:
        return
    inputs = [Path(argument).resolve() for argument in arguments if Path(argument).is_dir()]
    if not folder or any(Path(folder).resolve().is_relative_to(place) for place in inputs):
        message = f"--heatmaps {folder} lies among the images" if folder else "--heatmaps names no folder"
        raise UserError(message, "name a folder elsewhere: the next time its pictures would be taken for images")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--heatmaps {folder} cannot be made ({error.strerror})", "name another folder") from error
    if not os.access(folder, os.W_OK):
        raise UserError(f"--heatmaps {folder}: nothing can be written there", "name another folder")


if __name__ == "__main__":
    main()


COLUMNS = ("path", "probability", "decision", "out_of_distribution", "heat_map", "error")
OUT_OF_DISTRIBUTION = "(unlike the training images: do not rely on this number)"


def as_row(prediction: "Prediction", names: tuple[str, str], heat_map: Path | None = None) -> dict[str, Any]:
    """Return a prediction as a row of the table."""
    readable = prediction.probability is not None
    return {
        "path": prediction.path.as_posix(),
        "probability": prediction.probability,
        "decision": names[prediction.is_malignant] if readable else None,
        "out_of_distribution": prediction.is_ood,
        "heat_map": None if heat_map is None else heat_map.as_posix(),
        "error": prediction.reason or None,
    }


def write_rows(rows: Iterator[dict[str, Any]], as_json: bool, table: Path | None) -> tuple[int, int]:
    """Print each row as it comes, and write the table if one is wanted.

    Returns:
        How many images could not be read, and how many are unlike the training images.
    """
    broken = unlike = 0
    with write_atomically(table) if table else nullcontext() as file:
        writer = csv.DictWriter(file, COLUMNS) if file else None
        if writer:
            writer.writeheader()
        for row in rows:
            _print(row, as_json)
            broken += bool(row["error"])
            unlike += bool(row["out_of_distribution"])
            if writer:
                writer.writerow({key: int(cell) if isinstance(cell, bool) else cell for key, cell in row.items()})
    return broken, unlike


def _print(row: dict[str, Any], as_json: bool) -> None:
    """Print one row above the progress bar."""
    from tqdm import tqdm

    if as_json:
        text = json.dumps(row, ensure_ascii=False)
    elif row["error"]:
        text = f"{'–':>11}  {'unreadable':<10}  {row['path']}: {row['error']}"
    else:
        text = f"{row['probability']:11.6f}  {row['decision']:<10}  {row['path']}"
        text += f"  {OUT_OF_DISTRIBUTION}" if row["out_of_distribution"] else ""
    tqdm.write(text, file=sys.stdout)
