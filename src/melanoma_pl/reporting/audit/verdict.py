"""What an audit comes to: the verdict, and what to do about it."""

import shlex
from collections.abc import Mapping

from melanoma_pl.data.audit.findings import Audit
from melanoma_pl.reporting.words import SPLITS, amount, readable, split_names

QUARANTINE = "quarantine.csv"
NEW_FOLDER = "clean"


def headline(audit: Audit) -> str:
    """Return what was found in a few words."""
    leaks = ["leaks"] if audit.leaks or audit.shared_groups else []
    conflicts = ["conflicts"] if audit.conflicts or audit.label_conflicts else []
    found = " and ".join([*leaks, *conflicts])
    return f"{found} were found" if found else "clean: no leak and no conflict was found"


def verdict(audit: Audit) -> str:
    """Return the headline with what is behind it, in one line."""
    counts = {
        ("pair across splits", "pairs across splits"): len(audit.leaks),
        ("lesion in two splits", "lesions in two splits"): len(audit.shared_groups),
        ("pair with two labels", "pairs with two labels"): len(audit.conflicts),
        ("label against the diagnosis", "labels against the diagnosis"): len(audit.label_conflicts),
        ("photo cannot be read", "photos cannot be read"): len(audit.broken),
    }
    found = ", ".join(amount(count, *things) for things, count in counts.items() if count)
    return f"{headline(audit)}{'; ' if audit.is_clean else ': '}{found}" if found else headline(audit)


def ways_out(audit: Audit) -> dict[str, str]:
    """Return what to do about it: a sentence → the command that does it; nothing where the photos are clean."""
    if audit.is_clean:
        return {}
    column = ["--group-column", audit.group_column] if audit.group_column else []
    source, *options = audit.words or (audit.root, *column)
    count = f" ({len(audit.quarantine):,})" if audit.quarantine else ""
    ways = {f"write the list of photos to leave out{count}": ["audit", source, *options, "--fix", QUARANTINE]}
    if audit.leaks or audit.shared_groups:
        words = options[: options.index("--exclude")] if "--exclude" in options else options  # it comes last
        ways["or split anew, what belongs together on one side"] = ["split", source, NEW_FOLDER, *words]
    return {sentence: readable(shlex.join(["melanoma-data", *words])) for sentence, words in ways.items()}


def held_out(audit: Audit) -> tuple[str, int]:
    """Return what photos must not have been seen before, as "test photos", and how many there are of them."""
    per_split: Mapping[str, Mapping[str, int]] = audit.inventory["per_split"]
    names = split_names(per_split)
    chosen = "test" if "test" in names or not names else names[-1]
    title = f"{chosen} photos" if chosen in SPLITS else "photos"
    return title, sum(per_split.get(chosen, {}).values())
