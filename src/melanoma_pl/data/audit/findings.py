"""What an audit found, as plain values: for the terminal, the JSON file, the page and the exit code."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["exact", "near", "lesion"]
TELLING = 0.6  # AUROC: where the whole interval lies above, a network may have learnt the same


@dataclass(frozen=True)
class ImagePair:
    """Two images that are one image, or show one lesion.

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
    similarity: float | None
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
        """Whether the two are one image with two labels; of one patient two moles may well be different."""
        return self.kind != "lesion" and self.labels[0] != self.labels[1]


@dataclass(frozen=True)
class LabelConflict:
    """An image whose label its diagnosis contradicts."""

    path: str
    split: str
    label: str
    diagnosis: str
    means: str


@dataclass(frozen=True)
class LabelShortcut:
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
        root: The images' folder (of a table: its folder), as it was given.
        inventory: Counts: `images`, `per_split` {split: {label: n}}, `formats`, `modes`, `sizes` ({"224×224": n}, the
            20 most frequent), `different_sizes`, `bytes` (sum over all files).
        broken: Path → why it cannot be read.
        others: Files that are no images.
        pairs: Every two images that pixels show to be one: within a split, leaks, conflicts; and leaks that only the
            metadata knows of.
        shared_groups: Lesions or patients on both sides of a split, by the metadata: name → its images; empty where
            the metadata does not tell.
        group_column: Column that told them, or None.
        label_conflicts: Images whose diagnosis contradicts their label; empty where no metadata has one.
        giveaways: How well the label is told by what should not tell it.
        leaking_test_images: Sorted paths of the test images (where there is no test: of the last split) that have a
            partner in another split, by pixels or by metadata.
        clusters: Sorted paths of images that belong together by pixels, in sorted order; singles are left out.
        quarantine: Path → why it should be left out of training.
        fingerprint: Of all images' paths and contents.
        seconds: What the audit took.
        notes: What else should be said.
        words: What was audited, as it was typed: the source and the options that go with it.
        listing: Fingerprint of the listing that was audited: of its paths, splits and labels.
        left_out: Paths that were excluded before the audit, sorted.
        leaking_train_images: Sorted paths of the partners that `leaking_test_images` have in other splits.
    """

    root: str
    inventory: dict[str, Any]
    broken: dict[str, str]
    others: tuple[str, ...]
    pairs: tuple[ImagePair, ...]
    shared_groups: dict[str, tuple[str, ...]]
    group_column: str | None
    label_conflicts: tuple[LabelConflict, ...]
    shortcuts: tuple[LabelShortcut, ...]
    leaking_test_images: tuple[str, ...]
    clusters: tuple[tuple[str, ...], ...]
    quarantine: dict[str, str]
    fingerprint: str
    seconds: float
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    listing: str = ""
    left_out: tuple[str, ...] = ()
    leaking_train_images: tuple[str, ...] = ()

    @property
    def excluded(self) -> int:
        """How many images were left out before the audit, by a quarantine list."""
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
