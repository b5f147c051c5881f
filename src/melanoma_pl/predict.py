"""`melanoma-predict` and `predict_images`: a checkpoint's prediction for images. Light."""

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

from melanoma_pl import runs
from melanoma_pl.config.app import FAILED, OK, end_process, heavy_imports, run_command
from melanoma_pl.errors import UserError, did_you_mean
from melanoma_pl.files import TableWriter, check_file_target, check_folder_target, write_atomically
from melanoma_pl.messages import DISCLAIMER, amount, json_text, readable
from melanoma_pl.runs.predictions import recorded_decisions
from melanoma_pl.runs.run_folder import LATEST

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image

    from melanoma_pl.evaluation.metrics import Counts
    from melanoma_pl.inference.prediction import Classifier, ImageSource, Precision, Prediction, Predictor
    from melanoma_pl.models.classifier import MelanomaClassifier

Device = Literal["auto", "cpu", "gpu"]
AnyImage = Union[str, Path, "Image", "NDArray[np.uint8]", "torch.Tensor"]

NAMES = "normal,melanoma"  # the two names of the presentation
UNREAD = "unreadable"
PRECISIONS = ("32-true", "bf16-mixed")
COLUMNS = ("path", "probability", "decision", "threshold", "out_of_distribution", "heat_map", "error")
ADVICE = f"{DISCLAIMER} A doctor should look at a mole that worries you."
EXAMPLES = """examples:
  melanoma-predict --run latest image.jpg
  melanoma-predict --run outputs/baseline/<run> images/test --csv predictions.csv --names normal,melanoma
  melanoma-predict --checkpoint best.ckpt a.jpg more/*.png --json
  melanoma-predict --run outputs/baseline/<run> image.jpg --tta --heatmaps maps
"""


def predict_images(
    source: "str | Path | MelanomaClassifier",
    images: "AnyImage | Sequence[AnyImage]",
    *,
    views: Literal["none", "dihedral"] = "none",
    device: Device = "cpu",
    precision: "Precision" = "32-true",
    trust: Collection[str] = (),
) -> "list[Prediction]":
    """Predict images, with the numbers that `melanoma-predict` prints for the same files.

    Args:
        source: A run's folder, `latest` for the newest finished run, a checkpoint file, or a classifier, which predicts
            in evaluation mode on its own device.
        images: One image or a list: paths of files or folders, PIL images, uint8 arrays or tensors `(H, W, 3)` in RGB.
            Arrays are taken to be upright; files and PIL images are turned as their EXIF data say.
        views: `dihedral` averages the logits of each image's eight flips and quarter turns.
        device: `cpu`, `gpu`, or `auto` for a GPU if there is one; not used if `source` is a classifier.
        precision: `32-true`, or `bf16-mixed`, as `--precision`; not used if `source` is a classifier.
        trust: Modules that may be imported for the network's class, beside those of this package and its libraries.

    Returns:
        One prediction an image, in their order; those of a folder are sorted by path. A broken image has a reason
        instead of a probability.

    Raises:
        UserError: If something does not exist or is not of these kinds, or if the checkpoint cannot be read.

    Example:
        for prediction in predict_images("outputs/baseline/<run>", ["image.jpg", array]):
            print(prediction.index, prediction.probability, prediction.decision)
    """
    kinds = (
        ("views", views, ("none", "dihedral")),
        ("device", device, ("auto", "cpu", "gpu")),
        ("precision", precision, PRECISIONS),
    )
    for name, value, allowed in kinds:
        if value not in allowed:
            raise UserError(f"{name}={value!r} is not allowed", did_you_mean(str(value), allowed))
    given = list(images) if isinstance(images, list | tuple) else [images]
    sources = [found for position, image in enumerate(given) for found in _image_sources(image, position)]
    if isinstance(source, str | Path):
        path = Path(source)
        is_run = path.is_dir() or (str(source) == LATEST and not path.exists())
        checkpoint = evaluated_checkpoint(path) if is_run else path
        classifier: Classifier = _load(checkpoint, device, 'device="cpu"', precision, "precision=", trust)
    else:
        classifier = source
    from melanoma_pl.inference.prediction import iterate_predictions

    modes = [(module, module.training) for module in classifier.modules()]
    classifier.eval()
    try:
        predictions = iterate_predictions(classifier, sources, views, on_each_core=True)
        return [replace(prediction, pixels=None) for prediction in predictions]
    finally:
        for module, is_training in modes:
            module.training = is_training


