"""`melanoma-data split`: new train and test splits and folds of any labelled dataset, no lesion in two of them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from melanoma_pl.data.audit.duplicates import clusters_of, find_matches, unsearched
from melanoma_pl.data.audit.scanning import scan
from melanoma_pl.data.labelled_images import LabelledImages, list_images, not_read
from melanoma_pl.data.metadata import METADATA_FILE, find_metadata, group_of, read_table, require_column
from melanoma_pl.data.options import ENDINGS, is_image, is_readable
from melanoma_pl.data.partition.partition_tables import Partition, PartitionedImage, write_tables
from melanoma_pl.data.partition.target_folder import check_target, free_paths, link_or_copy, staged_folder
from melanoma_pl.data.splits import cut_folds, cut_fraction
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.messages import amount, counted

MOST_FOLDS = 20
Rows = Mapping[str, Mapping[str, str]]


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
    """Cut a labelled dataset into train, test and folds, stratified by class, with each group in one part only.

    The cut depends only on the images' paths, labels and groups, and on the seed.

    Args:
        source: An image folder, whose own splits are ignored, or a table of images.
        target: Folder to make, absent or empty: `{train,test}/<class>/<name>`, `split.csv` and `metadata.csv`.
        test_fraction: Fraction of the images to test on, in [0, 1); 0 makes sense with folds only.
        folds: Number of folds to cut the training images into, 2 to 20; None makes no folds.
        seed: Seed of the shuffles.
        metadata: A table with a row per image; `auto` is `<folder>/metadata.csv` if it exists, or the table itself.
        image_column: Column of the metadata and of a table with the image's path.
        label_column: Column of a table with the class.
        group_column: Column of the metadata whose equal values mean one lesion or patient. With or without it,
            near-duplicates are found and kept together.
        copy: Whether to copy the images even where they could be linked.

    Raises:
        UserError: If an argument is out of its range, an image cannot be read, or a class is too small.
    """
    _check_choices(test_fraction, folds, seed)
    check_target(target, source)
    listing = list_images(source, image_column, label_column, split_column=None)
    _check_names(listing, source)
    table = find_metadata(source, metadata)
    rows = read_table(table, image_column, "--image-column", set(listing.paths)) if table else {}
    if group_column is None:
        groups, known_by = [f"image:{path}" for path in listing.paths], "comparing pixels"
        known_by += f" ({table} may know more: --group-column <column>)" if rows else ""
    else:
        groups, known_by = groups_by_column(listing, table, rows, group_column), f"column '{group_column}' and pixels"
    scanned = scan(listing)
    if scanned.broken:
        broken = named([f"{path}: {reason}" for path, reason in scanned.broken.items()])
        raise UserError(f"{broken} of {len(listing)} in {source} cannot be read", "replace or remove them")
    if too_many := unsearched(scanned):
        known_by = f"{known_by}, of which only equal files count: {too_many}"
    groups = join_groups(groups, (match.pair for match in find_matches(scanned)[0]))
    splits, fold_of = _cut(np.array(listing.labels), groups, test_fraction, folds, seed)
    paths = free_paths([f"{split}/{label}" for split, label in zip(splits, listing.labels, strict=True)], listing.paths)
    sha256 = [image.sha256 for image in scanned.images]
    columns = (paths, listing.paths, listing.labels, splits, fold_of, groups, sha256)
    images = sorted((PartitionedImage(*row) for row in zip(*columns, strict=True)), key=lambda image: image.image)
    with staged_folder(target) as staged:
        linking = counted(images, "linking")
        linked = sum(link_or_copy(listing.root / image.source, staged / image.image, copy) for image in linking)
        write_tables(staged, images, rows, image_column)
    return Partition(target, tuple(images), known_by, linked, not_read(listing.others))


def groups_by_column(listing: LabelledImages, table: Path | None, rows: Rows, column: str) -> list[str]:
    """Return the lesion or patient of each image; an image with a blank cell is a group of its own.

    Args:
        listing: N images.
        table: The metadata table, for errors.
        rows: The metadata by path.
        column: Column whose equal values mean one lesion or patient.

    Raises:
        UserError: If there is no table or no such column, or an image has no row.
    """
    if table is None:
        raise UserError(
            f"--group-column {column} needs a metadata table, and {listing.root} has no {METADATA_FILE}",
            "name one with --metadata, or leave --group-column out to keep near-duplicates together",
        )
    missing = [path for path in listing.paths if path not in rows]
    if missing:
        raise UserError(f"{table} has no row for {named(missing)} of {len(listing)}", "add them, or correct the paths")
    require_column(table, list(rows[listing.paths[0]]), column, "--group-column")
    return [group_of(rows[path][column], path) for path in listing.paths]


def join_groups(groups: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Join the groups of images that belong together, whatever the metadata says of them.

    Args:
        groups: Group of each image.
        pairs: Indices of two images that belong together.

    Returns:
        The group of each image; joined groups take the alphabetically first of their names.
    """
    names = sorted(set(groups))
    number = {name: index for index, name in enumerate(names)}
    edges = [(number[groups[first]], number[groups[second]]) for first, second in pairs]
    joined = {names[member]: names[members[0]] for members in clusters_of(edges, len(names)) for member in members}
    return [joined.get(group, group) for group in groups]


