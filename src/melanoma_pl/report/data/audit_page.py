"""The page of an audit: a card for each lesion, and two charts whose positions are percentages of their size."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl import messages
from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelShortcut
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.messages import split_names
from melanoma_pl.report.data import audit_summary
from melanoma_pl.report.data.audit_summary import ImageGroup, image_groups
from melanoma_pl.report.markup import thumbnails, write_html

AUDIT_PAGE = "audit.html"
OPEN = 12  # cards of each kind that are seen at once; the others are folded
CARDS = 60  # of each kind, with thumbnails
IMAGES = 3  # of each split on a card
CONFLICTS = 60  # labels against their diagnosis, with thumbnails
ROWS = 200  # of each list of files

BINS = 20
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # allowed steps between the numbers on the similarity axis
STEPS = 20  # the similarity axis starts at a multiple of 1/20


def write_page(audit: Audit, listing: LabelledImages, folder: Path, *, with_images: bool = True) -> Path:
    """Write `audit.html`, whole or not at all.

    Args:
        audit: The findings.
        listing: The images, with their splits and labels.
        folder: Folder of the page; it is created if necessary.
        with_images: Whether the page embeds thumbnails.

    Returns:
        Path of the page.
    """
    known = {
        path: (split, label)
        for pair in audit.pairs
        for path, split, label in zip((pair.first, pair.second), pair.splits, pair.labels, strict=True)
    }
    known |= dict(zip(listing.paths, zip(listing.splits, listing.labels, strict=True), strict=True))
    found = image_groups(audit)
    groups = {kind: [group for group in found if group.kind == kind] for kind in ("leaks", "conflicts", "duplicates")}
    cards = {kind: [make_card(group, known) for group in members[:CARDS]] for kind, members in groups.items()}
    conflicts = audit.label_conflicts[:CONFLICTS]
    shown = [path for made in cards.values() for card in made for images in card.sides.values() for path, _ in images]
    context: dict[str, Any] = {
        "audit": audit,
        "messages": messages,
        "summary": audit_summary,
        "name": listing.root.resolve().name,
        "auroc_axis": auroc_axis(audit.shortcuts),
        "histogram": histogram(audit.pairs),
        "groups": {kind: (made, len(groups[kind])) for kind, made in cards.items()},
        "open": OPEN,
        "label_conflicts": conflicts,
        "others": [(path, "") for path in audit.others],
        "rows": ROWS,
        "thumbnails": thumbnails(listing.root, [*shown, *(own.path for own in conflicts)]) if with_images else {},
        "no_image": "no image: the file cannot be read" if with_images else "",
    }
    return write_html(folder / AUDIT_PAGE, f"{AUDIT_PAGE}.j2", context)


@dataclass(frozen=True)
class Card:
    """A group of images as the page shows it.

    Attributes:
        group: The images and their pairs.
        sides: Split → its images as pairs of path and label, at most `IMAGES`.
        more: Split → number of its images beyond those.
    """

    group: ImageGroup
    sides: dict[str, list[tuple[str, str]]]
    more: dict[str, int]


def make_card(group: ImageGroup, known: Mapping[str, tuple[str, str]]) -> Card:
    """Return the card of a group of images.

    Args:
        group: The images that belong together.
        known: Path → split and label.
    """
    sides: dict[str, list[tuple[str, str]]] = {}
    paired = [path for pair in group.pairs for path in (pair.first, pair.second)]
    for path in dict.fromkeys([*paired, *group.paths]):  # the images of the most important pair come first
        split, label = known[path]
        sides.setdefault(split, []).append((path, label))
    ordered = {split: sides[split] for split in split_names({split: {} for split in sides})}
    return Card(
        group,
        {split: images[:IMAGES] for split, images in ordered.items()},
        {split: max(0, len(images) - IMAGES) for split, images in ordered.items()},
    )


def auroc_axis(shortcuts: Sequence[LabelShortcut]) -> tuple[Callable[[float], float], dict[str, float]]:
    """Return an axis of AUROC that includes chance level, all intervals, and 1.

    Returns:
        The function from an AUROC to its position, 0 to 100, and the labelled ticks with their positions.
    """
    values = [end for shortcut in shortcuts for end in (shortcut.interval or (shortcut.auroc or 1.0,))]
    lowest = min(0.4, math.floor(10 * min(values, default=1.0)) / 10)

    def position(auroc: float) -> float:
        return round(100 * (auroc - lowest) / (1 - lowest), 2)

    ticks = [tenth / 10 for tenth in range(math.ceil(10 * lowest), 11)]
    return position, {f"{tick:.1f}": position(tick) for tick in ticks}


def histogram(pairs: Sequence[ImagePair]) -> dict[str, Any] | None:
    """Return the distribution of the pairs' similarity; None where no pair has one.

    Returns:
        The `similarities`; the number of leaks and of pairs within a split in each of the `bins`; the `edges` of the
        bins; and the `ticks` of the axis with their positions, 0 to 100.
    """
    similarities = [pair.similarity for pair in pairs if pair.similarity is not None]
    if not similarities:
        return None
    lowest = min(math.floor(round(min(similarities) * STEPS, 6)), STEPS - 1) / STEPS
    width = (1 - lowest) / BINS
    bins = [[0, 0] for _ in range(BINS)]
    for pair in pairs:
        if pair.similarity is not None:
            bins[min(int((pair.similarity - lowest) / width), BINS - 1)][not pair.is_leak] += 1
    step = next(step for step in TICKS if (1 - lowest) / step < 6.01)  # at most seven ticks
    ticks = [multiple * step for multiple in range(math.ceil(round(lowest / step, 6)), round(1 / step) + 1)]
    return {
        "similarities": similarities,
        "bins": bins,
        "edges": [lowest + index * width for index in range(BINS + 1)],
        "ticks": {f"{tick:.2f}": round(100 * (tick - lowest) / (1 - lowest), 2) for tick in ticks},
    }
