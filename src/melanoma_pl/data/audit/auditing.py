"""The audit: from a listing of images to all that is wrong with it."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from melanoma_pl.data.audit.audit_record import fingerprint
from melanoma_pl.data.audit.duplicates import Match, clusters_of, find_matches
from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelConflict, LabelShortcut
from melanoma_pl.data.audit.label_shortcuts import find_label_conflicts, find_label_shortcuts
from melanoma_pl.data.audit.scanning import Scan, inventory, scan
from melanoma_pl.data.image_set import ImageListing, meaning
from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.errors import UserError, first_of

SPLIT_ORDER = ("", "train", "validation", "test")  # of a leak the images of the later split stay
Rows = Mapping[str, Mapping[str, str]]


def audit_images(
    listing: ImageListing, rows: Rows | None = None, group_column: str | None = None, left_out: Sequence[str] = ()
) -> tuple[Audit, Scan]:
    """Audit images.

    Args:
        listing: The images.
        rows: Their metadata by path, or None.
        group_column: Column whose equal values mean one lesion or patient, or None.
        left_out: Paths of images of the listing to do without.

    Returns:
        What was found, and what was read of each image.

    Raises:
        UserError: If no image can be read.
    """
    began = time.perf_counter()
    audited = listing.without(left_out)
    if not len(audited):
        raise UserError(f"all {len(listing)} images are left out", "there is nothing to audit")
    scanned = scan(audited)
    if not scanned.images:
        path, reason = next(iter(scanned.broken.items()))
        raise UserError(f"none of {len(audited)} images can be read ({path}: {reason})", "give a folder of images")
    matches = find_matches(scanned)
    lesions = lesions_of(scanned.listing, rows, group_column)
    pairs = _pairs(scanned.listing, matches.matches, lesions)
    alike = clusters_of(matches.pairs, len(scanned.listing))
    together = clusters_of(matches.pairs + _edges(lesions), len(scanned.listing))
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
        shortcuts=_label_shortcuts(scanned, together),
        leaking_test_images=_leaking(scanned.listing, together, of_test=True),
        leaking_train_images=_leaking(scanned.listing, together, of_test=False),
        clusters=_paths(scanned.listing, alike),
        quarantine=_quarantine(scanned.listing, together, alike, conflicts),
        fingerprint=fingerprint(scanned.listing.paths, [image.sha256 for image in scanned.images]),
        seconds=round(time.perf_counter() - began, 2),
        notes=_notes(listing, rows, matches.not_looked_at),
        listing=audited.fingerprint,
        left_out=tuple(left_out),
    )
    return found, scanned


def lesions_of(listing: ImageListing, rows: Rows | None, group_column: str | None) -> dict[str, list[int]]:
    """Return each lesion's or patient's images by position; an empty cell means that nothing is known.

    Raises:
        UserError: If images have no row.
    """
    lesions: dict[str, list[int]] = defaultdict(list)
    if group_column is None or rows is None:
        return lesions
    missing = [path for path in listing.paths if path not in rows]
    if missing:
        raise UserError(
            f"the metadata has no row for {len(missing)} of {len(listing)} images ({first_of(missing)})",
            "add them, or leave --group-column out",
        )
    for position, path in enumerate(listing.paths):
        if name := rows[path][group_column].strip():
            lesions[name].append(position)
    return lesions


def _edges(lesions: Mapping[str, Sequence[int]]) -> list[tuple[int, int]]:
    """Return pairs of images that tie each lesion's together."""
    return [(members[0], member) for members in lesions.values() for member in members[1:]]


def _pairs(
    listing: ImageListing, matches: Sequence[Match], lesions: Mapping[str, Sequence[int]]
) -> tuple[ImagePair, ...]:
    """Return what the pixels tell, then the leaks that only the metadata tells: leaks first, the most alike first."""
    lesion_of = {position: name for name, members in lesions.items() for position in members}
    pairs = []
    for match in matches:
        names = lesion_of.get(match.first), lesion_of.get(match.second)
        same = names[0] == names[1] if None not in names else None
        pairs.append(_pair(listing, match.first, match.second, match.kind, match.similarity, match.turn, same))
    seen = {frozenset((match.first, match.second)) for match in matches}
    for members in lesions.values():
        last = _latest(listing, members)
        others = [member for member in members if listing.splits[member] != last]
        for member in members:
            if listing.splits[member] == last and others and frozenset((others[0], member)) not in seen:
                pairs.append(_pair(listing, others[0], member, "lesion", None, "", True))
    return tuple(sorted(pairs, key=lambda pair: (not pair.is_leak, not pair.is_conflict, -(pair.similarity or -1))))


