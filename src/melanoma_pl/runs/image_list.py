"""`images.csv` of a run: the split of each image and the hash of its file. Light.

A new run writes the list; a resumed or evaluated run compares its images with it. A run that starts from the weights of
another run lists the images of that run too, as those of the splits `weights/train` and `weights/validation`.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from melanoma_pl.config.processes import is_main_process
from melanoma_pl.errors import UserError
from melanoma_pl.files import TableReader, TableWriter, write_atomically
from melanoma_pl.messages import amount
from melanoma_pl.runs.predictions import OutOfFold
from melanoma_pl.runs.run_folder import IMAGES, LAST, UNREADABLE, Run, reason_of

if TYPE_CHECKING:  # it imports PyTorch
    from melanoma_pl.data.datamodule import MoleDataModule

logger = logging.getLogger(__name__)

OF_WEIGHTS = {"train": "weights/train", "validation": "weights/validation"}
"""Split of a run → split under which a run that starts from its weights lists the same images."""


class ListedImage(NamedTuple):
    """A row of the list; the fields are its columns.

    Attributes:
        path: Path relative to the root of the images, with `/`.
        split: `train`, `validation`, `test`, or a value of `OF_WEIGHTS`.
        label: Name of the class.
        group: Lesion, or empty if unknown.
        sha256: Hash of the file.
    """

    path: str
    split: str
    label: str
    group: str
    sha256: str


def listed_images(run: Run) -> Mapping[str, Sequence[ListedImage]]:
    """Return the images that a run has listed, by split; empty if it has no list.

    Raises:
        UserError: If the list cannot be read.
    """
    table = run.folder / IMAGES
    if not table.is_file():
        return {}
    state = table.stat()
    return _read_list(table, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1)  # an evaluation asks nine times, and reading half a million rows takes four seconds
def _read_list(table: Path, *_identity: int) -> Mapping[str, Sequence[ListedImage]]:
    listed: dict[str, list[ListedImage]] = {}
    try:
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            for row in TableReader(file):
                path, split, label, group, sha256 = (row[name] for name in ListedImage._fields)
                if None in (path, split, label, group, sha256):  # DictReader fills a line that lacks cells with None
                    raise ValueError("a line of it is cut short")
                image = ListedImage(path, intern(split), intern(label), intern(group), sha256)
                listed.setdefault(split, []).append(image)
    except UNREADABLE as error:
        raise UserError(f"{table} cannot be read ({reason_of(error)})") from error
    if not listed:  # as a power cut may leave it; to take it for no list would compare nothing
        raise UserError(f"{table} is empty", "restore it from a copy, or start a new run")
    return listed


def images_of_weights(checkpoint: Path) -> tuple[list[ListedImage], bool]:
    """Return the images that a checkpoint's weights were trained and chosen on, as its run has listed them.

    Args:
        checkpoint: A file in `<run folder>/checkpoints`, or anywhere else.

    Returns:
        The images, with the splits of `OF_WEIGHTS`; and whether they are all. They are not if the run has no list, or
        began with weights of unknown origin itself.

    Raises:
        UserError: If there is a list that cannot be read.
    """
    run = Run(checkpoint.resolve().parent.parent)
    listed = listed_images(run)
    images = [
        image._replace(split=new)
        for split, new in OF_WEIGHTS.items()
        for image in (*listed.get(split, ()), *listed.get(new, ()))
    ]
    is_complete = False
    with suppress(UserError, *UNREADABLE):
        is_complete = bool(images) and not has_unknown_weights(run.read())
    return images, is_complete


def has_unknown_weights(record: Mapping[str, Any]) -> bool:
    """Tell from a run's record whether it began with weights whose training images are not all known."""
    return bool(record["config"]["model"].get("weights")) and not record.get("weights", {}).get("is_listed", False)


def seen_by_weights(listed: Mapping[str, Sequence[ListedImage]], split: str) -> set[str]:
    """Return the hashes of the images on which figures would be too good because of the weights that a run began with.

    Args:
        listed: The run's list.
        split: The split to evaluate. The weights must not have been trained on any image of it; nor may they have been
            chosen on it, which for `validation` does not matter, since the run itself chooses on it.
    """
    splits = [OF_WEIGHTS["train"]] if split == "validation" else OF_WEIGHTS.values()
    return {image.sha256 for each in splits for image in listed.get(each, ())}


