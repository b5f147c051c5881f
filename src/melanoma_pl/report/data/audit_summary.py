"""Wording and counts of an audit, the same on the terminal, on the page and in the data card; and its JSON file."""

import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.duplicates import clusters_of
from melanoma_pl.data.audit.findings import NO_IMAGES, Audit, ImagePair, Kind
from melanoma_pl.files import write_atomically
from melanoma_pl.messages import DISCLAIMER, SPLITS, amount, brackets, decimal, hydra_word, readable, split_names

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
    source, *words = audit.words or (audit.root, *column)
    flags = [NO_IMAGES] if NO_IMAGES in words else []
    words = [word for word in words if word != NO_IMAGES]
    options = dict(zip(words[::2], words[1::2], strict=True))
    fixed, count = options.pop("--fix", None), f" ({len(audit.quarantine):,})" if audit.quarantine else ""
    if fixed is None:
        fix = ["melanoma-data", "audit", source, *_flat(options), "--fix", QUARANTINE, *flags]
        ways = {f"write the list of images to leave out{count}": shlex.join(fix)}
    else:
        ways = {f"train without the images on the list{count}": _training(source, options, fixed)}
    if audit.leaks or audit.shared_groups:
        options.pop("--exclude", None)
        together = "images of one lesion" if audit.group_column else "copies of one image"
        split = ["melanoma-data", "split", source, NEW_FOLDER, *_flat(options)]
        ways[f"or make new splits that keep {together} together"] = shlex.join(split)
    return {sentence: readable(command) for sentence, command in ways.items()}


def _flat(options: Mapping[str, str]) -> list[str]:
    return [word for option in options.items() for word in option]


def _training(source: str, options: Mapping[str, str], exclude: str) -> str:
    """Return the command that trains on the audited images except those on a list."""
    kind, key = ("table", "data.table") if Path(source).suffix.lower() == ".csv" else ("folder", "data.root")
    others = {f"data.{name[2:].replace('-', '_')}": value for name, value in options.items() if name != "--exclude"}
    named = {key: source, **others, "data.exclude": exclude}
    return " ".join(["melanoma-train", f"data={kind}", *(hydra_word(name, value) for name, value in named.items())])


def describe_clusters(audit: Audit) -> str:
    """Return "125 in 52 clusters, at most 9 in one", of the images that belong together by their pixels."""
    sizes = [len(cluster) for cluster in audit.clusters]
    return f"{sum(sizes):,} in {amount(len(sizes), 'cluster')}, at most {max(sizes):,} in one" if sizes else "none"


@dataclass(frozen=True)
class ImageGroup:
    """Images of one lesion, or copies of one image, and what else belongs together with them.

    Attributes:
        names: Names of its lesions that the metadata has in several splits; empty where only the pixels tell.
        paths: Its images, sorted.
        pairs: Its pairs, the most important first; those in two splits alone if there are any.
    """

    names: tuple[str, ...]
    paths: tuple[str, ...]
    pairs: tuple[ImagePair, ...]

    @property
    def kind(self) -> str:
        """`leaks`, `conflicts` or `duplicates`: its consequence for training."""
        if any(pair.is_leak for pair in self.pairs):
            return "leaks"
        return "conflicts" if self.is_conflict else "duplicates"

    @property
    def is_conflict(self) -> bool:
        """True if copies of one image have two labels."""
        return any(pair.is_conflict for pair in self.pairs)


def image_groups(audit: Audit) -> list[ImageGroup]:
    """Return the images that belong together, directly or through others: the most important group first."""
    linked = [*((pair.first, pair.second) for pair in audit.pairs), *audit.clusters, *audit.shared_groups.values()]
    paths = sorted({path for images in linked for path in images})
    index = {path: number for number, path in enumerate(paths)}
    edges = [(index[first], index[other]) for first, *others in linked for other in others]
    number_of = {member: number for number, members in enumerate(clusters_of(edges, len(paths))) for member in members}
    names, images, pairs = (defaultdict[int, list[Any]](list) for _ in range(3))
    for member, number in number_of.items():
        images[number].append(paths[member])
    for name, members in audit.shared_groups.items():
        names[number_of[index[members[0]]]].append(name)
    for pair in in_order(audit.pairs):
        pairs[number_of[index[pair.first]]].append(pair)
    found = []
    for number in pairs:  # in the order of the most important pair of each
        leaks = tuple(pair for pair in pairs[number] if pair.is_leak)
        found.append(ImageGroup(tuple(names[number]), tuple(images[number]), leaks or tuple(pairs[number])))
    return found


def relations(audit: Audit) -> list[str]:
    """Return sentences on how the counts relate: images that leak, lesions in two splits, clusters of duplicates."""
    leaks = [group for group in image_groups(audit) if group.kind == "leaks"]
    if not leaks:
        return []
    images, total = held_out(audit)
    leaking = set(audit.leaking_test_images)
    by_pixels = {path for pair in audit.leaks if pair.kind != "lesion" for path in (pair.first, pair.second)}
    by_metadata = {path for paths in audit.shared_groups.values() for path in paths}
    reasons = {
        "because the metadata has their lesion in another split, too": leaking & by_metadata,
        "because their pixels match an image of another split": leaking & by_pixels,
        "for both reasons": leaking & by_metadata & by_pixels,
        "through another image of their split": leaking - by_metadata - by_pixels,
    }
    given = {reason: len(paths) for reason, paths in reasons.items() if paths}
    parts = [f"{count:,} {reason}" for reason, count in given.items()] if len(given) > 1 else list(given)
    start = f"{len(leaking):,} of {total:,} {images} leak{':' if len(given) > 1 else ','}"
    unnamed = sum(not group.names for group in leaks)
    across = sum(not by_pixels.isdisjoint(cluster) for cluster in audit.clusters)
    sentences = [f"{start} {', '.join(parts)}."] if parts else []
    sentences.append(f"They make {amount(len(leaks), 'group')} of images; a group can hold several {images}.")
    if audit.group_column:
        sentences[-1] += (
            f" The metadata knows {len(leaks) - unnamed:,} of them ({amount(len(audit.shared_groups), 'lesion')} in "
            f"two splits); only the pixels reveal the other {unnamed:,}."
        )
    sentences.append(
        f"Clusters count copies by their pixels alone: of {len(audit.clusters):,}, {across:,} reach into two splits, "
        f"and {len(audit.clusters) - across:,} stay within one, which is not a leak."
    )
    return sentences


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
