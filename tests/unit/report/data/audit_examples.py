"""Audits made by hand, of tiny images with the worst possible names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conftest import draw_image

from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelConflict, LabelShortcut
from melanoma_pl.data.labelled_images import LabelledImages

SCRIPT = "<script>alert('name')</script>"  # a folder's name cannot hold its slash, a lesion's can
MARKUP = "train/benign/<img src=x onerror=alert(1)>&\"quote'.png"
FOREIGN = "test/benign/naïve мутный 痣 {{ 7 * 7 }}.png"
BROKEN_LINE = "train/benign/two\nlines\x1b[31m\u202egnp.png"
NO_UTF8 = "train/malignant/\udcff.png"
LONG = f"train/malignant/{'a_long_folder_name/' * 9}end.png"
PLAIN = ("train/benign/1.png", "train/malignant/2.png", "test/malignant/3.png", "test/malignant/4.png")
ON_DISK = (*PLAIN, MARKUP, FOREIGN, BROKEN_LINE, LONG)

SHORTCUTS = (
    LabelShortcut("file facts", 0.971, (0.962, 0.98), "How the files were written gives the label away."),
    LabelShortcut("mean colour", 0.51, (0.45, 0.57), "The mean colour hardly tells the label."),
    LabelShortcut("image size", None, None, "Not computable: all images have one size."),
    LabelShortcut("outer border", 0.7, None, "Told by <i>what</i> is around the mole."),
)


def listing_of(root: Path, paths: tuple[str, ...]) -> LabelledImages:
    """List paths whose folders name split and class."""
    ordered = tuple(sorted(paths))
    splits, labels = zip(*(path.split("/")[:2] for path in ordered), strict=True)
    return LabelledImages(root, ordered, labels, splits)


def write_images(root: Path) -> LabelledImages:
    """Draw the images of `full_audit`; one of them is listed and not there."""
    for seed, path in enumerate(ON_DISK):
        draw_image(root / path, "malignant" in path, seed)
    return listing_of(root, (*ON_DISK, NO_UTF8))


def pair(first: str, second: str, **others: Any) -> ImagePair:
    """Make a pair whose splits and labels are those of the paths."""
    (split, label), (second_split, second_label) = (path.split("/")[:2] for path in (first, second))
    facts = {"kind": "near", "similarity": 0.95, "turn": "as it is"} | others
    return ImagePair(first, second, splits=(split, second_split), labels=(label, second_label), **facts)


def empty_audit(root: Path, **findings: Any) -> Audit:
    """Make an audit that found nothing, or only what is given."""
    inventory = {
        "images": 9,
        "per_split": {"test": {"benign": 1, "malignant": 2}, "train": {"benign": 3, "malignant": 3}},
        "formats": {"PNG": 8, "JPEG": 1},
        "modes": {"RGB": 9},
        "sizes": {"32×32": 8, "4000×3000": 1},
        "different_sizes": 2,
        "bytes": 1_234_567,
    }
    nothing = Audit(
        root=str(root),
        inventory=inventory,
        broken={},
        others=(),
        pairs=(),
        shared_groups={},
        group_column=None,
        label_conflicts=(),
        shortcuts=(),
        leaking_test_images=(),
        clusters=(),
        quarantine={},
        fingerprint="0123456789abcdef",
        seconds=1.25,
    )
    return replace(nothing, **findings)


def full_audit(root: Path) -> Audit:
    """Make an audit that found everything there is to find."""
    benign, malignant, third, fourth = PLAIN
    diagnoses = [f"<nevus {n}>" for n in range(7)]
    return empty_audit(
        root,
        broken={"test/benign/<broken>&.png": 'image file is truncated ("12" bytes)', NO_UTF8: "the file is empty"},
        others=("notes <draft>.txt", "test/\udcfe.doc"),
        pairs=(
            pair(LONG, third, similarity=0.9, turn="turned by 90°", same_lesion=False),
            pair(MARKUP, FOREIGN, similarity=0.987, turn="mirrored", same_lesion=True),
            pair(benign, fourth, kind="lesion", similarity=None, turn=""),
            pair(benign, malignant, similarity=0.93),
            pair(third, fourth, kind="exact", similarity=1.0),
            pair(BROKEN_LINE, MARKUP, similarity=0.91),
            pair(NO_UTF8, LONG, similarity=0.92),
        ),
        shared_groups={SCRIPT: (benign, fourth), "lesion 2": (MARKUP, FOREIGN)},
        group_column="group & more",
        label_conflicts=tuple(LabelConflict(malignant, "train", "malignant", name, "benign") for name in diagnoses),
        shortcuts=SHORTCUTS,
        leaking_test_images=(FOREIGN, third, fourth),
        clusters=((third, fourth, LONG), (MARKUP, FOREIGN)),
        quarantine={MARKUP: f"shows the same as {FOREIGN}"},
        left_out=("train/x.jpg", "train/y.jpg", "train/z.jpg"),
        notes=("A note with <b>markup</b>.",),
    )