def _load(
    checkpoint: Path, device: Device, cpu_option: str, precision: "Precision", option: str, trust: Collection[str]
) -> "Predictor":
    """Load a checkpoint for a device and a precision that this machine has; the options are named in the errors."""
    from melanoma_pl.inference.hardware import choose_accelerator, choose_precision
    from melanoma_pl.inference.prediction import load_predictor

    accelerator = choose_accelerator(device, cpu_option)
    choose_precision(precision, accelerator, option, PRECISIONS[0])
    return load_predictor(checkpoint, accelerator, trust, precision)


def _image_sources(image: Any, position: int) -> "Sequence[ImageSource]":
    """Return the files that a path stands for, or an image in memory as it is.

    Raises:
        UserError: If it is neither.
    """
    if isinstance(image, str | Path):
        return find_images([image])
    from PIL.Image import Image

    if isinstance(image, Image):
        # an image that was opened and not decoded yet is decoded as its file is: of a large JPEG only a smaller copy
        file = getattr(image, "filename", "")
        is_untouched = bool(file and getattr(image, "tile", None)) and image.tell() == 0 and Path(file).is_file()
        return [Path(file) if is_untouched else image]
    shape, dtype = tuple(getattr(image, "shape", ())), str(getattr(image, "dtype", type(image).__name__))
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype.removeprefix("torch.") != "uint8":
        raise UserError(
            f"image {position} is {dtype} of shape {shape}" if shape else f"image {position} is a {dtype}",
            "give a path, a PIL image, or a uint8 array or tensor of shape (H, W, 3)",
        )
    return [image]


def main() -> None:
    """Run the command."""
    end_process(run_command(command))


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parsing = argparse.ArgumentParser(
        "melanoma-predict",
        description=f"Print the probability of malignant and the decision for each image. {ADVICE}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parsing.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--run",
        metavar="FOLDER",
        help=f"a run's folder, or {LATEST} for the newest finished run below {runs.OUTPUTS}/ (jobs of sweeps do not "
        "count): the checkpoint that it evaluates predicts",
    )
    source.add_argument("--checkpoint", type=Path, metavar="FILE", help="a checkpoint of a run")
    parsing.add_argument("images", nargs="+", metavar="IMAGE", help="images, or folders with images at any depth")
    parsing.add_argument(
        "--names",
        metavar="A,B",
        help=f"names of the two decisions, benign first, such as {NAMES} (default: the checkpoint's classes)",
    )
    parsing.add_argument("--tta", action="store_true", help="average the logits of each image's eight flips and turns")
    parsing.add_argument("--heatmaps", metavar="FOLDER", help="write each image with a heat map of its decision")
    parsing.add_argument("--csv", type=Path, metavar="FILE", help="write a table")
    parsing.add_argument("--json", action="store_true", help="print one JSON object a line instead of a table")
    parsing.add_argument(
        "--trust", action="append", default=[], metavar="MODULE", help="a module whose network the checkpoint may name"
    )
    parsing.add_argument("--device", choices=("auto", "cpu", "gpu"), default="cpu", help="default: %(default)s")
    parsing.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="arithmetic of the network: 32 bits, or bf16, which is faster for many images on a processor that has it, "
        "and changes probabilities by up to about 0.02 (default: %(default)s)",
    )
    return parsing


def command(arguments: list[str]) -> int:
    """Predict all images.

    Returns:
        The exit code: 1 if an image could not be read.
    """
    chosen = parser().parse_args(arguments)
    named = None if chosen.names is None else decision_names(chosen.names)
    checkpoint = chosen.checkpoint or evaluated_checkpoint(chosen.run)
    if not checkpoint.is_file():
        raise UserError(f"the checkpoint {checkpoint} does not exist", "give best.ckpt or last.ckpt of a run, or --run")
    paths = find_images(chosen.images)
    check_targets(chosen.csv, chosen.heatmaps, paths, chosen.images)
    # PyTorch takes seconds to import: only once all else is right
    with heavy_imports():
        import melanoma_pl.inference.prediction  # noqa: F401
        from melanoma_pl.inference.hardware import keep_freed_memory

    keep_freed_memory()
    classifier = _load(checkpoint, chosen.device, "--device cpu", chosen.precision, "--precision ", chosen.trust)
    benign, malignant = classifier.class_names
    names = named or (benign, malignant)
    if names == (malignant, benign):
        raise UserError(f"--names {chosen.names} reverses the classes", f"benign first: --names {names[1]},{names[0]}")
    for notice in (ADVICE, *cautions(classifier, chosen.tta)):
        notify(notice)
    rows = prediction_rows(classifier, paths, names, chosen.tta, Path(chosen.heatmaps) if chosen.heatmaps else None)
    counts = write_rows(rows, names, chosen.json, chosen.csv)
    if counts["ood"]:
        notify(f"{counts['ood']} of {len(paths)} images are out of distribution: their probabilities are unreliable")
    if counts["broken"]:
        notify(f"{counts['broken']} of {len(paths)} images could not be read")
    if n := len(paths) - counts["broken"]:
        threshold = ((chosen.tta and classifier.augmented_decision) or classifier).threshold
        recorded = recorded_decisions(checkpoint, threshold, "dihedral" if chosen.tta else "none")
        notify(readable(closing_line(counts["malignant"], n, names, threshold, recorded)))
    return FAILED if counts["broken"] else OK


