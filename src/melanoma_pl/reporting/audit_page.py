"""What an audit found, as one page that needs nothing but itself: to be looked at, sent and kept."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.data.listing import Listing
from melanoma_pl.files import write_atomically
from melanoma_pl.notices import DISCLAIMER
from melanoma_pl.reporting import audit_verdict, audit_words
from melanoma_pl.reporting.audit_charts import forest, histogram
from melanoma_pl.reporting.audit_pairs import describe_clusters, pair_groups, pair_table
from melanoma_pl.reporting.audit_thumbnails import thumbnails

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
    folder.mkdir(parents=True, exist_ok=True)
    text = _environment().get_template(f"{FILE_NAME}.j2").render(_context(audit, listing))
    with write_atomically(folder / FILE_NAME) as file:
        file.write(text)
    return folder / FILE_NAME


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("melanoma_pl.reporting"),
        autoescape=True,  # names of files and of lesions may hold < & "
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "readable": audit_words.readable,
        "breakable": _breakable,
        "command": _command,
        "number": "{:,}".format,
        "percent": "{:.2f}%".format,
    }
    return environment


def _breakable(path: str) -> Markup:
    """Let a path break after its folders rather than within a name."""
    return Markup("/<wbr>").join(audit_words.readable(path).split("/"))


def _context(audit: Audit, listing: Listing) -> dict[str, Any]:
    groups = pair_groups(audit)
    lesions = dict(list(audit.shared_groups.items())[:LESIONS])
    conflicts = audit.label_conflicts[:CONFLICTS]
    pairs = [path for group in groups for pair in group.pairs for path in (pair.first, pair.second)]
    return {
        "audit": audit,
        "words": audit_words,
        "disclaimer": DISCLAIMER,
        "name": listing.root.resolve().name,
        "verdict": audit_verdict,
        "held_out": audit_verdict.held_out(audit),
        "count_table": audit_words.count_table(audit.inventory["per_split"]),
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


def _command(text: str) -> Markup:
    """Let a command break between its words: a browser would break `--fix` after its hyphens."""
    return Markup(" ").join(Markup("<span>{}</span>").format(word) for word in text.split(" "))
