"""The findings of an audit as plain values: for the terminal, the JSON file, the page and the exit code."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["exact", "near", "lesion"]
NO_IMAGES = "--no-images"  # option of the audit: a page without thumbnails
TELLING = 0.6  # AUROC: where the whole interval lies above, a network may have learnt the same


@dataclass(frozen=True)
class ImagePair:
    """Two images that are copies of one image, or that show one lesion.

    Attributes:
        first: Path relative to the root; in a leak, the image of the earlier split.
        second: Path of the other image.
        kind: `exact` (the same pixels), `near` (recompressed, resized, mirrored, rotated, cropped, brightened, or taken
            again from the same position), `lesion` (only the metadata says so).
        similarity: Correlation of fine detail after the two were aligned, -1 to 1; 1 for `exact`, None for `lesion`.
        turn: Orientation of the second image relative to the first: `as it is`, `mirrored`, `turned by 90°`, ….
        splits: Splits of the first and the second image.
        labels: Labels of the first and the second image.
        same_lesion: Whether the metadata gives both images the same lesion; None where it says nothing.
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
        """True if the two images are in different splits."""
        return self.splits[0] != self.splits[1]

    @property
    def is_conflict(self) -> bool:
        """True if copies of one image have two labels; two moles of one patient may well have different ones."""
        return self.kind != "lesion" and self.labels[0] != self.labels[1]


@dataclass(frozen=True)
class LabelConflict:
    """An image whose diagnosis contradicts its label.

    Attributes:
        path: Path of the image relative to the root.
        split: Its split; empty where it has none.
        label: Its label.
        diagnosis: Its diagnosis as the metadata has it.
        means: Class that the diagnosis stands for: `benign` or `malignant`.
    """

    path: str
    split: str
    label: str
    diagnosis: str
    means: str


@dataclass(frozen=True)
class LabelShortcut:
    """The AUROC at which something that a network should not need predicts the label.

    Attributes:
        name: `file facts`, `image size`, `mean colour`, `outer border` or `missing metadata`.
        auroc: Cross-validated, with the images of a lesion in one fold; None where it cannot be computed.
        interval: 95 % confidence interval of the AUROC; None where it cannot be computed.
        sentence: What the figure means.
        gaps: Sentences on columns of the metadata that are unknown for one class far more often than for the other.
    """

    name: str
    auroc: float | None
    interval: tuple[float, float] | None
    sentence: str
    gaps: tuple[str, ...] = ()

    @property
    def tells(self) -> bool:
        """True if the label is predicted clearly better than by chance, or for a part of the images almost surely."""
        return bool(self.gaps) or (self.interval is not None and self.interval[0] >= TELLING)


@dataclass(frozen=True)
class Audit:
    """All findings of an audit.

    Attributes:
        root: The images' folder (for a table: the table's folder), as it was given.
        inventory: Counts: `images`, `per_split` {split: {label: n}}, `formats`, `modes`, `sizes` ({"224×224": n}, the
            20 most frequent), `different_sizes`, `bytes` (of all files together).
        broken: Path → why the image cannot be read.
        others: Files that are not images.
        pairs: All pairs of images that the pixels show to be one image, and the leaks that only the metadata reveals.
        shared_groups: Lesions or patients with images in several splits, by the metadata: name → paths.
        group_column: Column of the metadata that names lesions or patients, or None.
        label_conflicts: Images whose diagnosis contradicts their label; empty where the metadata has no diagnosis.
        shortcuts: Features that may predict the label without the lesion, with their AUROC.
        leaking_test_images: Sorted paths of the test images that have a partner in another split, by pixels or by
            metadata; without a test split, of the images of the last split.
        clusters: Paths of images that belong together by their pixels; single images are left out.
        quarantine: Path → why training should leave the image out.
        fingerprint: Hash of all images' paths and contents.
        seconds: Duration of the audit.
        notes: Further remarks.
        words: The source and its options, as they were typed.
        listing: Fingerprint of the audited listing: hash of its paths, splits and labels.
        left_out: Sorted paths that were excluded before the audit.
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
    def leaks(self) -> tuple[ImagePair, ...]:
        """Pairs of images in different splits."""
        return tuple(pair for pair in self.pairs if pair.is_leak)

    @property
    def conflicts(self) -> tuple[ImagePair, ...]:
        """Pairs of copies with different labels."""
        return tuple(pair for pair in self.pairs if pair.is_conflict)

    @property
    def is_clean(self) -> bool:
        """True if there is neither a leak nor a conflict."""
        return not (self.leaks or self.shared_groups or self.conflicts or self.label_conflicts)
