"""Two models' predictions of the same images, side by side, or the reason why they cannot be compared. Light."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from melanoma_pl.errors import UserError, first_of
from melanoma_pl.messages import amount, hydra_word
from melanoma_pl.runs.image_list import listed_images
from melanoma_pl.runs.predictions import Predictions
from melanoma_pl.runs.run_folder import IMAGES, REPORT

Hashes = Mapping[str, Set[str]]
"""Path → hashes of the files with this path, at most one for each run."""

UNCHECKED = "The images are matched by their paths: whether A's and B's are the same files cannot be checked."


@dataclass(frozen=True)
class PairedPredictions:
    """Two models' predictions of the same images.

    Attributes:
        first: Predictions of A.
        second: Predictions of B.
        groups: Lesion of each image, an image of an unknown lesion being a lesion by itself; None if all are unknown.
        warnings: Reasons why the figures may mislead.
    """

    first: Predictions
    second: Predictions
    groups: tuple[str, ...] | None
    warnings: tuple[str, ...]


def pair(first: Predictions, second: Predictions) -> PairedPredictions:
    """Return two models' predictions side by side.

    Raises:
        UserError: If their images, labels or files differ, or a model was trained on these images.
    """
    table, other = (side.source.tables[side.split] for side in (first, second))
    if table.samefile(other):
        raise UserError(f"A and B are the same predictions, {table}", "name two runs")
    _check_paths(first, second)
    _check_labels(first, second)
    sides = {"A": (first, _listed_hashes(first)), "B": (second, _listed_hashes(second))}
    files = [listed.get(side.split, {}) if side.own_images else {} for side, listed in sides.values()]
    _check_files(first, *files)
    contents = {content for hashes in files for path in first.images for content in hashes.get(path, ())}
    warnings = [] if _are_the_same_files(first, second, *files) else [UNCHECKED]
    for name, (side, listed) in sides.items():
        warnings += _warnings_about(name, side, listed, contents)
    return PairedPredictions(first, second, _groups(first, second), tuple(warnings))


def _listed_hashes(side: Predictions) -> dict[str, dict[str, set[str]]]:
    """Return the hashes of the files that the runs list, by split and path; none if one of the runs has no list.

    Raises:
        UserError: If a list cannot be read.
    """
    hashes: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for listed in map(listed_images, side.runs):
        if not listed:
            return {}
        for image in chain(*listed.values()):
            hashes[image.split].setdefault(image.path, set()).add(image.sha256)
    return hashes


def _check_paths(first: Predictions, second: Predictions) -> None:
    only_first, only_second = first.images.keys() - second.images.keys(), second.images.keys() - first.images.keys()
    if only_first or only_second:
        both = len(first.images) - len(only_first)
        raise UserError(
            f"A and B were evaluated on different images: {len(only_first)} only in A ({first.source.path}), "
            f"{len(only_second)} only in B ({second.source.path}), {both} in both",
            f"evaluate both on the same images, {_how_to_evaluate_on_the_same(first, second)}",
        )


def _how_to_evaluate_on_the_same(first: Predictions, second: Predictions) -> str:
    root = first.records[0]["config"]["data"]["root"] if first.own_images else None
    run = second.source.run
    if first.split != "test" or root is None or run is None:
        return "with melanoma-evaluate run=<B> split=test data.root=<images>, and compare the reports on them"
    report = run.folder / REPORT / Path(root).resolve().name / first.split
    words = [hydra_word("run", str(run.folder)), "split=test", hydra_word("data.root", root)]
    return f"melanoma-evaluate {' '.join(words)}, and then compare A with {report}"


def _check_labels(first: Predictions, second: Predictions) -> None:
    different = [path for path, image in first.images.items() if image.is_malignant != second.images[path].is_malignant]
    if different:
        commands = " and ".join(side.source.command(side.split) for side in (first, second))
        raise UserError(
            f"{len(different)} of {amount(len(first.images), 'image')} have different labels in A and B "
            f"({first_of(different)})",
            f"evaluate both on the correct labels, {commands}",
        )


def _check_files(first: Predictions, of_first: Hashes, of_second: Hashes) -> None:
    both = of_first.keys() & of_second.keys()
    changed = [path for path in first.images if path in both and of_first[path] != of_second[path]]
    if changed:
        raise UserError(
            f"{len(changed)} of {amount(len(first.images), 'image')} are different files in the {IMAGES} of A and of B "
            f"({first_of(changed)})",
            "evaluate both on the same images, with melanoma-evaluate run=<run folder> data.root=<images>",
        )


def _are_the_same_files(first: Predictions, second: Predictions, of_first: Hashes, of_second: Hashes) -> bool:
    """Tell whether both models saw the same files: by the files' hashes, or else by that of the training folder."""
    if first.images.keys() <= of_first.keys() & of_second.keys():
        return True
    if not (first.own_images and second.own_images):
        return False
    fingerprint, other = (side.records[0].get("fingerprint") for side in (first, second))
    return fingerprint is not None and fingerprint == other


def _warnings_about(name: str, side: Predictions, listed: Mapping[str, Hashes], contents: set[str]) -> Iterator[str]:
    """Return the reasons why a model's figures on these images are, or may be, too good.

    Args:
        name: `A` or `B`.
        side: The predictions of the model.
        listed: Split → hashes of the images that its runs list.
        contents: The known hashes of the compared images.

    Raises:
        UserError: If the model was trained on any of them.
    """
    these = f"these {amount(len(side.images), 'image')}"
    known = {split: set().union(*listed.get(split, {}).values()) & contents for split in ("train", "validation")}
    # a path means the same image for the run's own images only
    trained, validated = (
        len(listed.get(split, {}).keys() & side.images.keys() if side.own_images else known[split]) for split in known
    )
    if trained:
        raise UserError(
            f"{name} ({side.source.path}) was trained on {trained} of {these}",
            "compare on images that neither was trained on",
        )
    on_test = any(record["config"]["data"]["validate_on"] == "test" for record in side.records)
    if on_test and (side.own_images or validated):  # for other images it does not matter on which the runs validated
        yield f"{name} validated on the test images, as the original did: its figures on them are too good."
    elif validated:
        yield f"{name} chose its epoch and its threshold on {validated} of {these}: its figures are too good."
    if not listed:
        yield f"{name} has no list of its training images ({IMAGES}): whether these are among them cannot be checked."
    elif not side.own_images and not contents:
        yield f"These are not the images of {name}'s run: whether it was trained on them cannot be checked."
    if copies := len(known["train"]):
        yield f"{copies} of {these} are, byte for byte, among those that {name} was trained on, under other names."
    if seen := sum(image.is_seen for image in side.images.values()):
        yield f"{seen} of {these} show a lesion, or are a copy, of the train folder of {name}'s run."


def _groups(first: Predictions, second: Predictions) -> tuple[str, ...] | None:
    known = {path: image.group or second.images[path].group for path, image in first.images.items()}
    if not any(known.values()):
        return None
    # the prefix keeps an image's path from being taken for the name of a lesion
    return tuple(f"lesion {group}" if group else f"image {path}" for path, group in known.items())
