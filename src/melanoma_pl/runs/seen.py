"""What a run saw of the photos that it is compared on: a model must not be judged on what it was trained on. Light."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from melanoma_pl.errors import UserError
from melanoma_pl.reporting.words import amount
from melanoma_pl.runs.predictions import Predictions

PHOTOS = "photos.csv"
TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Seen:
    """Which photos a run saw, as its `photos.csv` notes them.

    Attributes:
        sha256: Split → path → hash of the file; empty where nothing is noted.
    """

    sha256: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def files(self, split: str) -> Mapping[str, str]:
        """Return path → hash of one split."""
        return self.sha256.get(split, {})

    def count(self, split: str, side: Predictions, contents: set[str]) -> int:
        """Return how many of the photos compared on a split of the run holds: by path if they are its own set's."""
        files = self.files(split)
        return len(files.keys() & side.photos.keys()) if side.own_photos else len(set(files.values()) & contents)


def read_seen(side: Predictions) -> Seen:
    """Return what the runs of some predictions noted; nothing where one of them noted none.

    Raises:
        UserError: If a list cannot be read.
    """
    lists = [run.folder / PHOTOS for run in side.runs]
    sha256: dict[str, dict[str, str]] = defaultdict(dict)
    if all(path.is_file() for path in lists):
        for path in lists:
            _read_list(path, sha256)
    return Seen(sha256)


def _read_list(path: Path, sha256: dict[str, dict[str, str]]) -> None:
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            for row in csv.DictReader(file):
                sha256[row["split"]][row["path"]] = row["sha256"]
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error})") from error
    except KeyError as error:
        raise UserError(f"{path} cannot be read (it has no column {error})") from error


def check_training(name: str, side: Predictions, seen: Seen, contents: set[str]) -> None:
    """Refuse photos that the model was trained on.

    Args:
        name: `A` or `B`.
        side: Its predictions.
        seen: What it saw.
        contents: Hashes of the photos compared on, as far as they are noted.

    Raises:
        UserError: If it was trained on any of them.
    """
    if trained_on := seen.count(TRAIN, side, contents):
        raise UserError(
            f"{name} ({side.source.place}) was trained on {trained_on} of these {amount(len(side.photos), 'photo')}",
            "compare on photos that neither was trained on",
        )


def warnings_about(name: str, side: Predictions, seen: Seen, contents: set[str]) -> Iterator[str]:
    """Say what makes a model's figures on these photos too good, or may do so; the arguments are those above."""
    these = f"these {amount(len(side.photos), 'photo')}"
    if side.own_photos and side.record and side.record["config"]["data"]["validate_on"] == "test":
        yield f"{name} validated on the test photos, as the original did: its figures on them are too good."
    elif validated := seen.count(VALIDATION, side, contents):
        yield f"{name} chose its epoch and its threshold on {validated} of {these}: its figures are too good."
    if not seen.sha256:
        yield f"{name} has no list of its training photos ({PHOTOS}): whether these are among them cannot be checked."
    elif not side.own_photos and not contents:
        yield f"These are not the photos of {name}'s run: whether it was trained on them cannot be checked."
    if copies := len(set(seen.files(TRAIN).values()) & contents):
        yield f"{copies} of {these} are, byte for byte, among those that {name} was trained on, under other names."
    if shared := sum(photo.shares_lesion_with_train for photo in side.photos.values()):
        yield f"{shared} of {these} show a lesion that {name} was trained on."
