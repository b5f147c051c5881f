"""Wording and counts of an audit, the same on the terminal, on the page and in the data card; and its JSON file."""

import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.findings import Audit, ImagePair, Kind
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import DISCLAIMER, SPLITS, amount, brackets, decimal, readable, split_names

AUDIT_JSON = "audit.json"
KINDS: tuple[Kind, ...] = ("exact", "near", "lesion")
BY_METADATA = {True: "same group in the metadata", False: "different groups in the metadata", None: ""}
QUARANTINE = "quarantine.csv"
NEW_FOLDER = "clean"


# Wording


def figure(auroc: float | None, interval: tuple[float, float] | None) -> str:
    """Return an AUROC with its interval, as "0.971 [0.962–0.980]"."""
    if auroc is None:
        return "not computable"
    return f"{decimal(auroc)} {brackets(interval) if interval else '[not computable]'}"


def facts(pair: ImagePair) -> list[str]:
    """Return what is known of a pair, such as "near", "similarity 0.981", "mirrored", "same group in the metadata"."""
    if pair.kind == "lesion":
        return ["same group in the metadata only"]
    is_near = pair.kind == "near" and pair.similarity is not None
    similarity = f"similarity {pair.similarity:.3f}" if is_near else "same pixels"
    return [fact for fact in (pair.kind, similarity, pair.turn, BY_METADATA[pair.same_lesion]) if fact]


def headline(audit: Audit) -> str:
    """Return the verdict in a few words."""
    leaks = ["leaks"] if audit.leaks or audit.shared_groups else []
    conflicts = ["conflicts"] if audit.conflicts or audit.label_conflicts else []
    found = " and ".join([*leaks, *conflicts])
    return f"{found} were found" if found else "clean: no leak and no conflict was found"


def verdict(audit: Audit) -> str:
    """Return the headline with the counts behind it, in one line."""
    counts = {
        ("pair across splits", "pairs across splits"): len(audit.leaks),
        ("lesion in two splits", "lesions in two splits"): len(audit.shared_groups),
        ("pair with two labels", "pairs with two labels"): len(audit.conflicts),
        ("label that contradicts the diagnosis", "labels that contradict the diagnosis"): len(audit.label_conflicts),
        ("image cannot be read", "images cannot be read"): len(audit.broken),
    }
    found = ", ".join(amount(count, *things) for things, count in counts.items() if count)
    return f"{headline(audit)}{'; ' if audit.is_clean else ': '}{found}" if found else headline(audit)


def ways_out(audit: Audit) -> dict[str, str]:
    """Return what to do about the findings: a sentence → the command that does it; empty where all is clean."""
    if audit.is_clean:
        return {}
    column = ["--group-column", audit.group_column] if audit.group_column else []
    source, *options = audit.words or (audit.root, *column)
    count = f" ({len(audit.quarantine):,})" if audit.quarantine else ""
    ways = {f"write the list of images to leave out{count}": ["audit", source, *options, "--fix", QUARANTINE]}
    if audit.leaks or audit.shared_groups:
        words = options[: options.index("--exclude")] if "--exclude" in options else options  # it comes last
        ways["or make new splits that keep images of one lesion together"] = ["split", source, NEW_FOLDER, *words]
    return {sentence: readable(shlex.join(["melanoma-data", *words])) for sentence, words in ways.items()}


def describe_clusters(audit: Audit) -> str:
    """Return "125 in 52 clusters, at most 9 in one", of the images that belong together by their pixels."""
    sizes = [len(cluster) for cluster in audit.clusters]
    return f"{sum(sizes):,} in {amount(len(sizes), 'cluster')}, at most {max(sizes):,} in one" if sizes else "none"


# Counts and order


def pair_table(audit: Audit) -> list[tuple[str, list[int]]]:
    """Return the number of pairs of each kind, and of all, for leaks, conflicts, and pairs within a split."""
    kinds = {
        "in two splits: leaks": [pair.kind for pair in audit.leaks],
        "with two labels: conflicts": [pair.kind for pair in audit.conflicts],
        "within one split": [pair.kind for pair in audit.pairs if not pair.is_leak],
    }
    return [(title, [*map(found.count, KINDS), len(found)]) for title, found in kinds.items()]


def in_order(pairs: Iterable[ImagePair]) -> list[ImagePair]:
    """Return the most important pairs first: conflicts, then the same pixels, then by similarity."""

    def rank(pair: ImagePair) -> tuple[bool, int, float, str, str]:
        return not pair.is_conflict, KINDS.index(pair.kind), -(pair.similarity or 0), pair.first, pair.second

    return sorted(pairs, key=rank)


def held_out(audit: Audit) -> tuple[str, int]:
    """Return the name of the held-out images, such as "test images", and their number."""
    per_split = audit.inventory["per_split"]
    names = split_names(per_split)
    chosen = "test" if "test" in names or not names else names[-1]
    title = f"{chosen} images" if chosen in SPLITS else "images"
    return title, sum(per_split.get(chosen, {}).values())


# The JSON file


def audit_to_dict(audit: Audit) -> dict[str, Any]:
    """Return all findings as values for JSON, with a `summary` of counts first."""
    summary: dict[str, bool | int] = {"is_clean": audit.is_clean}
    for name in (
        "leaks",
        "shared_groups",
        "leaking_test_images",
        "conflicts",
        "label_conflicts",
        "pairs",
        "clusters",
        "broken",
        "quarantine",
    ):
        summary[name] = len(getattr(audit, name))
    findings = asdict(audit)
    for name in ("broken", "shared_groups", "quarantine"):
        findings[name] = dict(sorted(findings[name].items()))
    for pair, written in zip(audit.pairs, findings["pairs"], strict=True):
        written |= {"is_leak": pair.is_leak, "is_conflict": pair.is_conflict}
    return {"disclaimer": DISCLAIMER, "summary": summary, **findings}


def write_json(audit: Audit, folder: Path) -> Path:
    """Write `audit.json`, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(audit_to_dict(audit), indent=2, ensure_ascii=False)
    with write_atomically(folder / AUDIT_JSON) as file:
        # undecodable bytes of a file's name become \udcXX, which JSON reads back as Python had them
        file.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        file.write("\n")
    return folder / AUDIT_JSON