def notify(text: str) -> None:
    """Print a notice to standard error, apart from the predictions."""
    print(text, file=sys.stderr, flush=True)


def decision_names(text: str) -> tuple[str, str]:
    """Return the names of the two decisions.

    Raises:
        UserError: If there are not two, or the name of the benign class is not the first.
    """
    from melanoma_pl.data.options import check_class_names

    names = [name.strip() for name in text.split(",")]
    try:
        check_class_names(names)
    except ValueError:
        names = []
    if not all(names) or not all(name.isprintable() for name in names) or not names:
        raise UserError(
            f"--names {readable(text)} should be two names with a comma between, the benign one first",
            f"for instance --names {NAMES}",
        )
    return names[0], names[1]


def evaluated_checkpoint(folder: str | Path) -> Path:
    """Return the checkpoint that a run itself evaluates."""
    return runs.open_run(folder).evaluated_checkpoint


def find_images(arguments: Iterable[str | Path]) -> list[Path]:
    """Return the named images, and the images in named folders, sorted.

    A named file is always taken; in a folder only files with an image's ending. A warning counts the other files.

    Raises:
        UserError: If a path does not exist, or a folder holds no image.
    """
    from melanoma_pl.data.labelled_images import find_images as images_in
    from melanoma_pl.data.labelled_images import not_read

    paths: list[Path] = []
    for path in map(Path, arguments):
        if not path.exists():
            raise UserError(f"{path} does not exist", "give images, or folders with images")
        found, others = images_in(path) if path.is_dir() else ([path], [])
        note = not_read(others)
        if not found:
            raise UserError(f"{path} holds no images{note and f' ({note})'}", "give images, or folders with images")
        if note:
            notify(readable(f"{path}: {note}"))
        paths.extend(found)
    return paths


def check_targets(
    table: Path | None, heat_maps: str | None, images: Sequence[Path], arguments: Sequence[str | Path]
) -> None:
    """Refuse a table or a folder for heat maps that cannot be written, or that would get mixed up with the images.

    Raises:
        UserError: If the table would replace an image, the heat maps lie in a folder of images, or a target cannot be
            written.
    """
    if table is not None:
        if table.resolve() in {image.resolve() for image in images}:
            raise UserError(f"--csv {table} is one of the images", "name another file, predictions.csv for instance")
        check_file_target(table, f"--csv {table}")
    if heat_maps is not None:
        check_folder_target(heat_maps, f"--heatmaps {heat_maps}")
        inputs = [Path(argument).resolve() for argument in arguments if Path(argument).is_dir()]
        if any(Path(heat_maps).resolve().is_relative_to(folder) for folder in inputs):
            raise UserError(
                f"--heatmaps {heat_maps} lies among the images",
                "name a folder elsewhere: the next prediction would take heat maps for images",
            )
        from melanoma_pl.inference.heat_map_files import heat_map_files

        written = {file.resolve() for file in heat_map_files(images, Path(heat_maps))}
        if replaced := written.intersection(image.resolve() for image in images):
            raise UserError(f"--heatmaps {heat_maps} would replace the image {min(replaced)}", "name another folder")


def cautions(classifier: "Classifier", tta: bool) -> list[str]:
    """Return the warnings that precede a checkpoint's predictions."""
    found = []
    if classifier.images_note:
        note = classifier.images_note
        found.append(f"This checkpoint was trained on {note} images: its numbers say nothing about patients.")
    if classifier.ood_detector is None:
        found.append("This checkpoint cannot tell whether an image is out of distribution.")
    if not classifier.is_decided and not (tta and classifier.augmented_decision):
        found.append(
            "Temperature and threshold were not fitted with these weights: they are 1 and 0.5, uncalibrated; "
            "melanoma-evaluate run=<run folder> fits them, if the run has validation images"
        )
    elif classifier.decided_on:
        found.append(f"Temperature and threshold are those of its recipe, fitted on {readable(classifier.decided_on)}.")
    elif tta and classifier.augmented_decision is None:
        found.append(
            "Temperature and threshold are those of single views; to fit them for --tta: melanoma-evaluate "
            "run=<run folder> tta=dihedral"
        )
    return found


