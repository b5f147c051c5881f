"""The list of runs as text, and as plain values for JSON. Light."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from melanoma_pl.config.schema import direction
from melanoma_pl.messages import DISCLAIMER, SYNTHETIC, amount, readable
from melanoma_pl.runs.ranking import BY, Broken, Group, Overview, RunRanking

NOT_RANKED = "* not used for ranking: the test images judge the run that validation chose, and choose none."
SHORT = 8  # digits of a fingerprint: enough to tell image sets apart
NONE = "–"
TEST_AUROC = "test/auroc"


def format_listing(listing: RunRanking, with_unfinished: bool) -> str:
    """Return a table for each set of validation images, and what must be said of them.

    Args:
        listing: The runs.
        with_unfinished: Whether runs that did not finish are named, or only counted.
    """
    blocks = [_group_text(group, listing.by) for group in listing.groups]
    if not listing.groups:
        blocks.append(f"no run below {readable(str(listing.folder))} has come to its end")
    else:
        blocks.append("\n".join(_notes(listing)))
    left = [*_unfinished(listing.unfinished, with_unfinished), *map(_broken, listing.broken)]
    return "\n\n".join([*blocks, *(["\n".join(left)] if left else [])])


def listing_json(listing: RunRanking) -> dict[str, Any]:
    """Return the listing as plain values; whatever did not finish is in it."""
    return {
        "folder": str(listing.folder),
        "by": listing.by,
        "best": "smallest" if direction(listing.by) == "min" else "largest",
        "groups": [
            {"images": group.images, "validation": asdict(group.validation), "runs": _ranked_rows(group, listing.by)}
            for group in listing.groups
        ],
        "unfinished": [_row(run) for run in listing.unfinished],
        "broken": [{"record": str(broken.record), "reason": broken.reason} for broken in listing.broken],
        "notes": _notes(listing),
    }


def _ranked_rows(group: Group, by: str) -> list[dict[str, Any]]:
    ranks = [*range(1, len(group.ranked) + 1), *[None] * len(group.unranked)]
    return [{"rank": rank, by: run.figures.get(by), **_row(run)} for rank, run in zip(ranks, group.runs, strict=True)]


def _row(run: Overview) -> dict[str, Any]:
    keys = ("name", "status", "started", "epochs", "images", "is_synthetic", "figures")
    return {"folder": str(run.folder), **{key: getattr(run, key) for key in keys}}


def _group_text(group: Group, by: str) -> str:
    tags = list(dict.fromkeys([by, BY, "val/sensitivity", "val/specificity", TEST_AUROC]))
    heads = [f"{tag}*" if tag == TEST_AUROC else tag for tag in tags]
    rows = [["rank", *heads, "epochs", "started", "name", "folder"]]
    for rank, run in enumerate(group.runs, start=1):
        figures = [f"{run.figures[tag]:.3f}" if tag in run.figures else NONE for tag in tags]
        place = str(rank) if rank <= len(group.ranked) else NONE
        rows.append([place, *figures, str(run.epochs), *_words(run)])
    return "\n".join([_header(group), *_table(rows)])


def _words(run: Overview) -> list[str]:
    return [run.started[:16].replace("T", " "), readable(run.name), readable(str(run.folder))]


def _header(group: Group) -> str:
    images, validation = readable(group.images), group.validation
    counts = {run.figures.get("val/n") for run in group.runs} - {None}
    number = amount(int(counts.pop() or 0), "image") if len(counts) == 1 else ""
    if validation.listed:
        number = f"{number or 'images'} ({validation.listed[:SHORT]})"
    number += ", " if number else ""
    ending = ", as the original did: not ranked" if validation.on_test else ""
    return f"{images} ({validation.fingerprint[:SHORT]}), validation: {number}{validation.cut}{ending}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Set the columns side by side, numbers flush right, the last three, which are words, flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = len(widths) - 3
    return [
        "  ".join(f"{cell:{'<' if place >= words else '>'}{widths[place]}}" for place, cell in enumerate(row)).rstrip()
        for row in rows
    ]


def _notes(listing: RunRanking) -> list[str]:
    largest = max((group.ranked for group in listing.groups), key=len, default=())
    notes = []
    if any(TEST_AUROC in run.figures for group in listing.groups for run in group.runs):
        notes.append(NOT_RANKED)
    if sum(bool(group.runs) for group in listing.groups) > 1:
        notes.append("Figures of different tables are of different validation images: they cannot be compared.")
    if len(largest) > 1:
        pair = shlex.join([str(largest[1].folder), str(largest[0].folder)])
        notes.append(f"more than chance between second and first?  melanoma-runs compare {pair} --split validation")
    return [*notes, *([SYNTHETIC] if listing.is_synthetic else []), DISCLAIMER]


def _unfinished(runs: Sequence[Overview], named: bool) -> list[str]:
    if not runs:
        return []
    if not named:
        return [f"{amount(len(runs), 'run')} did not finish: --all names {'it' if len(runs) == 1 else 'them'}"]
    return [f"did not finish: {readable(str(run.folder))}: {readable(run.status)}" for run in runs]


def _broken(broken: Broken) -> str:
    return f"cannot be read: {readable(str(broken.record))} ({readable(broken.reason)})"
