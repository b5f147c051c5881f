"""`melanoma-predict`: what a checkpoint says of photos."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melanoma_pl import runs
from melanoma_pl.cli import FAILED, OK, run_command
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.notices import DISCLAIMER

if TYPE_CHECKING:
    from melanoma_pl.inference import Prediction

NAMES = "normal,melanoma"  # the two names of the presentation
COLUMNS = ("path", "probability", "decision", "error")
ADVICE = f"{DISCLAIMER} A doctor should look at a mole that worries you."
EXAMPLES = """examples:
  melanoma-predict --run outputs/baseline/<run> photo.jpg
  melanoma-predict --run outputs/baseline/<run> photos/test --csv predictions.csv
  melanoma-predict --checkpoint best.ckpt a.jpg more/*.png --json
"""


def main() -> None:
    """Run the command."""
    sys.exit(run_command(command))


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parsing = argparse.ArgumentParser(
        "melanoma-predict",
        description=f"Print the probability of malignant and the decision for each photo. {ADVICE}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parsing.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", metavar="FOLDER", help="a run's folder: its evaluated checkpoint predicts")
    source.add_argument("--checkpoint", metavar="FILE", help="a checkpoint of a run")
    parsing.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders with photos at any depth")
    parsing.add_argument(
        "--names", default=NAMES, metavar="A,B", help="names of the two decisions (default: %(default)s)"
    )
    parsing.add_argument("--csv", metavar="FILE", help="write a table")
    parsing.add_argument("--json", action="store_true", help="print one JSON object a line instead of a table")
    parsing.add_argument("--device", choices=("auto", "cpu", "gpu"), default="cpu", help="default: %(default)s")
    return parsing


def command(arguments: list[str]) -> int:
    """Predict all photos.

    Returns:
        The exit code: 1 if a photo could not be read.
    """
    chosen = parser().parse_args(arguments)
    names = decision_names(chosen.names)
    checkpoint = Path(chosen.checkpoint) if chosen.checkpoint else run_checkpoint(chosen.run)
    if not checkpoint.is_file():
        raise UserError(f"the checkpoint {checkpoint} does not exist", "give best.ckpt or last.ckpt of a run, or --run")
    paths = find_photos(chosen.photos)
    check_target(chosen.csv)
    from melanoma_pl.hardware import choose_accelerator, keep_freed_memory
    from melanoma_pl.inference import load_classifier, predict_files

    keep_freed_memory()
    classifier = load_classifier(checkpoint, choose_accelerator(chosen.device))
    say(ADVICE)
    if classifier.photos_note:
        say(f"This checkpoint was trained on {classifier.photos_note} photos: its numbers say nothing about patients.")
    rows = (as_row(prediction, names) for prediction in predict_files(classifier, paths))
    broken = write_rows(rows, chosen.json, Path(chosen.csv) if chosen.csv else None)
    if broken:
        say(f"{broken} of {len(paths)} photos could not be read")
    return FAILED if broken else OK


def say(text: str) -> None:
    """Tell the person something that is no part of the result."""
    print(text, file=sys.stderr, flush=True)


def decision_names(text: str) -> tuple[str, str]:
    """Return the names of the two decisions.

    Raises:
        UserError: If there are not two.
    """
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != 2 or not all(names):
        raise UserError(f"--names {text} should be two names with a comma between", f"for instance --names {NAMES}")
    return names[0], names[1]


def run_checkpoint(folder: str) -> Path:
    """Return the checkpoint that the run itself evaluates."""
    run = runs.open_run(folder)
    return run.checkpoint(run.read()["config"]["checkpoint"]["evaluate"])


def find_photos(arguments: Iterable[str]) -> list[Path]:
    """Return the photos that are named, and those in folders that are named, in sorted order.

    A file that is named is always taken; in a folder only what has a photo's ending.

    Raises:
        UserError: If something is not there, or a folder holds no photo.
    """
    from melanoma_pl.data.layout import is_photo

    paths: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if not path.exists():
            raise UserError(f"{path} does not exist", "give photos, or folders with photos")
        found = (
            sorted(file for file in path.rglob("*") if is_photo(file.relative_to(path))) if path.is_dir() else [path]
        )
        if not found:
            raise UserError(f"{path} holds no photos", "give photos, or folders with photos")
        paths.extend(found)
    return paths


def check_target(csv_path: str | None) -> None:
    """Refuse a table that could not be written, before anything is predicted.

    Raises:
        UserError: If its folder is missing or not writable, or it is a folder itself.
    """
    if csv_path is not None and Path(csv_path).is_dir():
        raise UserError(
            f"--csv {csv_path} is a folder", f"name a file, {Path(csv_path) / 'predictions.csv'} for instance"
        )
    if csv_path is not None and not Path(csv_path).resolve().parent.is_dir():
        raise UserError(f"--csv {csv_path}: the folder {Path(csv_path).parent} does not exist", "make it first")
    if csv_path is not None and not os.access(Path(csv_path).resolve().parent, os.F_OK | os.W_OK):
        raise UserError(f"--csv {csv_path}: nothing can be written into {Path(csv_path).resolve().parent}")


def as_row(prediction: "Prediction", names: tuple[str, str]) -> dict[str, Any]:
    """Return a prediction as a row of the table."""
    readable = prediction.probability is not None
    return {
        "path": prediction.path.as_posix(),
        "probability": prediction.probability,
        "decision": names[prediction.is_malignant] if readable else None,
        "error": prediction.reason or None,
    }


def write_rows(rows: Iterator[dict[str, Any]], as_json: bool, table: Path | None) -> int:
    """Print each row as it comes, and write the table if one is wanted.

    Returns:
        How many photos could not be read.
    """
    if table is None:
        return sum(print_row(row, as_json) for row in rows)
    with write_atomically(table) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        broken = 0
        for row in rows:
            writer.writerow(row)
            broken += print_row(row, as_json)
    return broken


def print_row(row: dict[str, Any], as_json: bool) -> bool:
    """Print one row above the progress bar; tell whether the photo could not be read."""
    from tqdm import tqdm

    if as_json:
        text = json.dumps(row, ensure_ascii=False)
    elif row["error"]:
        text = f"{'–':>11}  {'unreadable':<10}  {row['path']}: {row['error']}"
    else:
        text = f"{row['probability']:11.6f}  {row['decision']:<10}  {row['path']}"
    tqdm.write(text, file=sys.stdout)
    return bool(row["error"])


if __name__ == "__main__":
    main()
