"""How an audit's giveaways and pairs are written, the same on the terminal, on the page and in the data card."""

from collections.abc import Iterable

from melanoma_pl.data.audit.findings import Giveaway, Kind, Pair

KINDS: tuple[Kind, ...] = ("exact", "near", "lesion")
BY_METADATA = {True: "one group by the metadata", False: "two groups by the metadata", None: ""}


def figure(giveaway: Giveaway) -> str:
    """Return "0.971 [0.962–0.980]"."""
    if giveaway.auroc is None:
        return "not computable"
    interval = giveaway.interval
    return f"{giveaway.auroc:.3f} " + (f"[{interval[0]:.3f}–{interval[1]:.3f}]" if interval else "[not computable]")


def count_by_kind(pairs: Iterable[Pair]) -> dict[Kind, int]:
    """Return how many pairs there are of each kind."""
    kinds = [pair.kind for pair in pairs]
    return {kind: kinds.count(kind) for kind in KINDS}


def in_order(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs that weigh most first: conflicts, then the same pixels, then by likeness."""
    return sorted(
        pairs,
        key=lambda pair: (not pair.is_conflict, KINDS.index(pair.kind), -(pair.likeness or 0), pair.first, pair.second),
    )


def facts(pair: Pair) -> list[str]:
    """Return what is known of a pair, such as "near", "likeness 0.981", "mirrored", "one group by the metadata"."""
    if pair.kind == "lesion":
        return ["one group by the metadata, not by the pixels"]
    likeness = f"likeness {pair.likeness:.3f}" if pair.kind == "near" and pair.likeness is not None else "same pixels"
    return [fact for fact in (pair.kind, likeness, pair.turn, BY_METADATA[pair.same_lesion]) if fact]
