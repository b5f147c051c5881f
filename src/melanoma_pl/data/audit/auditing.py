"""The audit: from a listing of images to its findings."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from melanoma_pl.data.audit.audit_record import fingerprint
from melanoma_pl.data.audit.duplicates import Match, clusters_of, find_matches, unsearched
from melanoma_pl.data.audit.findings import Audit, ImagePair, LabelConflict, LabelShortcut
from melanoma_pl.data.audit.label_shortcuts import find_label_conflicts, find_label_shortcuts
from melanoma_pl.data.audit.scanning import Scan, inventory, scan
from melanoma_pl.data.columns import Column, ages_of, impossible_ages, missing_metadata, read_columns
from melanoma_pl.data.labelled_images import LabelledImages, standard_label
from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.errors import UserError, first_of

SPLIT_ORDER = ("", "train", "validation", "test")  # where splits share a lesion, the images of the latest one are kept
Rows = Mapping[str, Mapping[str, str]]
Clusters = Sequence[Sequence[int]]


def audit_images(
    listing: LabelledImages, rows: Rows | None = None, group_column: str | None = None, left_out: Sequence[str] = ()
) -> tuple[Audit, Scan]:
    """Audit images.

    Args:
        listing: The images.
        rows: Their metadata by path, or None.
        group_column: Column whose equal values mean one lesion or patient, or None.
        left_out: Paths of images of the listing that the audit ignores.

    Returns:
        The findings, and what was read of each image.

    Raises:
        UserError: If no image can be read, or an image lacks a row of the metadata.
    """
    began = time.perf_counter()
    audited = listing.without(left_out)
    if not len(audited):
        raise UserError(f"all {len(listing)} images are left out", "there is nothing to audit")
    scanned = scan(audited)
    if not scanned.images:
        path, reason = next(iter(scanned.broken.items()))
        raise UserError(f"none of {len(audited)} images can be read ({path}: {reason})", "give a folder of images")
    images = scanned.listing
    matches, skipped = find_matches(scanned)
    lesions = lesions_of(images, rows, group_column)
    copies = [match.pair for match in matches]
    clusters = clusters_of(copies, len(images))
    of_one_lesion = [(members[0], member) for members in lesions.values() for member in members[1:]]
    together = clusters_of([*copies, *of_one_lesion], len(images))
    conflicts, columns = find_label_conflicts(images, rows), read_columns(images, rows)
    leaking_test, leaking_train = _leaking(images, together)
    found = Audit(
        root=str(listing.root),
        inventory=inventory(images, [image.facts for image in scanned.images]),
        broken=scanned.broken,
        others=listing.others,
        pairs=_pairs(images, matches, lesions),
        shared_groups={
            name: images.take(members).paths for name, members in lesions.items() if _in_several_splits(images, members)
        },
        group_column=group_column,
        label_conflicts=conflicts,
        shortcuts=_label_shortcuts(scanned, together, columns),
        leaking_test_images=leaking_test,
        leaking_train_images=leaking_train,
        clusters=tuple(images.take(members).paths for members in clusters),
        quarantine=_quarantine(images, together, clusters, conflicts),
        fingerprint=fingerprint(images.paths, [image.sha256 for image in scanned.images]),
        seconds=round(time.perf_counter() - began, 2),
        notes=(*filter(None, [unsearched(scanned)]), *_notes(listing, rows, skipped, columns)),
        listing=audited.fingerprint,
        left_out=tuple(left_out),
    )
    return found, scanned


def lesions_of(listing: LabelledImages, rows: Rows | None, group_column: str | None) -> dict[str, list[int]]:
    """Return the images of each lesion or patient by index; an empty cell means that nothing is known.

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
    for index, path in enumerate(listing.paths):
        if name := rows[path][group_column].strip():
            lesions[name].append(index)
    return lesions


