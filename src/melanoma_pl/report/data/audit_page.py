"""The page of an audit: its pairs with thumbnails, and two charts whose positions are percentages of their size."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from melanoma_pl import messages
from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelShortcut
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.report.data import audit_summary
from melanoma_pl.report.markup import thumbnails, write_html

AUDIT_PAGE = "audit.html"
MOST = 200  # pairs with thumbnails on a page
AT_LEAST = 40  # of each group, so that many leaks do not hide the conflicts
LESIONS = 40  # in two splits, with thumbnails
CONFLICTS = 60  # labels against their diagnosis, with thumbnails
ROWS = 200  # of each list of files
SMALL = 96  # pixels, of a lesion's thumbnails

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
    shown = [path for _, pairs, _ in groups for pair in pairs for path in (pair.first, pair.second)]
    context: dict[str, Any] = {
        "audit": audit,
        "messages": messages,
        "summary": audit_summary,
        "name": listing.root.resolve().name,
        "auroc_axis": auroc_axis(audit.shortcuts),
        "histogram": histogram(audit.pairs),
        "groups": groups,
        "lesions": lesions,
        "label_conflicts": conflicts,
        "others": [(path, "") for path in audit.others],
        "rows": ROWS,
        "known": dict(zip(listing.paths, zip(listing.splits, listing.labels, strict=True), strict=True)),
        "thumbnails": thumbnails(listing.root, [*shown, *(conflict.path for conflict in conflicts)]),
        "small_thumbnails": thumbnails(listing.root, [path for paths in lesions.values() for path in paths], SMALL),
    }
    return write_html(folder / AUDIT_PAGE, f"{AUDIT_PAGE}.j2", context)


def pair_groups(audit: Audit, most: int = MOST, at_least: int = AT_LEAST) -> list[tuple[str, list[ImagePair], int]]:
    """Return the pairs of an audit by their consequence for training.

    Args:
        audit: The findings.
        most: Number of pairs with thumbnails in all groups together.
        at_least: Number of pairs with thumbnails that each group gets first; the first groups share the rest.

    Returns:
        `leaks`, `conflicts` within one split, and the other `duplicates` within one split; of each the pairs with
        thumbnails, the most important first, and the number of all pairs.
    """
    within = [pair for pair in audit.pairs if not pair.is_leak]
    groups = {
        "leaks": audit.leaks,
        "conflicts": [pair for pair in within if pair.is_conflict],
        "duplicates": [pair for pair in within if not pair.is_conflict],
    }
    totals = [len(pairs) for pairs in groups.values()]
    shown = [min(total, at_least) for total in totals]
    for index, total in enumerate(totals):
        shown[index] += min(total - shown[index], max(0, most - sum(shown)))
    ordered = map(audit_summary.in_order, groups.values())
    return [
        (name, pairs[:count], total) for name, pairs, count, total in zip(groups, ordered, shown, totals, strict=True)
    ]


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
