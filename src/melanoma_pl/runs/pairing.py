"""What a run saw of the images that it is compared on: a model must not be judged on what it was trained on. Light.

Two models' predictions of the same images, side by side, or why they cannot be compared. Light.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from melanoma_pl.errors import UserError, first_of
from melanoma_pl.messages import amount, hydra_word
from melanoma_pl.runs.image_list import listed_images
from melanoma_pl.runs.predictions import Predictions
from melanoma_pl.runs.run_folder import IMAGES, REPORT

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Seen:
    """Which images a run saw, or several that judged together, as their `images.csv` note them.

    Attributes:
        sha256: Split → path → hashes of the files that had this path, one a run at most; empty where nothing is noted.
    """

    sha256: Mapping[str, Mapping[str, Set[str]]] = field(default_factory=dict)

    def files(self, split: str) -> Mapping[str, Set[str]]:
        """Return path → hashes of one split."""
        return self.sha256.get(split, {})

    def contents(self, split: str) -> set[str]:
        """Return the hashes of all files of one split."""
        return set().union(*self.files(split).values())

    def count(self, split: str, side: Predictions, contents: set[str]) -> int:
        """Return how many of the images compared on a split of the run holds: by path if they are its own set's."""
        if side.own_images:
            return len(self.files(split).keys() & side.images.keys())
        return len(self.contents(split) & contents)


def read_seen(side: Predictions) -> Seen:
    """Return what the runs of some predictions noted; nothing where one of them noted none.

    Raises:
        UserError: If a list cannot be read.
    """
    sha256: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for run in side.runs:
        images = listed_images(run)
        if images is None:
            return Seen()
        for image in images:
            sha256[image.split].setdefault(image.path, set()).add(image.sha256)
    return Seen(sha256)


def check_training(name: str, side: Predictions, seen: Seen, contents: set[str]) -> None:
    """Refuse images that the model was trained on.

    Args:
        name: `A` or `B`.
        side: Its predictions.
        seen: What it saw.
        contents: Hashes of the images compared on, as far as they are noted.

    Raises:
        UserError: If it was trained on any of them.
    """
    if trained_on := seen.count(TRAIN, side, contents):
        raise UserError(
            f"{name} ({side.source.place}) was trained on {trained_on} of these {amount(len(side.images), 'image')}",
            "compare on images that neither was trained on",
        )


def warnings_about(name: str, side: Predictions, seen: Seen, contents: set[str]) -> Iterator[str]:
    """Say what makes a model's figures on these images too good, or may do so; the arguments are those above."""
    these = f"these {amount(len(side.images), 'image')}"
    validated = seen.count(VALIDATION, side, contents)
    on_test = any(record["config"]["data"].get("validate_on") == "test" for record in side.records)
    if on_test and (side.own_images or validated):  # what the runs of another set validated on says nothing of this one
        yield f"{name} validated on the test images, as the original did: its figures on them are too good."
    elif validated:
        yield f"{name} chose its epoch and its threshold on {validated} of {these}: its figures are too good."
    if not seen.sha256:
        yield f"{name} has no list of its training images ({IMAGES}): whether these are among them cannot be checked."
    elif not side.own_images and not contents:
        yield f"These are not the images of {name}'s run: whether it was trained on them cannot be checked."
    if copies := len(seen.contents(TRAIN) & contents):
        yield f"{copies} of {these} are, byte for byte, among those that {name} was trained on, under other names."
    if known := sum(image.is_seen for image in side.images.values()):
        yield f"{known} of {these} show a lesion, or are a copy, of the train folder of {name}'s run."


UNCHECKED = "The images are matched by their paths: that A's and B's are the same files cannot be checked."


@dataclass(frozen=True)
class PairedPredictions:
    """Two models' predictions of the same images.

    Attributes:
        first: Of A.
        second: Of B.
        groups: Each image's lesion, one of unknown lesion being a lesion by itself; None where none is known.
        warnings: What must be said beside every figure.
    """

    first: Predictions
    second: Predictions
    groups: tuple[str, ...] | None
    warnings: tuple[str, ...]


