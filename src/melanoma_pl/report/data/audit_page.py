"""The page of an audit: its pairs with thumbnails, and two charts whose positions are percentages of their size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from melanoma_pl import messages
from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelShortcut
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.messages import DISCLAIMER, amount
from melanoma_pl.report.data import audit_summary
from melanoma_pl.report.data.audit_summary import figure, in_order
from melanoma_pl.report.markup import thumbnails, write_html

AUDIT_PAGE = "audit.html"
MOST = 200  # pairs with thumbnails on a page
AT_LEAST = 40  # of each group, so that many leaks do not hide the conflicts
LESIONS = 40  # in two splits, with thumbnails
CONFLICTS = 60  # labels against their diagnosis, with thumbnails
ROWS = 200  # of each list of files
SMALL = 96  # pixels, of a lesion's thumbnails

CHANCE = 0.5  # AUROC of chance level
BINS = 20
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # allowed steps between the numbers on the similarity axis
STEPS = 20  # the similarity axis starts at a multiple of 1/20


def write_page(audit: Audit, listing: LabelledImages, folder: Path) -> Path:
    """Write `audit.html`, whole or not at all.

    Args:
        audit: The findings.
        listing: The images, with their splits and labels.
        folder: Folder of the page; it is created if necessary.

    Returns:
        Path of the page.
    """
    groups = pair_groups(audit)
    lesions = dict(list(audit.shared_groups.items())[:LESIONS])
    conflicts = audit.label_conflicts[:CONFLICTS]
    shown = [path for group in groups for pair in group.pairs for path in (pair.first, pair.second)]
    context: dict[str, Any] = {
        "audit": audit,
        "messages": messages,
        "summary": audit_summary,
        "disclaimer": DISCLAIMER,
        "name": listing.root.resolve().name,
        "held_out": audit_summary.held_out(audit),
        "count_table": messages.count_table(audit.inventory["per_split"]),
        "telling": sum(shortcut.tells for shortcut in audit.shortcuts),
        "forest": forest(audit.shortcuts),
        "histogram": histogram(audit.pairs),
        "groups": groups,
        "lesions": lesions,
        "label_conflicts": conflicts,
        "files": [
            ("Images that cannot be read", list(audit.broken.items()), bool(audit.broken)),
            ("Files that are not images", [(path, "") for path in audit.others], False),
            ("Images to leave out of training", list(audit.quarantine.items()), False),
        ],
        "rows": ROWS,
        "known": dict(zip(listing.paths, zip(listing.splits, listing.labels, strict=True), strict=True)),
        "thumbnails": thumbnails(listing.root, [*shown, *(conflict.path for conflict in conflicts)]),
        "small_thumbnails": thumbnails(listing.root, [path for paths in lesions.values() for path in paths], SMALL),
    }
    return write_html(folder / AUDIT_PAGE, f"{AUDIT_PAGE}.j2", context)


# Pairs


@dataclass(frozen=True)
class PairGroup:
    """Pairs with the same consequence for training.

    Attributes:
        anchor: Name of the section on the page.
        title: Its heading.
        meaning: What these pairs do to a result.
        pairs: Pairs with thumbnails, the most important first.
        total: Number of all pairs.
        is_problem: Whether they spoil a result.
    """

    anchor: str
    title: str
    meaning: str
    pairs: Sequence[ImagePair]
    total: int
    is_problem: bool = True


def pair_groups(audit: Audit, most: int = MOST, at_least: int = AT_LEAST) -> list[PairGroup]:
    """Return the pairs of an audit, each in one group.

    Args:
        audit: The findings.
        most: Number of pairs with thumbnails in all groups together.
        at_least: Number of pairs with thumbnails that each group gets first; the first groups share the rest.
    """
    within = [pair for pair in audit.pairs if not pair.is_leak]
    conflicts = [pair for pair in within if pair.is_conflict]
    together = [pair for pair in within if not pair.is_conflict]
    groups = [
        PairGroup(
            "leaks",
            "Leaks: in two splits",
            "A network that learnt from one image of a pair has already seen the other: its test figures are too good.",
            in_order(audit.leaks),
            len(audit.leaks),
        ),
        PairGroup(
            "conflicts",
            "Conflicts: with two labels",
            "A mole is not both benign and malignant: either a label is wrong, or these are two moles. Check them.",
            in_order(conflicts),
            len(conflicts),
        ),
        PairGroup(
            "duplicates",
            "Duplicates within one split",
            "These are not errors, but the two images are not independent: intervals come out too narrow, and a "
            "validation split must not separate them.",
            in_order(together),
            len(together),
            is_problem=False,
        ),
    ]
    shown = [min(group.total, at_least) for group in groups]
    for index, group in enumerate(groups):
        shown[index] += min(group.total - shown[index], max(0, most - sum(shown)))
    return [replace(group, pairs=tuple(group.pairs[:count])) for group, count in zip(groups, shown, strict=True)]


# Charts


@dataclass(frozen=True)
class ForestRow:
    """One shortcut: its point and the ends of its interval, 0 to 100; None where nothing can be computed."""

    name: str
    figure: str
    point: float | None
    ends: tuple[float, float] | None
    tells: bool


@dataclass(frozen=True)
class Forest:
    """The shortcuts one below the other, on one axis of AUROC."""

    rows: tuple[ForestRow, ...]
    chance: float
    ticks: dict[str, float]


@dataclass(frozen=True)
class Bar:
    """One bar of the histogram: leaks on top of pairs within a split, 0 to 100 of the highest bar."""

    left: float
    within: float
    leaks: float
    title: str


@dataclass(frozen=True)
class Histogram:
    """The distribution of the pairs' similarity."""

    bars: tuple[Bar, ...]
    width: float
    ticks: dict[str, float]
    highest: int
    description: str


