"""All that a data card is written from.

What the images' files say of themselves, for a data card of images that were not audited: their pixels stay shut.

What a data card says of the images themselves: how many, of whom, how labelled.

What a data card says about the use of images: origin, findings, rights, upkeep.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.findings import LabelShortcut
from melanoma_pl.data.columns import Column, ages_of, count_by_class, countable
from melanoma_pl.data.image_set import ImageListing
from melanoma_pl.image_files import BrokenImageError, open_image, read_all
from melanoma_pl.messages import amount, count_table, listed, percentage, size_in_bytes
from melanoma_pl.report.data.audit_summary import figure
from melanoma_pl.report.markup import bullets, code, section, table, text


@dataclass(frozen=True)
class DataCardFacts:
    """What is known of a set of images.

    Attributes:
        listing: The images, without those that the audit left out.
        columns: Of their metadata.
        inventory: Counts of files, as an audit's.
        audit: What an audit of these images found, as `audit.json` holds it, or None.
        has_other_audit: Whether the audit that is there is of other images, splits or classes.
    """

    listing: ImageListing
    columns: list[Column]
    inventory: Mapping[str, Any]
    audit: Mapping[str, Any] | None
    has_other_audit: bool

    def about(self, *roles: str) -> list[Column]:
        """Return the columns about something that are not quite empty."""
        return [column for column in self.columns if column.role in roles and column.filled]


MOST_FREQUENT = 20


def inventory(listing: ImageListing) -> dict[str, Any]:
    """Count images per split and class, formats, sizes and bytes, under the names that an audit gives them."""
    per_split: dict[str, dict[str, int]] = {}
    for split, label in zip(listing.splits, listing.labels, strict=True):
        per_class = per_split.setdefault(split or "all", {})
        per_class[label] = per_class.get(label, 0) + 1
    facts = list(read_all(_facts, listing.files, "reading sizes"))
    sizes = Counter(size for _, size, _ in facts if size)
    return {
        "images": len(listing),
        "per_split": per_split,
        "formats": dict(Counter(name for name, _, _ in facts).most_common()),
        "sizes": dict(sizes.most_common(MOST_FREQUENT)),
        "different_sizes": len(sizes),
        "bytes": sum(count for _, _, count in facts),
    }


def _facts(file: Path) -> tuple[str, str, int]:
    """Return a file's format, its size in pixels and in bytes, by its first lines."""
    try:
        count = file.stat().st_size
        with open_image(file) as image:
            return image.format or "unknown", f"{image.width}×{image.height}", count
    except (BrokenImageError, OSError):
        return "not readable", "", 0


MOST_VALUES = 25  # rows of a table of counts; rarer values are summed up
UNKNOWN = "not known"
NO_SPLIT = "no split"


def composition(facts: DataCardFacts) -> str:
    """Return how many images there are, and what files."""
    inventory = facts.inventory
    columns, rows = count_table(_by_split(inventory["per_split"]))
    titled: list[list[str | int]] = [[text(label), *counts] for label, counts in rows]
    sizes = f"{inventory['different_sizes']:,} different: " if inventory["different_sizes"] > 1 else ""
    broken, left_out = (facts.audit["broken"], facts.audit["left_out"]) if facts.audit else ({}, ())
    files = [
        f"files: {size_in_bytes(inventory['bytes'])}; {text(listed(inventory['formats']))}",
        f"sizes in pixels: {sizes}{text(listed(inventory['sizes']))}",
        *([f"{amount(len(broken), 'image')} cannot be read and are not counted here"] if broken else []),
        *([f"{amount(len(left_out), 'image')} left out before the audit, and not counted here"] if left_out else []),
        *([f"{amount(len(facts.listing.others), 'file')} beside them are no images"] if facts.listing.others else []),
    ]
    splits = [name for name in columns[:-1] if name != NO_SPLIT]
    known_splits = f"in {amount(len(splits), 'split')}" if splits else "without a split into training and test"
    return section(
        "What it is",
        f"{amount(inventory['images'], 'image')} of moles, each labelled with one of "
        f"{amount(len(rows) - 1, 'class', 'classes')}, {known_splits}.",
        table(["class", *map(text, columns)], titled),
        bullets(files),
    )


