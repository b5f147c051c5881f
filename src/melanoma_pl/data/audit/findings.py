"""What an audit found, as plain values: for the terminal, the JSON file, the page and the exit code.

Photos whose label their diagnosis contradicts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from melanoma_pl.data.image_set import Listing, meaning
from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.public_sets.diagnoses import malignancies

Kind = Literal["exact", "near", "lesion"]
TELLING = 0.6  # AUROC: where the whole interval lies above, a network may have learnt the same


@dataclass(frozen=True)
class ImagePair:
    """Two photos that are one photo, or show one lesion.

    Attributes:
        first: Path relative to the root; of a leak the one that is not in `test`.
        second: Path of the other.
        kind: `exact` (the same pixels), `near` (recompressed, resized, mirrored, turned, cropped, brightened, or taken
            again from the same place), `lesion` (only the metadata says so).
        likeness: Correlation of fine detail after the two were laid over each other, -1 to 1; 1 for `exact`, None
            for `lesion`.
        turn: How the second lies against the first: `as it is`, `mirrored`, `turned by 90°`, ….
        splits: Of the first and of the second.
        labels: Of the first and of the second.
        same_lesion: Whether the metadata knows them for one lesion; None where it does not tell.
    """

    first: str
    second: str
    kind: Kind
    likeness: float | None
    turn: str
    splits: tuple[str, str]
    labels: tuple[str, str]
    same_lesion: bool | None = None

    @property
    def is_leak(self) -> bool:
        """Whether the two are in different splits."""
        return self.splits[0] != self.splits[1]

    @property
    def is_conflict(self) -> bool:
        """Whether the two are one photo with two labels; of one patient two moles may well be different."""
        return self.kind != "lesion" and self.labels[0] != self.labels[1]


@dataclass(frozen=True)
class LabelConflict:
    """A photo whose label its diagnosis contradicts."""

    path: str
    split: str
    label: str
    diagnosis: str
    means: str


@dataclass(frozen=True)
class Giveaway:
    """How well something that a network should not need tells the label.

    Attributes:
        name: `file facts`, `picture size`, `mean colour`, `outer border`.
        auroc: Cross-validated, lesions kept together; None where it cannot be computed.
        interval: Of 95 %; None where it cannot be computed.
        sentence: What that means, in one sentence.
    """

    name: str
    auroc: float | None
    interval: tuple[float, float] | None
    sentence: str

    @property
    def tells(self) -> bool:
        """Whether the label is told clearly better than by a guess."""
        return self.interval is not None and self.interval[0] >= TELLING


@dataclass(frozen=True)
class Audit:
    """All that an audit found.

    Attributes:
        root: The photos' folder (of a table: its folder), as it was given.
        inventory: Counts: `photos`, `per_split` {split: {label: n}}, `formats`, `modes`, `sizes` ({"224×224": n}, the
            20 most frequent), `different_sizes`, `bytes` (sum over all files).
        broken: Path → why it cannot be read.
        others: Files that are no photos.
        pairs: Every two photos that pixels show to be one: within a split, leaks, conflicts; and leaks that only the
            metadata knows of.
        shared_groups: Lesions or patients on both sides of a split, by the metadata: name → its photos; empty where
            the metadata does not tell.
        group_column: Column that told them, or None.
        label_conflicts: Photos whose diagnosis contradicts their label; empty where no metadata has one.
        giveaways: How well the label is told by what should not tell it.
        leaking_test_photos: Sorted paths of the test photos (where there is no test: of the last split) that have a
            partner in another split, by pixels or by metadata.
        clusters: Sorted paths of photos that belong together by pixels, in sorted order; singles are left out.
        quarantine: Path → why it should be left out of training.
        fingerprint: Of all photos' paths and contents.
        seconds: What the audit took.
        notes: What else should be said.
        words: What was audited, as it was typed: the source and the options that go with it.
        listing: Fingerprint of the listing that was audited: of its paths, splits and labels.
        left_out: Paths that were excluded before the audit, sorted.
        leaking_train_photos: Sorted paths of the partners that `leaking_test_photos` have in other splits.
    """

    root: str
    inventory: dict[str, Any]
    broken: dict[str, str]
    others: tuple[str, ...]
    pairs: tuple[ImagePair, ...]
    shared_groups: dict[str, tuple[str, ...]]
    group_column: str | None
    label_conflicts: tuple[LabelConflict, ...]
    giveaways: tuple[Giveaway, ...]
    leaking_test_photos: tuple[str, ...]
    clusters: tuple[tuple[str, ...], ...]
    quarantine: dict[str, str]
    fingerprint: str
    seconds: float
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    listing: str = ""
    left_out: tuple[str, ...] = ()
    leaking_train_photos: tuple[str, ...] = ()

    @property
    def excluded(self) -> int:
        """How many photos were left out before the audit, by a quarantine list."""
        return len(self.left_out)

    @property
    def leaks(self) -> tuple[ImagePair, ...]:
        """Pairs across splits."""
        return tuple(pair for pair in self.pairs if pair.is_leak)

    @property
    def conflicts(self) -> tuple[ImagePair, ...]:
        """Pairs across labels."""
        return tuple(pair for pair in self.pairs if pair.is_conflict)

    @property
    def is_clean(self) -> bool:
        """Whether there is neither a leak nor a conflict."""
        return not (self.leaks or self.shared_groups or self.conflicts or self.label_conflicts)


DIAGNOSIS = "diagnosis"
SEPARATOR = "|"  # between the diagnoses of several sources


def find_label_conflicts(listing: Listing, rows: Mapping[str, Mapping[str, str]] | None) -> tuple[LabelConflict, ...]:
    """Compare each label with what the photo's diagnosis means.

    Only a label that means benign or malignant can be contradicted; a diagnosis that is unknown, uncertain or disputed
    among its sources contradicts nothing.

    Args:
        listing: The photos.
        rows: Their metadata by path, or None; its column `diagnosis` is what counts.
    """
    if rows is None:
        return ()
    known = malignancies()
    found = []
    for path, label, split in zip(listing.paths, listing.labels, listing.splits, strict=True):
        diagnosis = rows.get(path, {}).get(DIAGNOSIS, "")
        meanings = {known.get(part.strip().lower(), "unknown") for part in diagnosis.split(SEPARATOR)}
        means = meanings.pop() if len(meanings) == 1 else "disputed"
        if {meaning(label), means} == set(CLASS_NAMES):
            found.append(LabelConflict(path, split, label, diagnosis, means))
    return tuple(found)
