"""Which images of a set belong together, so that no split may part them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from melanoma_pl.data.audit.duplicates import clusters_of
from melanoma_pl.data.image_set import ImageListing
from melanoma_pl.data.metadata import METADATA_FILE, group_of, require_column
from melanoma_pl.errors import UserError, first_of

Rows = Mapping[str, Mapping[str, str]]


def groups_by_column(listing: ImageListing, table: Path | None, rows: Rows, column: str) -> list[str]:
    """Return each image's lesion or patient; a blank cell tells nothing, and its image is a group of its own.

    Args:
        listing: N images.
        table: The metadata, as errors name it.
        rows: The metadata by the images' paths.
        column: Column whose equal values mean one lesion or patient.

    Raises:
        UserError: If there is no table or no such column, or an image has no row.
    """
    if table is None:
        raise UserError(
            f"--group-column {column} needs a metadata table, and {listing.root} has no {METADATA_FILE}",
            "name one with --metadata, or leave --group-column out to keep near-duplicates together",
        )
    missing = [path for path in listing.paths if path not in rows]
    if missing:
        raise UserError(f"{table} has no row for {named(missing)} of {len(listing)}", "add them, and mend the paths")
    require_column(table, list(rows[listing.paths[0]]), column, "--group-column")
    return [group_of(rows[path][column], path) for path in listing.paths]


def joined(groups: Sequence[str], paths: Sequence[str], clusters: Sequence[Sequence[str]]) -> list[str]:
    """Join the groups of images that are near-duplicates of each other, whatever a table says of them.

    Args:
        groups: Of each image.
        paths: Of each image.
        clusters: Paths of images that belong together by their pixels.

    Returns:
        Of each image its group, or the alphabetically first of the groups that were joined with it.
    """
    names = sorted(set(groups))
    number = {name: index for index, name in enumerate(names)}
    group_of = dict(zip(paths, groups, strict=True))
    edges = [(number[group_of[cluster[0]]], number[group_of[path]]) for cluster in clusters for path in cluster]
    first = {names[member]: names[members[0]] for members in clusters_of(edges, len(names)) for member in members}
    return [first.get(group, group) for group in groups]


def named(paths: Sequence[str]) -> str:
    """Return how many images these are, and the first by name."""
    return f"{len(paths)} image{'s' * (len(paths) != 1)} ({first_of(paths)})"
