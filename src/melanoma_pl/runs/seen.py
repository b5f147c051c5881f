"""What a run saw of the photos that it is compared on: a model must not be judged on what it was trained on. Light."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from melanoma_pl.errors import UserError
from melanoma_pl.reporting.words import amount
from melanoma_pl.runs.folder import PHOTOS
from melanoma_pl.runs.listed import listed_photos
from melanoma_pl.runs.predictions import Predictions

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Seen:
    """Which photos a run saw, or several that judged together, as their `photos.csv` note them.

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
        """Return how many of the photos compared on a split of the run holds: by path if they are its own set's."""
        if side.own_photos:
            return len(self.files(split).keys() & side.photos.keys())
        return len(self.contents(split) & contents)


def read_seen(side: Predictions) -> Seen:
    """Return what the runs of some predictions noted; nothing where one of them noted none.

    Raises:
        UserError: If a list cannot be read.
    """
    sha256: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for run in side.runs:
        photos = listed_photos(run)
        if photos is None:
            return Seen()
        for photo in photos:
            sha256[photo.split].setdefault(photo.path, set()).add(photo.sha256)
    return Seen(sha256)


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
    validated = seen.count(VALIDATION, side, contents)
    on_test = any(record["config"]["data"].get("validate_on") == "test" for record in side.records)
    if on_test and (side.own_photos or validated):  # what the runs of another set validated on says nothing of this one
        yield f"{name} validated on the test photos, as the original did: its figures on them are too good."
    elif validated:
        yield f"{name} chose its epoch and its threshold on {validated} of {these}: its figures are too good."
    if not seen.sha256:
        yield f"{name} has no list of its training photos ({PHOTOS}): whether these are among them cannot be checked."
    elif not side.own_photos and not contents:
        yield f"These are not the photos of {name}'s run: whether it was trained on them cannot be checked."
    if copies := len(seen.contents(TRAIN) & contents):
        yield f"{copies} of {these} are, byte for byte, among those that {name} was trained on, under other names."
    if known := sum(photo.is_known for photo in side.photos.values()):
        yield f"{known} of {these} show a lesion, or are a copy, of the train folder of {name}'s run."