def forest(shortcuts: Sequence[LabelShortcut]) -> Forest:
    """Return the positions of the shortcuts on an axis of AUROC that includes chance level and ends at 1."""
    values = [end for shortcut in shortcuts for end in (shortcut.interval or (shortcut.auroc or 1.0,))]
    lowest = min(0.4, math.floor(10 * min(values, default=1.0)) / 10)

    def position(auroc: float) -> float:
        return round(100 * (auroc - lowest) / (1 - lowest), 2)

    rows = tuple(
        ForestRow(
            shortcut.name,
            figure(shortcut.auroc, shortcut.interval),
            None if shortcut.auroc is None else position(shortcut.auroc),
            shortcut.interval and (position(shortcut.interval[0]), position(shortcut.interval[1])),
            shortcut.tells,
        )
        for shortcut in shortcuts
    )
    ticks = [tenth / 10 for tenth in range(math.ceil(10 * lowest), 11)]
    return Forest(rows, position(CHANCE), {f"{tick:.1f}": position(tick) for tick in ticks})


def histogram(pairs: Sequence[ImagePair]) -> Histogram | None:
    """Return the histogram of the pairs' similarity; None where no pair has one."""
    similarities = [pair.similarity for pair in pairs if pair.similarity is not None]
    if not similarities:
        return None
    lowest = min(math.floor(round(min(similarities) * STEPS, 6)), STEPS - 1) / STEPS
    width = (1 - lowest) / BINS
    leaks, within = [0] * BINS, [0] * BINS
    for pair in pairs:
        if pair.similarity is not None:
            (leaks if pair.is_leak else within)[min(int((pair.similarity - lowest) / width), BINS - 1)] += 1
    highest = max(map(sum, zip(leaks, within, strict=True)))
    bars = tuple(
        Bar(
            left=100 * index / BINS,
            within=100 * within[index] / highest,
            leaks=100 * leaks[index] / highest,
            title=f"{lowest + index * width:.3f} to {lowest + (index + 1) * width:.3f}: "
            f"{amount(leaks[index], 'leak')}, {amount(within[index], 'pair')} within a split",
        )
        for index in range(BINS)
    )
    lowest_pair, highest_pair = min(similarities), max(similarities)
    description = f"Similarity of {amount(len(similarities), 'pair')}, from {lowest_pair:.2f} to {highest_pair:.2f}"
    return Histogram(bars, 100 / BINS, _ticks(lowest), highest, description)


def _ticks(lowest: float) -> dict[str, float]:
    """Return round numbers up to 1, at most seven of them, with their positions."""
    step = next(step for step in TICKS if (1 - lowest) / step < 6.01)
    first = math.ceil(round(lowest / step, 6))
    numbers = [multiple * step for multiple in range(first, round(1 / step) + 1)]
    return {f"{number:.2f}": round(100 * (number - lowest) / (1 - lowest), 2) for number in numbers}
