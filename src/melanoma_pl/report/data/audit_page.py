"""The two charts of the audit's page as places on the screen, in percent of the chart's width and height.

Which pairs the audit's page shows: leaks first, then conflicts, then what belongs together within a split.

What an audit found, as one page that needs nothing but itself: to be looked at, sent and kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from melanoma_pl import messages
from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelShortcut
from melanoma_pl.data.image_set import ImageListing
from melanoma_pl.messages import DISCLAIMER, amount
from melanoma_pl.report.data import audit_summary
from melanoma_pl.report.data import audit_summary as audit_words
from melanoma_pl.report.data.audit_summary import count_by_kind, figure, in_order
from melanoma_pl.report.markup import write_html
from melanoma_pl.report.mistakes import thumbnails

CHANCE = 0.5  # the AUROC of a guess
BINS = 20
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # how far apart numbers may stand on the likeness axis
STEPS = 20  # the likeness axis starts at a multiple of 1/20


@dataclass(frozen=True)
class ForestRow:
    """One giveaway: where its point and the ends of its interval lie, 0 to 100; None where nothing can be computed."""

    name: str
    figure: str
    point: float | None
    ends: tuple[float, float] | None
    tells: bool


@dataclass(frozen=True)
class Forest:
    """The giveaways one below the other, on one axis of AUROC."""

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
    """How alike the pairs are."""

    bars: tuple[Bar, ...]
    width: float
    ticks: dict[str, float]
    highest: int
    description: str


def forest(shortcuts: Sequence[LabelShortcut]) -> Forest:
    """Return where the giveaways lie on an axis that ends at 1 and has chance on it."""
    values = [end for shortcut in shortcuts for end in (shortcut.interval or (shortcut.auroc or 1.0,))]
    lowest = min(0.4, math.floor(10 * min(values, default=1.0)) / 10)

    def place(auroc: float) -> float:
        return round(100 * (auroc - lowest) / (1 - lowest), 2)

    rows = tuple(
        ForestRow(
            shortcut.name,
            figure(shortcut),
            None if shortcut.auroc is None else place(shortcut.auroc),
            shortcut.interval and (place(shortcut.interval[0]), place(shortcut.interval[1])),
            shortcut.tells,
        )
        for shortcut in shortcuts
    )
    ticks = [tenth / 10 for tenth in range(math.ceil(10 * lowest), 11)]
    return Forest(rows, place(CHANCE), {f"{tick:.1f}": place(tick) for tick in ticks})


def histogram(pairs: Sequence[ImagePair]) -> Histogram | None:
    """Return how the likeness of pairs is distributed; None where no pair has one."""
    alike = [pair.similarity for pair in pairs if pair.similarity is not None]
    if not alike:
        return None
    lowest = min(math.floor(round(min(alike) * STEPS, 6)), STEPS - 1) / STEPS
    width = (1 - lowest) / BINS
    leaks = _bins([pair for pair in pairs if pair.is_leak], lowest, width)
    within = _bins([pair for pair in pairs if not pair.is_leak], lowest, width)
    highest = max(map(sum, zip(leaks, within, strict=True)))
    bars = [
        Bar(
            left=100 * index / BINS,
            within=100 * within[index] / highest,
            leaks=100 * leaks[index] / highest,
            title=f"{lowest + index * width:.3f} to {lowest + (index + 1) * width:.3f}: "
            f"{amount(leaks[index], 'leak')}, {amount(within[index], 'pair')} within a split",
        )
        for index in range(BINS)
    ]
    description = f"Likeness of {amount(len(alike), 'pair')}, from {min(alike):.2f} to {max(alike):.2f}"
    return Histogram(tuple(bars), 100 / BINS, _ticks(lowest), highest, description)


def _ticks(lowest: float) -> dict[str, float]:
    """Return round numbers up to 1, at most seven of them, and where they lie."""
    step = next(step for step in TICKS if (1 - lowest) / step < 6.01)
    first = math.ceil(round(lowest / step, 6))
    numbers = [place * step for place in range(first, round(1 / step) + 1)]
    return {f"{number:.2f}": round(100 * (number - lowest) / (1 - lowest), 2) for number in numbers}


def _bins(pairs: Sequence[ImagePair], lowest: float, width: float) -> list[int]:
    counts = [0] * BINS
    for pair in pairs:
        if pair.similarity is not None:
            counts[min(int((pair.similarity - lowest) / width), BINS - 1)] += 1
    return counts


MOST = 200  # pairs with pictures on a page
AT_LEAST = 40  # of each group, so that many leaks do not hide the conflicts


@dataclass(frozen=True)
class PairGroup:
    """Pairs that mean the same for a training.

    Attributes:
        anchor: The name of the page's section.
        title: Its heading.
        meaning: What these pairs do to a result.
        pairs: Those shown, the weightiest first.
        total: How many there are.
        is_problem: Whether they spoil a result as they are.
    """

    anchor: str
    title: str
    meaning: str
    pairs: tuple[ImagePair, ...]
    total: int
    is_problem: bool = True


def pair_table(audit: Audit) -> list[tuple[str, list[int]]]:
    """Return how many pairs of each kind, and of all, there are: leaks, conflicts, and within a split."""
    within = tuple(pair for pair in audit.pairs if not pair.is_leak)
    rows = {
        "in two splits: leaks": audit.leaks,
        "with two labels: conflicts": audit.conflicts,
        "within one split": within,
    }
    return [(title, [*count_by_kind(pairs).values(), len(pairs)]) for title, pairs in rows.items()]


def describe_clusters(audit: Audit) -> str:
    """Return "125 in 52 clusters, at most 9 in one", of the images that belong together by their pixels."""
    sizes = [len(cluster) for cluster in audit.clusters]
    return f"{sum(sizes):,} in {amount(len(sizes), 'cluster')}, at most {max(sizes):,} in one" if sizes else "none"


def pair_groups(audit: Audit, most: int = MOST, at_least: int = AT_LEAST) -> list[PairGroup]:
    """Return the audit's pairs, each in one group, no more than `most` of them with pictures."""
    within = [pair for pair in audit.pairs if not pair.is_leak]
    groups = [
        _group(
            "leaks",
            "Leaks: in two splits",
            "Whoever learned the one image has seen the other before: figures on such test images are too good.",
            audit.leaks,
        ),
        _group(
            "conflicts",
            "Conflicts: with two labels",
            "One mole is not benign and malignant at once: a label is wrong, or the two are not one. Look at them.",
            [pair for pair in within if pair.is_conflict],
        ),
        _group(
            "together",
            "Together within one split",
            "No mistake, but no two cases either: intervals come out too narrow, and no validation should part them.",
            [pair for pair in within if not pair.is_conflict],
            is_problem=False,
        ),
    ]
    shown = _shares([group.total for group in groups], most, at_least)
    return [replace(group, pairs=group.pairs[:room]) for group, room in zip(groups, shown, strict=True)]


