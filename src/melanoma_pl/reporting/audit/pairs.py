"""Which pairs the audit's page shows: leaks first, then conflicts, then what belongs together within a split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from melanoma_pl.data.audit.findings import Audit, Pair
from melanoma_pl.reporting.audit.words import count_by_kind, in_order
from melanoma_pl.reporting.words import amount

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
    pairs: tuple[Pair, ...]
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
    """Return "125 in 52 clusters, at most 9 in one", of the photos that belong together by their pixels."""
    sizes = [len(cluster) for cluster in audit.clusters]
    return f"{sum(sizes):,} in {amount(len(sizes), 'cluster')}, at most {max(sizes):,} in one" if sizes else "none"


def pair_groups(audit: Audit, most: int = MOST, at_least: int = AT_LEAST) -> list[PairGroup]:
    """Return the audit's pairs, each in one group, no more than `most` of them with pictures."""
    within = [pair for pair in audit.pairs if not pair.is_leak]
    groups = [
        _group(
            "leaks",
            "Leaks: in two splits",
            "Whoever learned the one photo has seen the other before: figures on such test photos are too good.",
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


def _group(anchor: str, title: str, meaning: str, pairs: Sequence[Pair], *, is_problem: bool = True) -> PairGroup:
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
