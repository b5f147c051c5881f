"""How an audit's giveaways and pairs are written, the same on the terminal, on the page and in the data card.

What an audit comes to: the verdict, and what to do about it.

What an audit found, as a JSON file: for programs, and for the data card.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.findings import Audit, ImagePair, Kind, LabelShortcut
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import DISCLAIMER, SPLITS, amount, readable, split_names

KINDS: tuple[Kind, ...] = ("exact", "near", "lesion")
BY_METADATA = {True: "one group by the metadata", False: "two groups by the metadata", None: ""}


def figure(shortcut: LabelShortcut) -> str:
    """Return "0.971 [0.962–0.980]"."""
    if shortcut.auroc is None:
        return "not computable"
    interval = shortcut.interval
    return f"{shortcut.auroc:.3f} " + (f"[{interval[0]:.3f}–{interval[1]:.3f}]" if interval else "[not computable]")


def count_by_kind(pairs: Iterable[ImagePair]) -> dict[Kind, int]:
    """Return how many pairs there are of each kind."""
    kinds = [pair.kind for pair in pairs]
    return {kind: kinds.count(kind) for kind in KINDS}


def in_order(pairs: Iterable[ImagePair]) -> list[ImagePair]:
    """Return the pairs that weigh most first: conflicts, then the same pixels, then by likeness."""
    return sorted(
        pairs,
        key=lambda pair: (
            not pair.is_conflict,
            KINDS.index(pair.kind),
            -(pair.similarity or 0),
            pair.first,
            pair.second,
        ),
    )


def facts(pair: ImagePair) -> list[str]:
    """Return what is known of a pair, such as "near", "likeness 0.981", "mirrored", "one group by the metadata"."""
    if pair.kind == "lesion":
        return ["one group by the metadata, not by the pixels"]
    similarity = (
        f"likeness {pair.similarity:.3f}" if pair.kind == "near" and pair.similarity is not None else "same pixels"
    )
    return [fact for fact in (pair.kind, similarity, pair.turn, BY_METADATA[pair.same_lesion]) if fact]


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
        ("image cannot be read", "images cannot be read"): len(audit.broken),
    }
    found = ", ".join(amount(count, *things) for things, count in counts.items() if count)
    return f"{headline(audit)}{'; ' if audit.is_clean else ': '}{found}" if found else headline(audit)


def ways_out(audit: Audit) -> dict[str, str]:
    """Return what to do about it: a sentence → the command that does it; nothing where the images are clean."""
    if audit.is_clean:
        return {}
    column = ["--group-column", audit.group_column] if audit.group_column else []
    source, *options = audit.words or (audit.root, *column)
    count = f" ({len(audit.quarantine):,})" if audit.quarantine else ""
    ways = {f"write the list of images to leave out{count}": ["audit", source, *options, "--fix", QUARANTINE]}
    if audit.leaks or audit.shared_groups:
        words = options[: options.index("--exclude")] if "--exclude" in options else options  # it comes last
        ways["or split anew, what belongs together on one side"] = ["split", source, NEW_FOLDER, *words]
    return {sentence: readable(shlex.join(["melanoma-data", *words])) for sentence, words in ways.items()}


def held_out(audit: Audit) -> tuple[str, int]:
    """Return what images must not have been seen before, as "test images", and how many there are of them."""
    per_split: Mapping[str, Mapping[str, int]] = audit.inventory["per_split"]
    names = split_names(per_split)
    chosen = "test" if "test" in names or not names else names[-1]
    title = f"{chosen} images" if chosen in SPLITS else "images"
    return title, sum(per_split.get(chosen, {}).values())


AUDIT_JSON = "audit.json"
SORTED = ("broken", "shared_groups", "quarantine")


def audit_to_dict(audit: Audit) -> dict[str, Any]:
    """Return all of an audit as values that JSON knows, under `summary` the counts first."""
    findings = _plain(asdict(audit))
    for name in SORTED:
        findings[name] = dict(sorted(findings[name].items()))
    for pair, written in zip(audit.pairs, findings["pairs"], strict=True):
        written |= {"is_leak": pair.is_leak, "is_conflict": pair.is_conflict}
    return {"disclaimer": DISCLAIMER, "summary": summarise(audit), **findings}


def summarise(audit: Audit) -> dict[str, Any]:
    """Return the verdict and the counts behind it."""
    return {
        "is_clean": audit.is_clean,
        "leaks": len(audit.leaks),
        "shared_groups": len(audit.shared_groups),
        "leaking_test_images": len(audit.leaking_test_images),
        "conflicts": len(audit.conflicts),
        "label_conflicts": len(audit.label_conflicts),
        "pairs": len(audit.pairs),
        "clusters": len(audit.clusters),
        "broken": len(audit.broken),
        "quarantine": len(audit.quarantine),
    }


def write_json(audit: Audit, folder: Path) -> Path:
    """Write `audit.json`, whole or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(audit_to_dict(audit), indent=2, ensure_ascii=False)
    with write_atomically(folder / AUDIT_JSON) as file:
        # bytes of a file's name that are no UTF-8 become \udcXX, which JSON reads back as what Python had
        file.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        file.write("\n")
    return folder / AUDIT_JSON


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(content) for content in value]
    return value