def named(paths: Sequence[str]) -> str:
    """Return "4 images (a, b, c, …)"."""
    return f"{amount(len(paths), 'image')} ({first_of(paths)})"


def _check_choices(test_fraction: float, folds: int | None, seed: int) -> None:
    if not 0 <= test_fraction < 1:
        raise UserError(f"--test {test_fraction:g} is not allowed", "give a fraction from 0 to below 1")
    if folds is not None and not 2 <= folds <= MOST_FOLDS:
        raise UserError(f"--folds {folds} is not allowed", f"give a number from 2 to {MOST_FOLDS}")
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed {seed} is not allowed", f"give a whole number from 0 to {2**32 - 1}")
    if test_fraction == 0 and folds is None:
        raise UserError("--test 0 without folds leaves nothing to cut", "add --folds 5, or take a larger --test")


def _check_names(listing: LabelledImages, source: Path) -> None:
    """Refuse labels that cannot name a folder, a single class, and file names that training would ignore."""
    for label in sorted(set(listing.labels)):
        if not label or label.startswith((".", "__")) or "/" in label or "\\" in label:
            paths = [path for path, other in zip(listing.paths, listing.labels, strict=True) if other == label]
            raise UserError(
                f"{source} gives {named(paths)} the label '{label}', which cannot name a folder", "correct the label"
            )
    if len(set(listing.labels)) == 1:
        raise UserError(f"{source} has images of one class only, '{listing.labels[0]}'", "add images of another class")
    odd = [path for path in listing.paths if not is_image(Path(Path(path).name))]
    if odd:
        allowed = ", ".join(filter(is_readable, ENDINGS))
        raise UserError(
            f"{source} lists {named(odd)} with names that are not those of images",
            f"allowed are {allowed}",
        )


def _cut(
    labels: np.ndarray, groups: list[str], test_fraction: float, folds: int | None, seed: int
) -> tuple[list[str], list[int | None]]:
    """Return the split and the fold of each image."""
    is_test = np.zeros(len(labels), dtype=bool)
    if test_fraction > 0:
        way_out = "add images, or take a --test nearer 0.5"
        is_test = cut_fraction(labels, groups, test_fraction, seed, "a test split", way_out)
    fold_of: list[int | None] = [None] * len(labels)
    if folds is not None:
        train = np.flatnonzero(~is_test)
        own_groups, way_out = [groups[index] for index in train], "add images, or take fewer --folds"
        cut = cut_folds(labels[train], own_groups, folds, seed, "cross-validation", way_out)
        for index, fold in zip(train.tolist(), cut.tolist(), strict=True):
            fold_of[index] = fold
    return ["test" if each else "train" for each in is_test], fold_of