def _pair(
    listing: ImageListing, first: int, second: int, kind: str, similarity: float | None, turn: str, same: bool | None
) -> ImagePair:
    if SPLIT_ORDER.index(listing.splits[first]) > SPLIT_ORDER.index(listing.splits[second]):
        first, second = second, first
    return ImagePair(
        listing.paths[first],
        listing.paths[second],
        kind,  # type: ignore[arg-type]
        similarity,
        turn,
        (listing.splits[first], listing.splits[second]),
        (listing.labels[first], listing.labels[second]),
        same,
    )


def _shared(listing: ImageListing, lesions: Mapping[str, Sequence[int]]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(listing.paths[member] for member in members)
        for name, members in lesions.items()
        if len({listing.splits[member] for member in members}) > 1
    }


def _paths(listing: ImageListing, clusters: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(listing.paths[member] for member in members) for members in clusters)


def _latest(listing: ImageListing, members: Sequence[int]) -> str:
    return max((listing.splits[member] for member in members), key=SPLIT_ORDER.index)


def _leaking(listing: ImageListing, together: Sequence[Sequence[int]], *, of_test: bool) -> tuple[str, ...]:
    """Return the images of the set's last split that belong to images of another, or those others."""
    last = _latest(listing, range(len(listing)))
    found = []
    for members in together:
        splits = {listing.splits[member] for member in members}
        if last in splits and len(splits) > 1:
            found += [listing.paths[member] for member in members if (listing.splits[member] == last) == of_test]
    return tuple(sorted(found))


def _quarantine(
    listing: ImageListing,
    together: Sequence[Sequence[int]],
    alike: Sequence[Sequence[int]],
    conflicts: Sequence[LabelConflict],
) -> dict[str, str]:
    """Return what training should do without: path → why. Images of the test split are never on the list."""
    reasons: dict[str, str] = {}
    for members in together:
        latest = _latest(listing, members)
        kept = next(listing.paths[member] for member in members if listing.splits[member] == latest)
        for member in members:
            if listing.splits[member] != latest:
                reasons[listing.paths[member]] = f"belongs together with {kept}"
    for members in alike:
        labels = sorted({listing.labels[member] for member in members})
        for member in members:
            if len(labels) > 1 and listing.splits[member] != "test":
                reasons.setdefault(listing.paths[member], f"is one image with the labels {' and '.join(labels)}")
    for conflict in conflicts:
        if conflict.split != "test":
            reasons.setdefault(conflict.path, f"is labelled {conflict.label}; diagnosis: {conflict.diagnosis}")
    return dict(sorted(reasons.items()))


def _label_shortcuts(scanned: Scan, together: Sequence[Sequence[int]]) -> tuple[LabelShortcut, ...]:
    labels = np.array(scanned.listing.labels)
    names = set(scanned.listing.labels)
    positive = [name for name in names if meaning(name) == CLASS_NAMES[1]] or [max(names)]
    groups = np.arange(len(labels), dtype=np.int64)
    for members in together:
        groups[list(members)] = members[0]
    return find_label_shortcuts(scanned, np.isin(labels, positive).astype(np.int64), groups)


def _notes(listing: ImageListing, rows: Rows | None, not_looked_at: int) -> tuple[str, ...]:
    notes = []
    if len(set(listing.splits)) == 1:
        notes.append("There is no train and test split, so nothing can leak yet: melanoma-data split makes one.")
    if rows is not None and (without := len(rows.keys() - set(listing.paths))):
        notes.append(f"{without} row{'s' * (without != 1)} of the metadata without an image here.")
    if not_looked_at:
        notes.append(f"{not_looked_at} pairs that are alike only from afar were not looked at: there were too many.")
    return tuple(notes)
