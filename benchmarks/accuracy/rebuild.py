"""The split of `isic_moles`, rebuilt from the download of Kaggle's dataset: the same 400 test images."""

import csv
from pathlib import Path

from melanoma_pl.data.audit.duplicates import find_matches
from melanoma_pl.data.audit.scanning import scan
from melanoma_pl.data.labelled_images import LabelledImages, list_images
from melanoma_pl.data.partition.partition_tables import PartitionedImage, write_tables
from melanoma_pl.data.partition.partitioning import join_groups, named
from melanoma_pl.data.partition.target_folder import check_target, link_or_copy, staged_folder
from melanoma_pl.errors import UserError

TEST_IMAGES = Path(__file__).with_name("isic_moles_test.csv")
LETTERS = 16  # of a file's hash in the list
TRAIN = "train/"  # folder of the download that the dataset is made of; its own test part is not used


def rebuild(source: Path, target: Path) -> str:
    """Make the folder from Kaggle's dataset, as `melanoma-data prepare kaggle-benign-malignant` has laid it out.

    Near-duplicates have one group in its `metadata.csv`; lesions that only HAM10000's table knows are not among them.

    Returns:
        What was made, in a line.

    Raises:
        UserError: If test images are missing or have other bytes, or the target is taken.
    """
    check_target(target, source)
    found = list_images(source)
    images = found.take([index for index, path in enumerate(found.paths) if path.startswith(TRAIN)])
    scanned = scan(images)
    if scanned.broken:
        raise UserError(f"{named(list(scanned.broken))} cannot be read", "download the dataset anew")
    hashes = [image.sha256 for image in scanned.images]
    tested = _test_paths(images, hashes)
    groups = join_groups([f"image:{path}" for path in images.paths], (match.pair for match in find_matches(scanned)[0]))
    rows = []
    for path, label, group, sha256 in zip(images.paths, images.labels, groups, hashes, strict=True):
        split = "test" if path in tested else "train"
        rows.append(PartitionedImage(f"{split}/{path.removeprefix(TRAIN)}", path, label, split, None, group, sha256))
    with staged_folder(target) as staged:
        for row in rows:
            link_or_copy(source / row.source, staged / row.image, copy=False)
        write_tables(staged, rows, {}, "image")
    trained = {row.group for row in rows if row.split == "train"}
    shared = sum(row.split == "test" and row.group in trained for row in rows)
    return (
        f"{target}: {len(rows) - len(tested)} train, {len(tested)} test images, "
        f"{shared} of which have a near-duplicate in train"
    )


def _test_paths(images: LabelledImages, hashes: list[str]) -> set[str]:
    with TEST_IMAGES.open(encoding="utf-8") as file:
        wanted = {f"{TRAIN}{row['image']}": row["sha256"] for row in csv.DictReader(file)}
    own = {path: sha256[:LETTERS] for path, sha256 in zip(images.paths, hashes, strict=True)}
    if other := [path for path, sha256 in wanted.items() if own.get(path) != sha256]:
        problem = f"{named(other)} of the {len(wanted)} test images are missing or have other bytes"
        raise UserError(problem, "give Kaggle's dataset as melanoma-data prepare kaggle-benign-malignant lays it out")
    return set(wanted)
