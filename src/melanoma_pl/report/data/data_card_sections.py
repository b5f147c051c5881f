"""Sections of a data card about the images: origin, files, metadata, patients, labels."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.scanning import FileFacts, facts_of
from melanoma_pl.data.columns import Column, ages_of, count_by_class, countable
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.image_files import BrokenImageError, open_image
from melanoma_pl.messages import amount, count_table, listed, percentage, size_in_bytes
from melanoma_pl.report.markup import bullets, code, section, table, text

MOST_VALUES = 25  # rows of a table of counts; rarer values are summed up
UNKNOWN = "not known"
NO_SPLIT = "no split"


@dataclass(frozen=True)
class DataCardFacts:
    """All that a data card is written from.

    Attributes:
        listing: The images, without those that the audit left out.
        columns: The columns of their metadata.
        inventory: Counts of images and files, as in an audit.
        audit: Content of `audit.json` for these images, or None.
        has_other_audit: Whether there is an audit, but of other images, splits or classes.
    """

    listing: LabelledImages
    columns: list[Column]
    inventory: Mapping[str, Any]
    audit: Mapping[str, Any] | None
    has_other_audit: bool

    def about(self, *roles: str) -> list[Column]:
        """Return the columns with one of these roles that are not quite empty."""
        return [column for column in self.columns if column.role in roles and column.filled]


def read_facts(file: Path) -> FileFacts:
    """Return what a file says before its pixels are decoded; the format is `not readable` where that fails."""
    size = 0
    try:
        size = file.stat().st_size
        with open_image(file) as image:
            return facts_of(image, size)
    except (BrokenImageError, OSError):
        return FileFacts(size, "not readable")


def composition(facts: DataCardFacts) -> str:
    """Return the section on the number of images and the kinds of files."""
    inventory, audit = facts.inventory, facts.audit or {"broken": {}, "left_out": ()}
    per_split = inventory["per_split"]
    if set(per_split) != {"all"}:  # beside real splits, "all" holds the images that are in none of them
        per_split = {NO_SPLIT if name == "all" else name: counts for name, counts in per_split.items()}
    columns, rows = count_table(per_split)
    titled: list[list[str | int]] = [[text(label), *counts] for label, counts in rows]
    different = f"{inventory['different_sizes']:,} different: " if inventory["different_sizes"] > 1 else ""
    lines = [
        f"files: {size_in_bytes(inventory['bytes'])}; {text(listed(inventory['formats']))}",
        f"sizes in pixels: {different}{text(listed(inventory['sizes']))}",
    ]
    for count, said in (
        (len(audit["broken"]), "that cannot be read; not counted here"),
        (len(audit["left_out"]), "left out before the audit; not counted here"),
    ):
        lines += [f"{amount(count, 'image')} {said}"] if count else []
    if others := len(facts.listing.others):
        lines.append(f"{amount(others, 'other file')} in the folder")
    splits = [name for name in columns[:-1] if name != NO_SPLIT]
    known_splits = f"in {amount(len(splits), 'split')}" if splits else "without a split into training and test"
    return section(
        "What it is",
        f"{amount(inventory['images'], 'image')} of moles, each labelled with one of "
        f"{amount(len(rows) - 1, 'class', 'classes')}, {known_splits}.",
        table(["class", *map(text, columns)], titled),
        bullets(lines),
    )


def origin(facts: DataCardFacts) -> str:
    """Return the section on the source of the images."""
    sources = ", ".join(code(column.name) for column in facts.about("source"))
    known = f"The metadata names sources in {sources}, counted below." if sources else "The metadata names no source."
    beside = [name for name in ("README.md", "LICENSE") if (facts.listing.root / name).is_file()]
    more = f" {' and '.join(map(code, beside))} beside the images may say more." if beside else ""
    return section(
        "Where it comes from",
        f"{known}{more} This card cannot tell who took the images, for what purpose and with which devices, how "
        "patients were chosen, and whether they consented to this use.",
    )


def coverage(facts: DataCardFacts) -> str:
    """Return the section on the columns of the metadata and how much of each is filled."""
    total = len(facts.listing)
    rows: list[list[str | int]] = [
        [code(column.name), f"{column.filled:,} ({percentage(column.filled, total)})", column.different]
        for column in facts.columns
    ]
    content = table(["column", "filled", "different values"], rows) if rows else "Only the label: there is no metadata."
    return section("What is known of each image", content)


def summaries(facts: DataCardFacts) -> list[str]:
    """Return a section for each column about patients, body sites, diagnoses or sources, and for other short ones."""
    ages = [section(f"Age: {code(column.name)}", *_ages(column, facts)) for column in facts.about("age")]
    titles = {"skin type": "Skin type (Fitzpatrick)"}
    counted = [
        (titles.get(column.role, column.role.capitalize()), column)
        for column in facts.about("sex", "site", "skin type", "diagnosis", "source", "licence")
    ]
    counted += [("Also", column) for column in countable(facts.columns)]
    return [*ages, *(section(f"{title}: {code(column.name)}", _counts(column, facts)) for title, column in counted)]


def together(facts: DataCardFacts) -> str:
    """Return the section on the number of lesions and patients."""
    lines = []
    for column in facts.about("lesion", "patient", "group"):
        several = sum(len(positions) > 1 for positions in column.images_of().values())
        split = len(column.crossing(facts.listing.splits))
        lines.append(
            f"{code(column.name)}: {column.different:,} different in {amount(column.filled, 'image')}, {several:,} of "
            f"them with several images{f', **{split:,} in more than one split**' if split else ''}"
        )
    unknown = "Not known: no column of the metadata names lesions or patients."
    return section("Lesions and patients", bullets(lines) or unknown)


def labels(facts: DataCardFacts) -> str:
    """Return the section on the origin of the labels."""
    total = len(facts.listing)
    known = [f"{code(column.name)} for {column.filled:,} of {total:,}" for column in facts.about("diagnosis")]
    more = "This card cannot tell who labelled the images, by what rule, and whether a biopsy confirmed it."
    if known:
        more = f"A diagnosis is given: {', '.join(known)} images. The metadata says no more about who made it."
    label = "The label is the name of the image's folder, or its entry in the table of images."
    return section("How it was labelled", f"{label} {more}")


def _ages(column: Column, facts: DataCardFacts) -> tuple[str, str]:
    """Return the table of ages by class, and a remark on cells that are not numbers."""
    rows: list[list[str | int]] = []
    for label in [*sorted(set(facts.listing.labels)), ""]:
        values = [value for value, own in zip(column.values, facts.listing.labels, strict=True) if label in ("", own)]
        ages = ages_of(values)
        years = [UNKNOWN if figure is None else f"{figure:g}" for figure in (ages.median, ages.lowest, ages.highest)]
        rows.append([text(label) or "all", ages.known, *years])
    no_number = ages_of(column.values).no_number
    remark = f"The age of {amount(no_number, 'image')} is not a number, and is not counted here." if no_number else ""
    return table(["years", "known", "median", "lowest", "highest"], rows), remark


def _counts(column: Column, facts: DataCardFacts) -> str:
    """Return the number of images with each value by class, the most frequent value first."""
    if column.different > max(MOST_VALUES, column.filled / 2):
        return f"{column.different:,} different values in {amount(column.filled, 'image')}: the metadata lists them."
    classes = sorted(set(facts.listing.labels))
    counts = list(count_by_class(column, facts.listing.labels).items())
    titled = [(text(value) or UNKNOWN, count) for value, count in counts[:MOST_VALUES]]
    if rarer := counts[MOST_VALUES:]:
        titled.append((amount(len(rarer), "rarer value"), sum((count for _, count in rarer), Counter())))
    rows: list[list[str | int]] = [
        [title, *(count[label] for label in classes), count.total()] for title, count in titled
    ]
    return table([code(column.name), *map(text, classes), "total"], rows)
