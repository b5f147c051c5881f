"""`melanoma-data split`: any labelled set → train, test and folds cut anew, with no lesion on two sides."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from melanoma_pl.data.audit.duplicates import cluster_images
from melanoma_pl.data.audit.scanning import Scan, scan
from melanoma_pl.data.image_set import ImageListing, list_source
from melanoma_pl.data.layout import ENDINGS, is_image
from melanoma_pl.data.metadata import find_metadata, read_table
from melanoma_pl.data.partition.grouping import groups_by_column, joined, named
from melanoma_pl.data.partition.partition_tables import Partition, PartitionedImage, write_tables
from melanoma_pl.data.partition.target_folder import check_target, free_paths, place, staged_folder
from melanoma_pl.data.splits import cut_folds, cut_fraction
from melanoma_pl.errors import UserError

__all__ = ["Partition", "partition"]

MOST_FOLDS = 20


def partition(
    source: Path,
    target: Path,
    *,
    test_fraction: float = 0.2,
    folds: int | None = None,
    seed: int = 0,
    metadata: str | Path | None = "auto",
    image_column: str = "image",
    label_column: str = "label",
    group_column: str | None = None,
    copy: bool = False,
) -> Partition:
    """Cut a labelled set into train, test and folds, stratified by class and with each group on one side only.

    The cut depends on the images' paths, labels and groups, and on the seed, on nothing else.

    Args:
        source: An image folder, whose own splits do not count, or a table of images.
        target: Folder to make, absent or empty: `{train,test}/<class>/<name>`, `split.csv` and `metadata.csv`.
        test_fraction: Share of the images to test on, in [0, 1); 0 is none, which makes sense with folds only.
        folds: Cut the training images into so many as well, 2 to 20; None does not.
        seed: Of the shuffles.
        metadata: A table with a row an image; `auto` is `<folder>/metadata.csv` if it is there, or the table itself.
        image_column: Column with the image's path, of the metadata and of a table.
        label_column: Of a table: column with the class.
        group_column: Of the metadata: column whose equal values mean one lesion or patient. With or without it,
            near-duplicates are found and kept together.
        copy: Copy the images even where they could be linked.

    Raises:
        UserError: If a choice is out of its range, an image cannot be read, or a class is too small.
    """
    _check_choices(test_fraction, folds, seed)
    check_target(target, source)
    listing = list_source(source, image_column, label_column, split_column=None)
    _check_names(listing, source)
    table = find_metadata(source, metadata)
    rows = read_table(table, image_column, "--image-column", set(listing.paths)) if table else {}
    if group_column is None:
        groups, known_by = [f"image:{path}" for path in listing.paths], "comparing pixels"
        known_by += f" ({table} may know more: --group-column <column>)" if rows else ""
    else:
        groups, known_by = groups_by_column(listing, table, rows, group_column), f"column '{group_column}' and pixels"
    scanned = _scan_readable(listing, source)
    groups = joined(groups, listing.paths, cluster_images(scanned))
    sha256 = [entry.sha256 for entry in scanned.images]
    splits, fold_of = _cut(listing, groups, test_fraction, folds, seed)
    classes = [f"{split}/{label}" for split, label in zip(splits, listing.labels, strict=True)]
    places = free_paths(classes, listing.paths)
    columns = (places, listing.paths, listing.labels, splits, fold_of, groups, sha256)
    images = sorted((PartitionedImage(*row) for row in zip(*columns, strict=True)), key=lambda entry: entry.image)
    with staged_folder(target) as staged:
        bar = tqdm(images, desc="placing images", unit=" images", leave=False, disable=None)
        linked = sum(place(listing.root / entry.source, staged / entry.image, copy) for entry in bar)
        write_tables(staged, images, rows, image_column)
    return Partition(target, tuple(images), known_by, linked)


def _check_choices(test_fraction: float, folds: int | None, seed: int) -> None:
    if not 0 <= test_fraction < 1:
        raise UserError(f"--test {test_fraction:g} is not allowed", "it should be a share from 0 to below 1")
    if folds is not None and not 2 <= folds <= MOST_FOLDS:
        raise UserError(f"--folds {folds} is not allowed", f"it should be 2 to {MOST_FOLDS}")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed {seed} is not allowed", f"it should be 0 to {2**32 - 1}")
    if test_fraction == 0 and folds is None:
        raise UserError("--test 0 without folds leaves nothing to cut", "add --folds 5, or take a larger --test")


def _check_names(listing: ImageListing, source: Path) -> None:
    """Refuse labels that cannot name a folder, one class alone, and files that training would take for no images."""
    labels = sorted(set(listing.labels))
    for label in labels:
        if not label or label.startswith((".", "__")) or "/" in label or "\\" in label:
            paths = [path for path, other in zip(listing.paths, listing.labels, strict=True) if other == label]
            raise UserError(f"{source} gives {named(paths)} the label '{label}', which cannot name a folder", "mend it")
    if len(labels) == 1:
        raise UserError(f"{source} has images of one class only, '{labels[0]}'", "add images of another")
    odd = [path for path in listing.paths if not is_image(Path(Path(path).name))]
    if odd:
        raise UserError(f"{source} lists {named(odd)} by names of no images", f"allowed are {', '.join(ENDINGS)}")


def _scan_readable(listing: ImageListing, source: Path) -> Scan:
    """Read every image.

    Raises:
        UserError: If one cannot be read.
    """
    scanned = scan(listing)
    broken = [f"{path}: {reason}" for path, reason in scanned.broken.items()]
    if broken:
        raise UserError(f"{named(broken)} of {len(listing)} in {source} cannot be read", "replace or remove them")
    return scanned


def _cut(
    listing: ImageListing, groups: list[str], test_fraction: float, folds: int | None, seed: int
) -> tuple[list[str], list[int | None]]:
    """Return each image's split and fold."""
    labels, names = np.array(listing.labels), np.array(groups)
    is_test = np.zeros(len(listing), dtype=bool)
    if test_fraction > 0:
        is_test = cut_fraction(
            labels, groups, test_fraction, seed, "a test split", "add images, or take a --test nearer 0.5"
        )
    fold_of: list[int | None] = [None] * len(listing)
    if folds is not None:
        train = np.flatnonzero(~is_test)
        way_out = "add images, or take fewer --folds"
        cut = cut_folds(labels[train], names[train].tolist(), folds, seed, "cross-validation", way_out)
        for position, fold in zip(train.tolist(), cut.tolist(), strict=True):
            fold_of[position] = fold
    return ["test" if each else "train" for each in is_test], fold_of
