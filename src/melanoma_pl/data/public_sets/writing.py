"""The prepared set on disk: photos in their places, the table, and the list of what is not in it."""

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from melanoma_pl.data.placing import free_places, staged_folder
from melanoma_pl.data.public_sets.record import COLUMNS, LEFT_OUT_COLUMNS, Download, LeftOut
from melanoma_pl.data.public_sets.tasks import Chosen

Rows = list[dict[str, Any]]


def write_set(
    download: Download,
    chosen: Sequence[Chosen],
    left_out: Sequence[LeftOut],
    target: Path,
    table_only: bool,
    copy: bool,
) -> tuple[Rows, Counter[str]]:
    """Make `target`, complete or not at all.

    Args:
        download: Where the photos come from.
        chosen: The photos, with group and split.
        left_out: Photos that are not among them.
        target: Folder to make.
        table_only: Leave the photos where they are.
        copy: Copy them instead of linking them.

    Returns:
        The table's rows; and what was done with photos (linked, copied, written) → how many.
    """
    places = _places(download, target, chosen, table_only)
    rows = [_row(photo, place) for photo, place in zip(chosen, places, strict=True)]
    with staged_folder(target) as staged:
        made = Counter() if table_only else _save(download, chosen, staged, places, copy)
        _write(staged / "metadata.csv", COLUMNS, sorted(rows, key=lambda row: str(row["image"])))
        if left_out:
            _write(staged / "left_out.csv", LEFT_OUT_COLUMNS, map(vars, left_out))
    return rows, made


def _places(download: Download, target: Path, chosen: Sequence[Chosen], table_only: bool) -> list[str]:
    """Return each photo's path relative to `target`: its place there, or, for a table alone, where it lies."""
    if table_only and download.folder is not None:
        there = os.path.relpath(download.folder.resolve(), target.resolve())
        return [Path(there, photo.entry.original).as_posix() for photo in chosen]
    folders = [f"{photo.split}/{photo.label}" for photo in chosen]
    return free_places(folders, [photo.entry.name or photo.entry.original for photo in chosen])


def _row(photo: Chosen, place: str) -> dict[str, Any]:
    facts = photo.entry.facts
    said = {**vars(photo.entry), **vars(facts), **vars(photo), "image": place, "written": "".join(facts.written[:1])}
    return {column: said[column] for column in COLUMNS}


def _save(
    download: Download, chosen: Sequence[Chosen], staged: Path, places: Sequence[str], copy: bool
) -> Counter[str]:
    photos = tqdm(zip(chosen, places, strict=True), "photos", len(chosen), leave=False, unit="photo", disable=None)
    return Counter(download.save(photo.entry, staged / place, copy) for photo, place in photos)


def _write(file: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
