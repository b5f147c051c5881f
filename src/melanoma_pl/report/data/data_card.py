"""A data card in Markdown: what a dataset contains, what is known of it, and what it must not be used for.

Its questions are those of T. Gebru et al., *Datasheets for Datasets*, Communications of the ACM 64(12), 2021. The card
says which of them neither the images nor their metadata answer: nobody ever fills in a blank.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from melanoma_pl import messages
from melanoma_pl.data.audit.scanning import FileFacts, facts_of, inventory
from melanoma_pl.data.columns import (
    Column,
    Rows,
    ages_of,
    count_by_class,
    countable,
    impossible_ages,
    missing_metadata,
    read_columns,
    telling_gaps,
    telling_values,
)
from melanoma_pl.data.labelled_images import LabelledImages, not_read, standard_label
from melanoma_pl.data.options import CLASS_NAMES
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.image_files import AT_ONCE, BrokenImageError, open_image, read_all
from melanoma_pl.report.data.audit_summary import figure
from melanoma_pl.report.markup import render_markdown

DATA_CARD = "DATA_CARD.md"
COMMON = 0.1  # proportion of malignant images that no practice sees among its moles
NAMED = 5  # values of a column that a sentence names
MOST_VALUES = 25  # rows of a table of counts; rarer values are summed up
NO_SPLIT = "no split"


def data_card(listing: LabelledImages, rows: Rows | None = None, audit: Mapping[str, Any] | None = None) -> str:
    """Return the card.

    Args:
        listing: The images; without an audit of them, the headers of their files are read.
        rows: Their metadata by path, or None.
        audit: Content of `audit.json`. An audit of other images is not used, and the card says so. Images that it left
            out are left out here.
    """
    used = audit if audit is not None and is_of(audit, listing) else None
    shown = listing.without(used["left_out"]) if used else listing
    counts = (
        used["inventory"] if used else inventory(shown, list(read_all(_read, shown.files, "reading sizes", AT_ONCE)))
    )
    per_split = counts["per_split"]
    if set(per_split) != {"all"}:  # beside real splits, "all" holds the images that are in none of them
        per_split = {NO_SPLIT if name == "all" else name: own for name, own in per_split.items()}
    headings, class_rows = messages.count_table(per_split)
    labels, classes = shown.labels, sorted(set(shown.labels))
    positives = [label for label in labels if standard_label(label) == CLASS_NAMES[1]]
    columns = read_columns(shown, rows)

    def about(*roles: str) -> list[Column]:
        """Return the columns with one of these roles that are not quite empty."""
        return [column for column in columns if column.role in roles and column.filled]

    counted = [*about("sex", "site", "skin type", "diagnosis", "source", "licence"), *countable(columns)]
    malignant: Counter[str] = Counter()
    for column in about("diagnosis")[:1]:
        malignant.update(value for value, label in zip(column.values, labels, strict=True) if label == CLASS_NAMES[1])
    return render_markdown(
        "data_card.md.j2",
        messages=messages,
        figure=figure,
        about=about,
        name=shown.root.resolve().name,
        total=len(shown),
        not_read=not_read(shown.others),
        beside=[name for name in ("README.md", "LICENSE") if (shown.root / name).is_file()],
        audit=used,
        has_other_audit=audit is not None and used is None,
        inventory=counts,
        headings=headings,
        class_rows=[[label, *numbers] for label, numbers in class_rows],
        splits=[name for name in headings[:-1] if name != NO_SPLIT],
        is_split=not set(shown.splits) <= {"", "train"},
        classes=classes,
        common=COMMON,
        positives=len(positives),
        positive_names=sorted(set(positives)),
        columns=columns,
        ages=[(column, _ages_by_class(column, labels)) for column in about("age")],
        impossible_ages=impossible_ages,
        counted=[(column, _value_rows(column, labels)) for column in counted],
        lesions=[_lesions(column, shown.splits) for column in about("lesion", "patient", "group")],
        named=NAMED,
        gaps=telling_gaps(
            missing_metadata(columns), np.isin(labels, positives).astype(np.int64), " or ".join(sorted(set(positives)))
        ),
        telling=[(column, list(telling_values(column, labels).items())) for column in columns],
        unknown=[role for role in ("age", "sex", "site") if not about(role)],
        partly_known=[column for column in about("age", "sex", "site", "skin type") if column.filled < len(shown)],
        malignant=malignant,
    )


def is_of(audit: Mapping[str, Any], listing: LabelledImages) -> bool:
    """Tell whether an audit is of these images, splits and classes; an audit of an old version is not."""
    return bool(listing.without(audit.get("left_out", ())).fingerprint == audit.get("listing"))


def read_audit(path: Path) -> dict[str, Any] | None:
    """Return the content of an `audit.json`, or None where there is none.

    Raises:
        UserError: If the file is not an audit.
    """
    if not path.is_file():
        return None
    try:
        audit: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        audit["inventory"]["per_split"], audit["summary"], audit["broken"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not an audit of images", "remove it, and run melanoma-data audit again") from error
    return audit


def write_card(card: str, target: Path) -> Path:
    """Write a card, whole or not at all, and return its path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(target) as file:
        file.write(card)
    return target


def _read(file: Path) -> FileFacts:
    """Return what a file says before its pixels are decoded; the format is `not readable` where that fails."""
    size = 0
    try:
        size = file.stat().st_size
        with open_image(file) as image:
            return facts_of(image, size)
    except (BrokenImageError, OSError):
        return FileFacts(size, "not readable")


def _ages_by_class(column: Column, labels: Sequence[str]) -> list[tuple[str, Any]]:
    """Return the ages of each class, and of all images last."""
    pairs = list(zip(column.values, labels, strict=True))
    by_class = [(own, ages_of(value for value, label in pairs if label == own)) for own in sorted(set(labels))]
    return [*by_class, ("all", ages_of(column.values))]


def _value_rows(column: Column, labels: Sequence[str]) -> list[list[str | int]]:
    """Return a row for each value: its name, images by class, and all images; none where most images differ."""
    if column.different > max(MOST_VALUES, column.filled / 2):
        return []
    counts = [(value or "not known", count) for value, count in count_by_class(column, labels).items()]
    if rarer := counts[MOST_VALUES:]:
        total = sum((count for _, count in rarer), Counter())
        counts[MOST_VALUES:] = [(messages.amount(len(rarer), "rarer value"), total)]
    return [[value, *(count[label] for label in sorted(set(labels))), count.total()] for value, count in counts]


def _lesions(column: Column, splits: Sequence[str]) -> tuple[Column, int, int, str]:
    """Return a column, how many of its values have several images, how many are in several splits, and the last split.

    The last split is the last of those that share a value; it is empty where none do.
    """
    several = sum(len(positions) > 1 for positions in column.images_of().values())
    crossing = column.crossing(splits)
    names = messages.split_names({name: {} for names in crossing.values() for name in names})
    return column, several, len(crossing), names[-1] if names else ""