def _pairs(
    listing: LabelledImages, matches: Sequence[Match], lesions: Mapping[str, Sequence[int]]
) -> tuple[ImagePair, ...]:
    """Return the copies and the leaks that only the metadata reveals: leaks first, then by similarity."""
    lesion_of = {index: name for name, members in lesions.items() for index in members}
    pairs = []
    for match in matches:
        names = [lesion_of.get(index) for index in match.pair]
        pairs.append(_pair(listing, match, names[0] == names[1] if None not in names else None))
    seen = {frozenset(match.pair) for match in matches}
    for members in lesions.values():
        latest = _latest(listing, members)
        others = [member for member in members if listing.splits[member] != latest]
        for member in members:
            if listing.splits[member] == latest and others and frozenset((others[0], member)) not in seen:
                pairs.append(_pair(listing, Match(others[0], member, "lesion", None, ""), True))
    return tuple(sorted(pairs, key=lambda pair: (not pair.is_leak, not pair.is_conflict, -(pair.similarity or -1))))


def _pair(listing: LabelledImages, match: Match, same_lesion: bool | None) -> ImagePair:
    first, second = sorted(match.pair, key=lambda index: SPLIT_ORDER.index(listing.splits[index]))
    return ImagePair(
        listing.paths[first],
        listing.paths[second],
        match.kind,
        match.similarity,
        match.turn,
        (listing.splits[first], listing.splits[second]),
        (listing.labels[first], listing.labels[second]),
        same_lesion,
    )


def _in_several_splits(listing: LabelledImages, members: Sequence[int]) -> bool:
    return len({listing.splits[member] for member in members}) > 1


def _latest(listing: LabelledImages, members: Sequence[int]) -> str:
    return max((listing.splits[member] for member in members), key=SPLIT_ORDER.index)


def _leaking(listing: LabelledImages, together: Clusters) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the images of the last split that have a partner in another split, and those partners."""
    last = _latest(listing, range(len(listing)))
    inside: list[str] = []
    outside: list[str] = []
    for members in together:
        if _in_several_splits(listing, members) and _latest(listing, members) == last:
            for member in members:
                (inside if listing.splits[member] == last else outside).append(listing.paths[member])
    return tuple(sorted(inside)), tuple(sorted(outside))


def _quarantine(
    listing: LabelledImages, together: Clusters, clusters: Clusters, conflicts: Sequence[LabelConflict]
) -> dict[str, str]:
    """Return the images that training should leave out: path → why; never an image of the test split."""
    reasons: dict[str, str] = {}
    for members in together:
        latest = _latest(listing, members)
        kept = next(listing.paths[member] for member in members if listing.splits[member] == latest)
        for member in members:
            if listing.splits[member] != latest:
                reasons[listing.paths[member]] = f"belongs together with {kept}"
    for members in clusters:
        labels = sorted({listing.labels[member] for member in members})
        for member in members:
            if len(labels) > 1 and listing.splits[member] != "test":
                reasons.setdefault(listing.paths[member], f"is one image with the labels {' and '.join(labels)}")
    for conflict in conflicts:
        if conflict.split != "test":
            reasons.setdefault(conflict.path, f"is labelled {conflict.label}; diagnosis: {conflict.diagnosis}")
    return dict(sorted(reasons.items()))


def _label_shortcuts(scanned: Scan, together: Clusters, columns: Sequence[Column]) -> tuple[LabelShortcut, ...]:
    labels = np.array(scanned.listing.labels)
    names = set(scanned.listing.labels)
    positive = sorted(name for name in names if standard_label(name) == CLASS_NAMES[1]) or [max(names)]
    groups = np.arange(len(labels), dtype=np.int64)
    for members in together:
        groups[list(members)] = members[0]
    malignant = np.isin(labels, positive).astype(np.int64)
    missing, name = missing_metadata(columns), " or ".join(positive)
    return find_label_shortcuts(scanned, malignant, groups, missing=missing, positive=name)


def _notes(listing: LabelledImages, rows: Rows | None, skipped: int, columns: Sequence[Column]) -> tuple[str, ...]:
    ages = (ages_of(column.values) for column in columns if column.role == "age")
    notes = [impossible_ages(age.impossible) for age in ages if age.impossible]
    if len(set(listing.splits)) == 1:
        notes.append("There is no train and test split, so nothing can leak yet: melanoma-data split makes one.")
    if rows is not None and (unused := len(rows.keys() - set(listing.paths))):
        notes.append(f"Rows of the metadata without an image here: {unused:,}.")
    if skipped:
        notes.append(
            f"Pairs of vaguely similar images that were not compared, because there are too many: {skipped:,}."
        )
    return tuple(notes)