def pair(first: Predictions, second: Predictions) -> PairedPredictions:
    """Return two models' predictions side by side.

    Raises:
        UserError: If they are of other images, labels or files, or a model was trained on these images.
    """
    if first.table.samefile(second.table):
        raise UserError(f"A and B are the same predictions, {first.table}", "name two runs")
    _check_paths(first, second)
    _check_labels(first, second)
    models = (("A", first, read_seen(first)), ("B", second, read_seen(second)))
    files = [(seen if side.own_images else Seen()).files(side.split) for _, side, seen in models]
    _check_files(first, *files)
    contents = {content for known in files for path in first.images for content in known.get(path, ())}
    warnings = [] if _are_the_same_files(first, second, *files) else [UNCHECKED]
    for model in models:
        check_training(*model, contents)
        warnings += warnings_about(*model, contents)
    return PairedPredictions(first, second, _groups(first, second), tuple(warnings))


def _check_paths(first: Predictions, second: Predictions) -> None:
    only_first, only_second = first.images.keys() - second.images.keys(), second.images.keys() - first.images.keys()
    if only_first or only_second:
        both = len(first.images) - len(only_first)
        raise UserError(
            f"A and B were evaluated on different images: {len(only_first)} only in A ({first.source.place}), "
            f"{len(only_second)} only in B ({second.source.place}), {both} in both",
            f"evaluate both on the same images, {_evaluating_on_the_same(first, second)}",
        )


def _evaluating_on_the_same(first: Predictions, second: Predictions) -> str:
    """Return the command that evaluates B on A's images, as far as it is known."""
    root = first.record["config"]["data"]["root"] if first.record and first.own_images else None
    run = second.source.run
    if first.split != "test" or root is None or run is None:
        return "with melanoma-evaluate run=<B> split=test data.root=<images>, and compare the reports on them"
    report = run.folder / REPORT / Path(root).resolve().name / first.split
    words = [hydra_word("run", str(run.folder)), "split=test", hydra_word("data.root", root)]
    return f"melanoma-evaluate {' '.join(words)}, and then compare A with {report}"


def _check_labels(first: Predictions, second: Predictions) -> None:
    different = [path for path, image in first.images.items() if image.is_malignant != second.images[path].is_malignant]
    if different:
        commands = " and ".join(side.source.evaluating(side.split) for side in (first, second))
        raise UserError(
            f"{len(different)} of {amount(len(first.images), 'image')} have one label in A and the other in B "
            f"({first_of(different)})",
            f"evaluate both on the labels that are right, {commands}",
        )


def _check_files(first: Predictions, here: Mapping[str, Set[str]], there: Mapping[str, Set[str]]) -> None:
    changed = [path for path in first.images if path in here and path in there and here[path] != there[path]]
    if changed:
        raise UserError(
            f"{len(changed)} of {amount(len(first.images), 'image')} are other files in A's {IMAGES} than in B's "
            f"({first_of(changed)})",
            "evaluate both on the same images, with melanoma-evaluate run=<run folder> data.root=<images>",
        )


def _are_the_same_files(
    first: Predictions, second: Predictions, here: Mapping[str, Set[str]], there: Mapping[str, Set[str]]
) -> bool:
    """Tell whether that is known: each file's hash, or at least that both runs had the same training folder."""
    if all(path in here and path in there for path in first.images):
        return True
    if not (first.own_images and second.own_images and first.record and second.record):
        return False
    fingerprint = first.record.get("fingerprint")
    return fingerprint is not None and fingerprint == second.record.get("fingerprint")


def _groups(first: Predictions, second: Predictions) -> tuple[str, ...] | None:
    known = {path: image.group or second.images[path].group for path, image in first.images.items()}
    if not any(known.values()):
        return None
    # with a word before each, no image's path can be taken for a lesion
    return tuple(f"lesion {group}" if group else f"image {path}" for path, group in known.items())