def coverage(facts: DataCardFacts) -> str:
    """Return which columns the metadata has and how much of each is filled."""
    total = len(facts.listing)
    rows: list[list[str | int]] = [
        [code(column.name), f"{column.filled:,} ({percentage(column.filled, total)})", column.different]
        for column in facts.columns
    ]
    if not rows:
        return section("What is known of each image", "Nothing but its label: there is no metadata table.")
    return section("What is known of each image", table(["column", "filled", "different values"], rows))


def summaries(facts: DataCardFacts) -> list[str]:
    """Return a section for each column that says something of patients, places, diagnoses or origins."""
    ages = [_ages(column, facts) for column in facts.about("age")]
    named = facts.about("sex", "site", "skin type", "diagnosis", "source", "licence")
    roles = {"skin type": "Skin type (Fitzpatrick)"}
    counted = [
        section(f"{roles.get(column.role, column.role.capitalize())}: {code(column.name)}", _counts(column, facts))
        for column in named
    ]
    others = [section(f"Also: {code(column.name)}", _counts(column, facts)) for column in countable(facts.columns)]
    return [*ages, *counted, *others]


def together(facts: DataCardFacts) -> str:
    """Return how many lesions and patients the images show."""
    lines = [_groups(column, facts) for column in facts.about("lesion", "patient", "group")]
    unknown = "Not known: no column of the metadata names lesions or patients."
    return section("Lesions and patients", bullets(lines) or unknown)


def labels(facts: DataCardFacts) -> str:
    """Return how images came by their labels, as far as that is known."""
    diagnoses = facts.about("diagnosis")
    lines = ["The label is the name of the image's folder, or what the table of images says."]
    if diagnoses:
        total = len(facts.listing)
        known = [f"{code(column.name)} for {column.filled:,} of {total:,}" for column in diagnoses]
        lines.append(f"A diagnosis is given: {', '.join(known)} images. Who made it is not known beyond the metadata.")
    else:
        lines.append("Who labelled the images, by what rule, and whether a biopsy confirmed it is not known.")
    return section("How it was labelled", " ".join(lines))


