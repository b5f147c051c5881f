"""All that a data card is written from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from melanoma_pl.data.columns import Column
from melanoma_pl.data.listing import Listing


@dataclass(frozen=True)
class Facts:
    """What is known of a set of photos.

    Attributes:
        listing: The photos, without those that the audit left out.
        columns: Of their metadata.
        inventory: Counts of files, as an audit's.
        audit: What an audit of these photos found, as `audit.json` holds it, or None.
        has_other_audit: Whether the audit that is there is of other photos, splits or classes.
    """

    listing: Listing
    columns: list[Column]
    inventory: Mapping[str, Any]
    audit: Mapping[str, Any] | None
    has_other_audit: bool

    def about(self, *roles: str) -> list[Column]:
        """Return the columns about something that are not quite empty."""
        return [column for column in self.columns if column.role in roles and column.filled]
