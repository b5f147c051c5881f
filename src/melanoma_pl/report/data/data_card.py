"""A data card in Markdown: what a set of images holds, what is known of it, and what it must not be used for.

Its questions are those of T. Gebru et al., *Datasheets for Datasets*, Communications of the ACM 64(12), 2021. What
neither the images nor their metadata answer is said to be unknown: a card with blanks to fill in is never filled in.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from melanoma_pl.data.columns import read_columns
from melanoma_pl.data.image_set import ImageListing
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import DISCLAIMER
from melanoma_pl.report.data import data_card_sections
from melanoma_pl.report.data.data_card_limits import limits
from melanoma_pl.report.data.data_card_sections import DataCardFacts, inventory
from melanoma_pl.report.markup import text

DATA_CARD = "DATA_CARD.md"
Rows = Mapping[str, Mapping[str, str]]


def data_card(listing: ImageListing, rows: Rows | None = None, audit: Mapping[str, Any] | None = None) -> str:
    """Return the card.

    Args:
        listing: The images; where there is no audit of them, their files' first lines are read for the sizes.
        rows: Their metadata by path, or None.
        audit: What `audit.json` holds; one of other images is not used, and the card says so. Images that it left out
            are left out here.
    """
    used = audit if audit is not None and is_of(audit, listing) else None
    shown = listing.without(used["left_out"]) if used else listing
    facts = DataCardFacts(
        listing=shown,
        columns=read_columns(shown, rows),
        inventory=used["inventory"] if used else inventory(shown),
        audit=used,
        has_other_audit=audit is not None and used is None,
    )
    return "\n\n".join(_sections(facts)) + "\n"


def _sections(facts: DataCardFacts) -> list[str]:
    return [
        f"# Data card: {text(facts.listing.root.resolve().name)}",
        f"**{DISCLAIMER}** Written by `melanoma-data card` from the images, their folders and their metadata.",
        data_card_sections.composition(facts),
        data_card_sections.origin(facts),
        data_card_sections.coverage(facts),
        *data_card_sections.summaries(facts),
        data_card_sections.together(facts),
        data_card_sections.labels(facts),
        data_card_sections.findings(facts),
        limits(facts),
        data_card_sections.uses(),
        data_card_sections.licence(facts),
        data_card_sections.citation(facts),
        data_card_sections.maintenance(facts),
    ]


def is_of(audit: Mapping[str, Any], listing: ImageListing) -> bool:
    """Tell whether an audit is of these images, in these splits and classes; one that an old version wrote is not."""
    left_out = audit.get("left_out", ())
    return bool(listing.without(left_out).fingerprint == audit.get("listing"))


def read_audit(path: Path) -> dict[str, Any] | None:
    """Return what an `audit.json` holds, or None where there is none.

    Raises:
        UserError: If the file is none of ours.
    """
    if not path.is_file():
        return None
    try:
        audit: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        audit["inventory"]["per_split"], audit["summary"], audit["broken"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no audit of images", "remove it, and audit anew: melanoma-data audit") from error
    return audit


def write_card(text: str, target: Path) -> Path:
    """Write a card, whole or not at all, and return its path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(target) as file:
        file.write(text)
    return target