def _by_split(per_split: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """Return an inventory's counts; beside real splits "all" holds the images that are in none of them."""
    has_splits = set(per_split) != {"all"}
    return {NO_SPLIT if has_splits and name == "all" else name: counts for name, counts in per_split.items()}


def _ages(column: Column, facts: DataCardFacts) -> str:
    rows: list[list[str | int]] = []
    for label in [*sorted(set(facts.listing.labels)), ""]:
        values = [value for value, own in zip(column.values, facts.listing.labels, strict=True) if label in ("", own)]
        ages = ages_of(values)
        years = [UNKNOWN if figure is None else f"{figure:g}" for figure in (ages.median, ages.lowest, ages.highest)]
        rows.append([text(label) or "all", ages.known, *years])
    no_number = ages_of(column.values).no_number
    return section(
        f"Age: {code(column.name)}",
        table(["years", "known", "median", "lowest", "highest"], rows),
        f"Of {amount(no_number, 'image')} the age is filled in but no number: not counted above." if no_number else "",
    )


def _counts(column: Column, facts: DataCardFacts) -> str:
    """Return each value's images by class, the most frequent value first."""
    if column.different > max(MOST_VALUES, column.filled / 2):
        return f"{column.different:,} different values in {amount(column.filled, 'image')}: the metadata lists them."
    classes = sorted(set(facts.listing.labels))
    counts = list(count_by_class(column, facts.listing.labels).items())
    rows: list[list[str | int]] = [
        [text(value) or UNKNOWN, *(count[label] for label in classes), count.total()]
        for value, count in counts[:MOST_VALUES]
    ]
    if rarer := counts[MOST_VALUES:]:
        summed = sum((count for _, count in rarer), Counter())
        title = amount(len(rarer), "rarer value")
        rows.append([title, *(summed[label] for label in classes), summed.total()])
    return table([code(column.name), *map(text, classes), "total"], rows)


def _groups(column: Column, facts: DataCardFacts) -> str:
    images = column.images_of().values()
    several = sum(len(positions) > 1 for positions in images)
    split = len(column.crossing(facts.listing.splits))
    line = (
        f"{code(column.name)}: {column.different:,} different in {amount(column.filled, 'image')}, {several:,} of them "
        "with several images"
    )
    return f"{line}, **{split:,} in more than one split**" if split else line


NOT_STATED = "Not stated: ask the source."


def origin(facts: DataCardFacts) -> str:
    """Return where images come from, as far as that is known."""
    sources = ", ".join(code(column.name) for column in facts.about("source"))
    known = f"The metadata names sources in {sources}, counted below." if sources else "The metadata names no source."
    beside = [name for name in ("README.md", "LICENSE") if (facts.listing.root / name).is_file()]
    more = f" {' and '.join(map(code, beside))} beside the images may say more." if beside else ""
    return section(
        "Where it comes from",
        f"{known}{more} For what purpose and by whom the images were taken, with which devices, how patients were "
        "chosen, and whether they agreed to this use is not known here.",
    )


def findings(facts: DataCardFacts) -> str:
    """Return what the audit found."""
    if facts.audit is None:
        other = "The audit that is there is of other images, splits or classes. " if facts.has_other_audit else ""
        command = f"`melanoma-data audit` on {code(facts.listing.root.resolve().name)}"
        return section("What an audit found", f"{other}These images were not audited: {command} does it.")
    summary, audit = facts.audit["summary"], facts.audit
    counts = [
        f"{amount(summary['leaking_test_images'], 'test image')} with a partner in another split",
        f"{amount(summary['leaks'], 'pair')} of images in two splits, {amount(summary['conflicts'], 'pair')} with two "
        f"labels, {amount(summary['pairs'], 'pair')} in all",
        f"{amount(summary['label_conflicts'], 'label')} that the diagnosis contradicts",
        f"{amount(summary['broken'], 'image')} cannot be read",
    ]
    told = [_label_shortcut(shortcut) for shortcut in audit["shortcuts"]]
    verdict = "Neither leaks nor conflicts were found." if summary["is_clean"] else "Leaks or conflicts were found."
    return section("What an audit found", f"{verdict} Fingerprint `{audit['fingerprint']}`.", bullets([*counts, *told]))


def uses() -> str:
    """Return what the images are for, and what not."""
    return section(
        "Use",
        "Meant for research on and teaching of methods that tell images of moles apart.",
        "Not meant for diagnosis, triage or advice on anyone's skin; for claims about patients, skin types, cameras or "
        "clinics that are not in it; or for finding out who is on an image.",
    )


def licence(facts: DataCardFacts) -> str:
    """Return under what terms images may be used, in the metadata's own words."""
    lines = []
    for column in facts.about("licence"):
        stated = {value: len(positions) for value, positions in column.images_of().items()}
        lines += [f"{text(value)}: {amount(count, 'image')}" for value, count in sorted(stated.items())]
        if missing := len(facts.listing) - column.filled:
            lines.append(f"no licence stated: {amount(missing, 'image')}; ask the source")
    return section("Licence", bullets(lines) or NOT_STATED)


def citation(facts: DataCardFacts) -> str:
    """Return whom to cite, as far as that is known."""
    if not facts.about("source"):
        return section("Whom to cite", NOT_STATED)
    return section("Whom to cite", "Not stated in so many words: ask the sources that the metadata names.")


def maintenance(facts: DataCardFacts) -> str:
    """Return how the card stays true."""
    fingerprint = f" (fingerprint of the audit: `{facts.audit['fingerprint']}`)" if facts.audit else ""
    return section(
        "Upkeep",
        f"This card is of the images as they were when it was written{fingerprint}. After any change run "
        "`melanoma-data audit` and then `melanoma-data card` again. Who keeps the images is not known here.",
    )


def _label_shortcut(found: Mapping[str, Any]) -> str:
    interval = tuple(found["interval"]) if found["interval"] else None
    told = figure(LabelShortcut(found["name"], found["auroc"], interval, found["sentence"]))
    return f"label told by {text(found['name'])}: AUROC {told}. {text(found['sentence'])}"
