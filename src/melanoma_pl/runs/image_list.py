"""`images.csv` of a run, read: which image was in which split, and the hash of its file. Light.

`images.csv` of a run: which image trained, which validated; what a resumed run is compared with.
"""

import csv
import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.runs.run_folder import IMAGES, LAST, Run, is_main_process


class ListedImage(NamedTuple):
    """A row of the list.

    Attributes:
        path: Relative to the root of the images, with `/`.
        split: `train`, `validation` or `test`.
        sha256: Of the file.
    """

    path: str
    split: str
    sha256: str


def listed_images(run: Run) -> list[ListedImage] | None:
    """Return the images that a run has listed; None of an old run, which has no list.

    Raises:
        UserError: If the list cannot be read.
    """
    try:
        return read_list(run)
    except (OSError, ValueError) as error:
        raise UserError(f"{run.folder / IMAGES} cannot be read ({error})") from error


def read_list(run: Run) -> list[ListedImage] | None:
    """Return the same.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If it is no such list; the message says why.
    """
    table = run.folder / IMAGES
    if not table.is_file():
        return None
    with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.DictReader(file)
        try:
            rows = [ListedImage(row["path"], row["split"], row["sha256"]) for row in reader]
        except KeyError as error:
            raise ValueError(f"it has no column {error}") from error
        except csv.Error as error:
            raise ValueError(str(error)) from error
    if any(None in row for row in rows):  # what DictReader gives where a line has too few cells
        raise ValueError("a line of it is cut short")
    return rows


logger = logging.getLogger(__name__)


def check_images(run: Run, data: MoleDataModule, splits: Sequence[str]) -> bool:
    """Note which images train on what, or compare with what was noted.

    Returns:
        Whether the run goes on from a checkpoint.

    Raises:
        UserError: If the images are no longer those that the run began with.
    """
    resumed = (run.checkpoints / LAST).is_file()
    if resumed:
        compare_images(run, data, splits)
    elif is_main_process():
        rows = image_rows(data, splits)
        with write_atomically(run.folder / IMAGES) as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return resumed


def compare_images(run: Run, data: MoleDataModule, splits: Sequence[str]) -> None:
    """Compare the images of some splits with those that the run noted; a split that it did not note is let pass.

    An old run that noted none is let pass, too, and that is said.

    Raises:
        UserError: If the list cannot be read, or images were added, removed or changed, or are in another split now.
    """
    listed = listed_images(run)
    if listed is None:
        logger.warning(
            "%s has no %s: whether these are the images that it began with cannot be checked", run.folder, IMAGES
        )
        return
    noted = [image for image in listed if image.split in splits]
    known = {image.split for image in noted}
    now = image_rows(data, [name for name in splits if name in known])
    before = _by_path(noted)
    after = _by_path(ListedImage(row["path"], row["split"], row["sha256"]) for row in now)
    added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
    changed = sum(before[path] != after[path] for path in before.keys() & after.keys())
    if added or gone or changed:
        raise UserError(
            f"the images changed since the run {run.folder} began: {added} added, {gone} gone, {changed} changed "
            "in content or split",
            f"put them back, or start a new run, from its weights if you like: model.weights={run.checkpoints / LAST}",
        )


def _by_path(images: Iterable[ListedImage]) -> dict[str, list[tuple[str, str]]]:
    """Return each image's splits (the original validates on test: two) with the hash of its file."""
    found: dict[str, list[tuple[str, str]]] = {}
    for image in images:
        found.setdefault(image.path, []).append((image.split, image.sha256))
    return found


def image_rows(data: MoleDataModule, splits: Sequence[str]) -> list[dict[str, str]]:
    """Return a row an image: path, split, label, lesion, and the hash of its file."""
    rows = []
    for name in splits:
        split = data.split(name)
        images, sha256 = split.loaded.images, split.loaded.sha256
        for position in split.positions.tolist():
            rows.append(
                {
                    "path": images.paths[position],
                    "split": name,
                    "label": data.class_names[images.targets[position]],
                    "group": images.groups[position] if images.groups else "",
                    "sha256": sha256[position],
                }
            )
    return rows
