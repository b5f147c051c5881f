"""Photos whose label their diagnosis contradicts."""

from collections.abc import Mapping

from melanoma_pl.data.audit.findings import LabelConflict
from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.data.listing import Listing, meaning
from melanoma_pl.data.public_sets.diagnoses import malignancies

DIAGNOSIS = "diagnosis"
SEPARATOR = "|"  # between the diagnoses of several sources


def find_label_conflicts(listing: Listing, rows: Mapping[str, Mapping[str, str]] | None) -> tuple[LabelConflict, ...]:
    """Compare each label with what the photo's diagnosis means.

    Only a label that means benign or malignant can be contradicted; a diagnosis that is unknown, uncertain or disputed
    among its sources contradicts nothing.

    Args:
        listing: The photos.
        rows: Their metadata by path, or None; its column `diagnosis` is what counts.
    """
    if rows is None:
        return ()
    known = malignancies()
    found = []
    for path, label, split in zip(listing.paths, listing.labels, listing.splits, strict=True):
        diagnosis = rows.get(path, {}).get(DIAGNOSIS, "")
        meanings = {known.get(part.strip().lower(), "unknown") for part in diagnosis.split(SEPARATOR)}
        means = meanings.pop() if len(meanings) == 1 else "disputed"
        if {meaning(label), means} == set(CLASS_NAMES):
            found.append(LabelConflict(path, split, label, diagnosis, means))
    return tuple(found)
