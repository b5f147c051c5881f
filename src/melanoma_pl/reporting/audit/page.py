"""What an audit found, as one page that needs nothing but itself: to be looked at, sent and kept."""

from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.data.listing import Listing
from melanoma_pl.notices import DISCLAIMER
from melanoma_pl.reporting import words
from melanoma_pl.reporting.audit import verdict
from melanoma_pl.reporting.audit import words as audit_words
from melanoma_pl.reporting.audit.charts import forest, histogram
from melanoma_pl.reporting.audit.pairs import describe_clusters, pair_groups, pair_table
from melanoma_pl.reporting.html import write_html
from melanoma_pl.reporting.thumbnails import thumbnails

FILE_NAME = "audit.html"
LESIONS = 40  # in two splits, with pictures
CONFLICTS = 60  # labels against their diagnosis, with pictures
ROWS = 200  # of each list of files
SMALL = 96  # pixels, of a lesion's pictures


def write_page(audit: Audit, listing: Listing, folder: Path) -> Path:
    """Write `audit.html`, whole or not at all.

    Args:
        audit: What was found.
        listing: The photos: where they lie, with their splits and labels.
        folder: Where the page goes; it is made if it is not there.

    Returns:
        The page's path.
    """
    return write_html(folder / FILE_NAME, f"{FILE_NAME}.j2", _context(audit, listing))


def _context(audit: Audit, listing: Listing) -> dict[str, Any]:
    groups = pair_groups(audit)
    lesions = dict(list(audit.shared_groups.items())[:LESIONS])
    conflicts = audit.label_conflicts[:CONFLICTS]
    pairs = [path for group in groups for pair in group.pairs for path in (pair.first, pair.second)]
    return {
        "audit": audit,
        "words": words,
        "audit_words": audit_words,
        "disclaimer": DISCLAIMER,
        "name": listing.root.resolve().name,
        "verdict": verdict,
        "held_out": verdict.held_out(audit),
        "count_table": words.count_table(audit.inventory["per_split"]),
        "telling": sum(giveaway.tells for giveaway in audit.giveaways),
        "forest": forest(audit.giveaways),
        "clusters": describe_clusters(audit),
        "pair_table": pair_table(audit),
        "histogram": histogram(audit.pairs),
        "groups": groups,
        "lesions": lesions,
        "label_conflicts": conflicts,
        "files": [
            ("Photos that cannot be read", list(audit.broken.items()), bool(audit.broken)),
            ("Files that are no photos", [(path, "") for path in audit.others], False),
            ("Photos to leave out of training", list(audit.quarantine.items()), False),
        ],
        "rows": ROWS,
        "known": dict(zip(listing.paths, zip(listing.splits, listing.labels, strict=True), strict=True)),
        "pictures": thumbnails(listing.root, [*pairs, *(conflict.path for conflict in conflicts)]),
        "small_pictures": thumbnails(listing.root, [path for paths in lesions.values() for path in paths], SMALL),
    }