def prediction_rows(
    classifier: "Classifier", paths: Sequence[Path], names: tuple[str, str], tta: bool, heat_maps: Path | None
) -> Iterator[dict[str, Any]]:
    """Predict images one after the other, write their heat maps, and return the rows of the table.

    Raises:
        UserError: If heat maps are wanted and the network has no convolution.
    """
    from melanoma_pl.inference.prediction import iterate_predictions

    targets: Sequence[Path | None] = [None] * len(paths)
    if heat_maps:
        from melanoma_pl.inference.heat_map_files import heat_map_files, write_heat_map
        from melanoma_pl.models.features import last_convolution

        if last_convolution(classifier.network) is None:
            name = type(classifier.network).__name__
            raise UserError(f"{name} has no convolution to draw heat maps of", "leave --heatmaps out")
        targets = heat_map_files(paths, heat_maps)
    predictions = iterate_predictions(classifier, paths, "dihedral" if tta else "none", on_each_core=heat_maps is None)
    for path, prediction, target in zip(paths, predictions, targets, strict=True):
        written = None if target is None else write_heat_map(classifier, prediction, target, names)
        yield {
            "path": path.as_posix(),
            "probability": prediction.probability,
            "decision": None if prediction.probability is None else names[prediction.is_malignant],
            "threshold": prediction.threshold,
            "out_of_distribution": prediction.is_ood,
            "heat_map": None if written is None else written.as_posix(),
            "error": prediction.reason or None,
        }


def write_rows(
    rows: Iterator[dict[str, Any]], names: tuple[str, str], as_json: bool, table: Path | None
) -> Counter[str]:
    """Print each row as it comes, write the table if one is wanted, and count the images.

    Returns:
        Number of images that were called malignant (`malignant`), could not be read (`broken`), or are out of
        distribution (`ood`).
    """
    from tqdm import tqdm

    tally: Counter[str] = Counter()
    width = max(map(len, (*names, UNREAD)))
    with write_atomically(table) if table else nullcontext() as file:
        writer = TableWriter(file, COLUMNS) if file else None
        if writer:
            writer.writeheader()
        for row in rows:
            tqdm.write(json_text(row) if as_json else _line(row, width), file=sys.stdout)
            kinds = {
                "malignant": row["decision"] == names[1],
                "broken": row["error"],
                "ood": row["out_of_distribution"],
            }
            tally.update(kind for kind, applies in kinds.items() if applies)
            if writer:
                writer.writerow({key: int(cell) if isinstance(cell, bool) else cell for key, cell in row.items()})
    sys.stdout.flush()
    return tally


def _line(row: dict[str, Any], width: int) -> str:
    if row["error"]:
        return f"{'–':>11}  {UNREAD:<{width}}  {readable(row['path'])}: {readable(row['error'])}"
    remark = "  (out of distribution: do not rely on this number)" if row["out_of_distribution"] else ""
    return f"{row['probability']:11.6f}  {readable(row['decision']):<{width}}  {readable(row['path'])}{remark}"


def closing_line(
    malignant: int, n: int, names: tuple[str, str], threshold: float, recorded: "tuple[str, Counts] | None"
) -> str:
    """Return how many images were called malignant, and how often that decision is wrong at this threshold.

    Args:
        malignant: Number of images that were called malignant.
        n: Number of images, 1 or more.
        names: Names of the two decisions, benign first.
        threshold: Threshold of the decisions.
        recorded: Split and counts of the run's own evaluation; None if it has none.
    """
    counted = {0: f"none of {n}", n: "both" if n == 2 else f"all {n}"}.get(malignant, f"{malignant} of {n}")
    told = f"the image is called {names[malignant]}" if n == 1 else f"{counted} called {names[1]}"
    wrong = []
    if recorded:
        split, counts = recorded
        if malignant and counts.negatives:
            wrong.append(f"{_rate(counts.false_positives, counts.negatives, f'{names[0]} {split} image')} too")
        if malignant < n and counts.positives:
            wrong.append(f"{_rate(counts.false_negatives, counts.positives, f'{names[1]} {split} image')} missed")
    ending = f"; at this threshold {', and '.join(wrong)}" if wrong else ""
    return f"threshold {threshold:.6f}: {told}{ending}"


def _rate(part: int, whole: int, thing: str) -> str:
    """Return "35 % of 218 images are", with a decimal where 0 or 100 % would not be true."""
    digits = 1 if 0 < part < whole and round(100 * part / whole) in (0, 100) else 0
    return f"{100 * part / whole:.{digits}f} % of {amount(whole, thing)} {'is' if whole == 1 else 'are'}"


if __name__ == "__main__":
    main()