def check_images(
    run: Run, data: "MoleDataModule", splits: Sequence[str], of_weights: Iterable[ListedImage] = ()
) -> bool:
    """List the images of a new run, or compare those of a resumed run with its list.

    Args:
        run: The run.
        data: Its images.
        splits: The splits to list.
        of_weights: Images of the weights that a new run begins with.

    Returns:
        Whether the run is resumed from a checkpoint.

    Raises:
        UserError: If the images have changed since the run began.
    """
    resumed = (run.checkpoints / LAST).is_file()
    if resumed:
        compare_images(run, data, splits)
    elif is_main_process():
        with write_atomically(run.folder / IMAGES) as file:
            writer = TableWriter(file, ListedImage._fields)
            writer.writeheader()
            writer.writerows(image._asdict() for image in (*_images_of(data, splits), *of_weights))
    return resumed


def compare_images(run: Run, data: "MoleDataModule", splits: Sequence[str]) -> None:
    """Compare the images of some splits with the run's list.

    A split that the list lacks passes. A run without a list passes with a warning.

    Raises:
        UserError: If the list cannot be read, or images were added, removed, changed or moved to another split.
    """
    listed = listed_images(run)
    if not listed:
        logger.warning(
            "%s has no %s: whether these are the images that it began with cannot be checked", run.folder, IMAGES
        )
        return
    splits = [split for split in splits if split in listed]
    before = _by_path(image for split in splits for image in listed[split])
    after = _by_path(_images_of(data, splits))
    added, removed = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    changed = sum(before[path] != after[path] for path in before.keys() & after.keys())
    if added or removed or changed:
        raise UserError(
            f"the images have changed since the run {run.folder} began: {added} added, {removed} removed, "
            f"{changed} changed in content or split",
            f"put them back, or start a new run, from its weights if you like: model.weights={run.checkpoints / LAST}",
        )


def check_out_of_fold(
    predictions: Sequence[OutOfFold],
    trained_on: Mapping[str, tuple[str, str]],
    tested: Mapping[str, str],
    named: str,
    *,
    may_lack: bool = False,
) -> None:
    """Refuse out-of-fold predictions of other images than those that a run is trained on.

    Images are compared by the hashes of their files, or by their paths where the predictions have no hashes.

    Args:
        predictions: The predictions.
        trained_on: Path → hash and label of each image that is trained on.
        tested: Path → hash of each test image.
        named: The setting that names the predictions, for errors.
        may_lack: Whether images without prediction are accepted, as long as nobody knows which can be read.

    Raises:
        UserError: Naming how many images are missing, are not trained on, or have another label.
    """
    by_hash = all(each.sha256 for each in predictions)
    own, labels = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for path, (sha256, label) in trained_on.items():
        own[sha256 if by_hash else path].add(label)
    for each in predictions:
        labels[each.sha256 if by_hash else each.path].add(each.label)
    test = set(tested.values() if by_hash else tested)
    missing, extra = own.keys() - labels.keys(), labels.keys() - own.keys()
    relabelled = sum(own[key] != labels[key] for key in own.keys() & labels.keys())
    problems = {
        f"lacks {len(missing)} of the {len(own)} training images": bool(missing) and not may_lack,
        f"predicts {amount(len(extra & test), 'test image')}": bool(extra & test),
        f"predicts {amount(len(extra - test), 'image')} that this run does not train on": bool(extra - test),
        f"has another label for {amount(relabelled, 'image')}": relabelled > 0,
    }
    if told := " and ".join(problem for problem, applies in problems.items() if applies):
        raise UserError(
            f"{named} {told}", "train on the images of that cross-validation, or cut folds of these and sweep anew"
        )


def _by_path(images: Iterable[ListedImage]) -> dict[str, list[tuple[str, str]]]:
    """Return split and hash of each path; `data.validate_on=test` puts an image into two splits."""
    found = defaultdict(list)
    for image in images:
        found[image.path].append((image.split, image.sha256))
    return found


def _images_of(data: "MoleDataModule", splits: Sequence[str]) -> list[ListedImage]:
    rows = []
    for name in splits:
        split = data.split(name)
        images, sha256 = split.loaded.images, split.loaded.sha256
        for index in split.positions.tolist():
            label = data.options.class_names[images.targets[index]]
            group = images.groups[index] if images.groups else ""
            rows.append(ListedImage(images.paths[index], name, label, group, sha256[index]))
    return rows