def _group(anchor: str, title: str, meaning: str, pairs: Sequence[ImagePair], *, is_problem: bool = True) -> PairGroup:
    return PairGroup(anchor, title, meaning, tuple(in_order(pairs)), len(pairs), is_problem)


def _shares(totals: Sequence[int], most: int, at_least: int) -> list[int]:
    """Give each its least, then what is left to the first."""
    shares = [min(total, at_least) for total in totals]
    left = max(0, most - sum(shares))
    for place, total in enumerate(totals):
        more = min(total - shares[place], left)
        shares[place] += more
        left -= more
    return shares


AUDIT_PAGE = "audit.html"
LESIONS = 40  # in two splits, with pictures
CONFLICTS = 60  # labels against their diagnosis, with pictures
ROWS = 200  # of each list of files
SMALL = 96  # pixels, of a lesion's pictures


def write_page(audit: Audit, listing: ImageListing, folder: Path) -> Path:
    """Write `audit.html`, whole or not at all.

    Args:
        audit: What was found.
        listing: The images: where they lie, with their splits and labels.
        folder: Where the page goes; it is made if it is not there.

    Returns:
        The page's path.
    """
    return write_html(folder / AUDIT_PAGE, f"{AUDIT_PAGE}.j2", _context(audit, listing))


def _context(audit: Audit, listing: ImageListing) -> dict[str, Any]:
    groups = pair_groups(audit)
    lesions = dict(list(audit.shared_groups.items())[:LESIONS])
    conflicts = audit.label_conflicts[:CONFLICTS]
    pairs = [path for group in groups for pair in group.pairs for path in (pair.first, pair.second)]
    return {
        "audit": audit,
        "words": messages,
        "audit_words": audit_words,
        "disclaimer": DISCLAIMER,
        "name": listing.root.resolve().name,
        "verdict": audit_summary,
        "held_out": audit_summary.held_out(audit),
        "count_table": messages.count_table(audit.inventory["per_split"]),
        "telling": sum(shortcut.tells for shortcut in audit.shortcuts),
        "forest": forest(audit.shortcuts),
        "clusters": describe_clusters(audit),
        "pair_table": pair_table(audit),
        "histogram": histogram(audit.pairs),
        "groups": groups,
        "lesions": lesions,
        "label_conflicts": conflicts,
        "files": [
            ("Images that cannot be read", list(audit.broken.items()), bool(audit.broken)),
            ("Files that are no images", [(path, "") for path in audit.others], False),
            ("Images to leave out of training", list(audit.quarantine.items()), False),
        ],
        "rows": ROWS,
        "known": dict(zip(listing.paths, zip(listing.splits, listing.labels, strict=True), strict=True)),
        "pictures": thumbnails(listing.root, [*pairs, *(conflict.path for conflict in conflicts)]),
        "small_pictures": thumbnails(listing.root, [path for paths in lesions.values() for path in paths], SMALL),
    }
