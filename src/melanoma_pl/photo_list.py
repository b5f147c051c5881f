"""`photos.csv` of a run: which photo trained, which validated; what a resumed run is compared with."""

import csv

from melanoma_pl.callbacks.checkpoints import LAST
from melanoma_pl.data.module import MoleDataModule
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.runs import Run

PHOTOS = "photos.csv"


def check_photos(run: Run, data: MoleDataModule) -> bool:
    """Note which photos train on what, or compare with what was noted.

    Returns:
        Whether the run goes on from a checkpoint.

    Raises:
        UserError: If the photos are no longer those that the run began with.
    """
    rows = _photo_rows(data)
    noted = run.folder / PHOTOS
    resumed = (run.checkpoints / LAST).is_file()
    if resumed and noted.is_file():
        with noted.open(newline="", encoding="utf-8") as file:
            before = {row["path"]: row for row in csv.DictReader(file)}
        after = {row["path"]: row for row in rows}
        added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
        changed = sum(before[path] != after[path] for path in before.keys() & after.keys())
        if added or gone or changed:
            raise UserError(
                f"the photos changed since the run {run.folder} began: {added} added, {gone} gone, {changed} changed "
                "in content, lesion or split",
                "put them back, or start a new run, from its weights if you like: "
                f"model.weights={run.checkpoints / LAST}",
            )
    else:
        with write_atomically(noted) as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return resumed


def _photo_rows(data: MoleDataModule) -> list[dict[str, str]]:
    rows = []
    for name in ("train", "validation"):
        split = data.split(name)
        loaded = split.loaded
        for position in split.positions.tolist():
            photos = loaded.photos
            rows.append(
                {
                    "path": photos.paths[position],
                    "split": name,
                    "label": data.class_names[photos.targets[position]],
                    "group": photos.groups[position] if photos.groups else "",
                    "sha256": loaded.sha256[position],
                }
            )
    return rows
