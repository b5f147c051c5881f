"""The audit: from a listing of photos to all that is wrong with it."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from melanoma_pl.data.audit.duplicates import Match, clusters_of, find_matches
from melanoma_pl.data.audit.findings import Audit, Giveaway, LabelConflict, Pair
from melanoma_pl.data.audit.giveaways import find_giveaways
from melanoma_pl.data.audit.labels import find_label_conflicts
from melanoma_pl.data.audit.record import fingerprint
from melanoma_pl.data.audit.scanning import Scan, inventory, scan
from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.listing import Listing
from melanoma_pl.errors import UserError

SPLIT_ORDER = ("", "train", "validation", "test")  # of a leak the photos of the later split stay
Rows = Mapping[str, Mapping[str, str]]


def audit_photos(
    listing: Listing, rows: Rows | None = None, group_column: str | None = None, excluded: int = 0
) -> tuple[Audit, Scan]:
    """Audit photos.

    Args:
        listing: The photos.
        rows: Their metadata by path, or None.
        group_column: Column whose equal values mean one lesion or patient, or None.
        excluded: How many photos were taken from the listing before.

    Returns:
        What was found, and what was read of each photo.

    Raises:
        UserError: If no photo can be read.
    """
    began = time.perf_counter()
    scanned = scan(listing)
    if not scanned.photos:
        path, reason = next(iter(scanned.broken.items()))
        raise UserError(f"none of {len(listing)} photos can be read ({path}: {reason})", "give a folder of photos")
    matches = find_matches(scanned)
    lesions = lesions_of(scanned.listing, rows, group_column)
    pairs = _pairs(scanned.listing, matches.matches, lesions)
    together = clusters_of(_edges(matches.matches, lesions), len(scanned.listing))
    conflicts = find_label_conflicts(scanned.listing, rows)
    found = Audit(
        root=str(listing.root),
        inventory=inventory(scanned),
        broken=scanned.broken,
        others=listing.others,
        pairs=pairs,
        shared_groups=_shared(scanned.listing, lesions),
        group_column=group_column,
        label_conflicts=conflicts,
        giveaways=_giveaways(scanned, together),
        leaking_test_photos=_leaking(scanned.listing, together),
        clusters=_clusters(scanned.listing, matches.matches),
        quarantine=_quarantine(scanned.listing, together, pairs, conflicts),
        fingerprint=fingerprint(scanned.listing.paths, [photo.sha256 for photo in scanned.photos]),
        seconds=round(time.perf_counter() - began, 2),
        excluded=excluded,
        notes=_notes(scanned.listing, rows, matches.not_looked_at),
    )
    return found, scanned


def lesions_of(listing: Listing, rows: Rows | None, group_column: str | None) -> dict[str, list[int]]:
    """Return each lesion's or patient's photos by position; an empty cell means that nothing is known.

    Raises:
        UserError: If photos have no row.
    """
    lesions: dict[str, list[int]] = defaultdict(list)
    if group_column is None or rows is None:
        return lesions
    missing = [path for path in listing.paths if path not in rows]
    if missing:
        raise UserError(
            f"the metadata has no row for {len(missing)} of {len(listing)} photos ({', '.join(missing[:3])})",
            "add them, or leave --group-column out",
        )
    for position, path in enumerate(listing.paths):
        if name := rows[path][group_column].strip():
            lesions[name].append(position)
    return lesions


def _edges(matches: Sequence[Match], lesions: Mapping[str, Sequence[int]]) -> list[tuple[int, int]]:
    """Return which photos belong together, by pixels or by metadata."""
    known = [(members[0], member) for members in lesions.values() for member in members[1:]]
    return [(match.first, match.second) for match in matches] + known


def _pairs(listing: Listing, matches: Sequence[Match], lesions: Mapping[str, Sequence[int]]) -> tuple[Pair, ...]:
    """Return what the pixels tell, then the leaks that only the metadata tells: leaks first, the most alike first."""
    lesion_of = {position: name for name, members in lesions.items() for position in members}
    pairs = []
    for match in matches:
        names = lesion_of.get(match.first), lesion_of.get(match.second)
        same = names[0] == names[1] if None not in names else None
        pairs.append(_pair(listing, match.first, match.second, match.kind, match.likeness, match.turn, same))
    seen = {frozenset((match.first, match.second)) for match in matches}
    for members in lesions.values():
        last = _latest(listing, members)
        others = [member for member in members if listing.splits[member] != last]
        for member in members:
            if listing.splits[member] == last and others and frozenset((others[0], member)) not in seen:
                pairs.append(_pair(listing, others[0], member, "lesion", None, "", True))
    return tuple(sorted(pairs, key=lambda pair: (not pair.is_leak, not pair.is_conflict, -(pair.likeness or -1))))


def _pair(
    listing: Listing, first: int, second: int, kind: str, likeness: float | None, turn: str, same: bool | None
) -> Pair:
    if SPLIT_ORDER.index(listing.splits[first]) > SPLIT_ORDER.index(listing.splits[second]):
        first, second = second, first
    return Pair(
        listing.paths[first],
        listing.paths[second],
        kind,  # type: ignore[arg-type]
        likeness,
        turn,
        (listing.splits[first], listing.splits[second]),
        (listing.labels[first], listing.labels[second]),
        same,
    )


def _shared(listing: Listing, lesions: Mapping[str, Sequence[int]]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(listing.paths[member] for member in members)
        for name, members in lesions.items()
        if len({listing.splits[member] for member in members}) > 1
    }


def _clusters(listing: Listing, matches: Sequence[Match]) -> tuple[tuple[str, ...], ...]:
    clusters = clusters_of([(match.first, match.second) for match in matches], len(listing))
    return tuple(tuple(listing.paths[member] for member in members) for members in clusters)


def _latest(listing: Listing, members: Sequence[int]) -> str:
    return max((listing.splits[member] for member in members), key=SPLIT_ORDER.index)


def _leaking(listing: Listing, together: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Return the photos of the set's last split that belong to photos of another."""
    last = _latest(listing, range(len(listing)))
    found = []
    for members in together:
        if len({listing.splits[member] for member in members}) > 1:
            found += [listing.paths[member] for member in members if listing.splits[member] == last]
    return tuple(sorted(found))


def _quarantine(
    listing: Listing, together: Sequence[Sequence[int]], pairs: Sequence[Pair], conflicts: Sequence[LabelConflict]
) -> dict[str, str]:
    """Return what training should do without: path → why. Photos of the test split are never on the list."""
    reasons: dict[str, str] = {}
    for members in together:
        latest = _latest(listing, members)
        kept = next(listing.paths[member] for member in members if listing.splits[member] == latest)
        for member in members:
            if listing.splits[member] != latest:
                reasons[listing.paths[member]] = f"shows the same as {kept}"
    for pair in pairs:
        if pair.is_conflict and pair.splits[0] != "test":
            reasons.setdefault(pair.first, f"shows the same as {pair.second} and has another label")
        if pair.is_conflict and pair.splits[1] != "test":
            reasons.setdefault(pair.second, f"shows the same as {pair.first} and has another label")
    for conflict in conflicts:
        if conflict.split != "test":
            reasons.setdefault(conflict.path, f"is labelled {conflict.label}; diagnosis: {conflict.diagnosis}")
    return dict(sorted(reasons.items()))


def _giveaways(scanned: Scan, together: Sequence[Sequence[int]]) -> tuple[Giveaway, ...]:
    labels = np.array(scanned.listing.labels)
    positive = CLASS_NAMES[1] if CLASS_NAMES[1] in labels else max(labels)
    groups = np.arange(len(labels), dtype=np.int64)
    for members in together:
        groups[list(members)] = members[0]
    return find_giveaways(scanned, (labels == positive).astype(np.int64), groups)


def _notes(listing: Listing, rows: Rows | None, not_looked_at: int) -> tuple[str, ...]:
    notes = []
    if len(set(listing.splits)) == 1:
        notes.append("There is no train and test split, so nothing can leak yet: melanoma-data split makes one.")
    if rows is not None and (without := len(rows.keys() - set(listing.paths))):
        notes.append(f"{without} rows of the metadata name no photo here.")
    if not_looked_at:
        notes.append(f"{not_looked_at} pairs that are alike only from afar were not looked at: there were too many.")
    return tuple(notes)
