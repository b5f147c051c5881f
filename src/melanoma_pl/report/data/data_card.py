"""A data card in Markdown: what a dataset contains, what is known of it, and what it must not be used for.

Its questions are those of T. Gebru et al., *Datasheets for Datasets*, Communications of the ACM 64(12), 2021. The card
says which of them neither the images nor their metadata answer: nobody ever fills in a blank.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from melanoma_pl.data.audit.findings import LabelShortcut
from melanoma_pl.data.audit.scanning import inventory
from melanoma_pl.data.columns import read_columns, telling_values
from melanoma_pl.data.labelled_images import LabelledImages, standard_label
from melanoma_pl.data.layout import CLASS_NAMES
from melanoma_pl.errors import UserError
from melanoma_pl.files import write_atomically
from melanoma_pl.image_files import read_all
from melanoma_pl.messages import DISCLAIMER, amount, percentage, split_names
from melanoma_pl.report.data import data_card_sections as sections
from melanoma_pl.report.data.audit_summary import figure
from melanoma_pl.report.data.data_card_sections import DataCardFacts
from melanoma_pl.report.markup import bullets, code, section, text

DATA_CARD = "DATA_CARD.md"
NOT_STATED = "Not stated: ask the source."
COMMON = 0.1  # proportion of malignant images that no practice sees among its moles
NAMED = 5  # values of a column that a sentence names
Rows = Mapping[str, Mapping[str, str]]


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
    if used:
        counts = used["inventory"]
    else:
        counts = inventory(shown, list(read_all(sections.read_facts, shown.files, "reading sizes")))
    has_other = audit is not None and used is None
    facts = DataCardFacts(shown, read_columns(shown, rows), counts, used, has_other)
    fingerprint = f" (fingerprint of the audit: `{used['fingerprint']}`)" if used else ""
    parts = [
        f"# Data card: {text(shown.root.resolve().name)}",
        f"**{DISCLAIMER}** `melanoma-data card` wrote this card from the images, their folders and their metadata.",
        sections.composition(facts),
        sections.origin(facts),
        sections.coverage(facts),
        *sections.summaries(facts),
        sections.together(facts),
        sections.labels(facts),
        _findings(facts),
        section("Known limits", bullets([*_splits(facts), *_classes(facts), *_shortcuts(facts), *_unknown(facts)])),
        section(
            "Use",
            "The images are meant for research and teaching about methods that classify images of moles.",
            "They are not meant for diagnosis, triage or advice on anyone's skin; for claims about patients, skin "
            "types, cameras or clinics that they do not include; or for identifying the people on them.",
        ),
        _licence(facts),
        section(
            "Whom to cite",
            "Not stated explicitly: ask the sources that the metadata names." if facts.about("source") else NOT_STATED,
        ),
        section(
            "Upkeep",
            f"This card describes the images as they were when it was written{fingerprint}. After any change run "
            "`melanoma-data audit` and then `melanoma-data card` again. It is not known who maintains the images.",
        ),
    ]
    return "\n\n".join(parts) + "\n"


def is_of(audit: Mapping[str, Any], listing: LabelledImages) -> bool:
    """Tell whether an audit is of these images, splits and classes; an audit of an old version is not."""
    left_out = audit.get("left_out", ())
    return bool(listing.without(left_out).fingerprint == audit.get("listing"))


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


def _findings(facts: DataCardFacts) -> str:
    """Return the section on the audit."""
    audit, title = facts.audit, "What an audit found"
    if audit is None:
        other = "The existing audit is of other images, splits or classes. " if facts.has_other_audit else ""
        name = code(facts.listing.root.resolve().name)
        return section(title, f"{other}These images were not audited: run `melanoma-data audit` on {name}.")
    summary = audit["summary"]
    lines = [
        f"{amount(summary['leaking_test_images'], 'test image')} with a partner in another split",
        f"{amount(summary['leaks'], 'pair')} of images in two splits, {amount(summary['conflicts'], 'pair')} with two "
        f"labels, {amount(summary['pairs'], 'pair')} in all",
        f"{amount(summary['label_conflicts'], 'label')} that the diagnosis contradicts",
        f"{amount(summary['broken'], 'image')} that cannot be read",
    ]
    for found in audit["shortcuts"]:
        interval = tuple(found["interval"]) if found["interval"] else None
        told = figure(LabelShortcut(found["name"], found["auroc"], interval, found["sentence"]))
        lines.append(f"label predicted from {text(found['name'])}: AUROC {told}. {text(found['sentence'])}")
    verdict = "Neither leaks nor conflicts were found." if summary["is_clean"] else "Leaks or conflicts were found."
    return section(title, f"{verdict} Fingerprint `{audit['fingerprint']}`.", bullets(lines))


def _licence(facts: DataCardFacts) -> str:
    """Return the section on the licences, in the words of the metadata."""
    lines = []
    for column in facts.about("licence"):
        stated = {value: len(positions) for value, positions in column.images_of().items()}
        lines += [f"{text(value)}: {amount(count, 'image')}" for value, count in sorted(stated.items())]
        if missing := len(facts.listing) - column.filled:
            lines.append(f"no licence stated: {amount(missing, 'image')}; ask the source")
    return section("Licence", bullets(lines) or NOT_STATED)


# Known limits


def _splits(facts: DataCardFacts) -> list[str]:
    """Return what leaks between the splits do to a result."""
    if set(facts.listing.splits) <= {"", "train"}:
        return ["There is no test split: whoever makes one must keep each lesion's images in one split."]
    columns = facts.about("lesion", "patient", "group")
    found = []
    leaking = facts.audit["summary"]["leaking_test_images"] if facts.audit else 0
    if leaking:
        found.append(f"Figures on all test images are too good: {amount(leaking, 'image')} leaked.")
    for column in columns:
        crossing = column.crossing(facts.listing.splits)
        if crossing and not (facts.audit and facts.audit["group_column"] == column.name):  # the audit counted that one
            last = split_names({name: {} for names in crossing.values() for name in names})[-1]
            shared = f"{amount(len(crossing), column.role)} {'is' if len(crossing) == 1 else 'are'}"
            found.append(
                f"Figures on all {last} images are too good: by {code(column.name)}, {shared} in more than one split."
            )
    if found or facts.audit:
        return found
    complete = [column.role for column in columns if column.filled == len(facts.listing)]
    if complete:
        return [f"By the metadata no {complete[0]} is in two splits. Without an audit, near-duplicates remain unknown."]
    return ["It is not known whether images of one lesion are in several splits: these images were not audited."]


def _classes(facts: DataCardFacts) -> list[str]:
    counts = Counter(facts.listing.labels)
    if len(counts) < 2:
        return [f"All images are of one class, {text(facts.listing.labels[0])}: a classifier cannot learn from them."]
    positive = sorted(label for label in counts if standard_label(label) == CLASS_NAMES[1])
    malignant, total = sum(counts[label] for label in positive), counts.total()
    if malignant / total <= COMMON:
        return []
    return [
        f"{percentage(malignant, total)} of the images are {text(' or '.join(positive))}, far more than among the "
        "moles that a practice sees: predictive values do not carry over."
    ]


def _shortcuts(facts: DataCardFacts) -> list[str]:
    """Return the columns with values that occur in one class only, which a network may learn instead of medicine."""
    found = []
    for column in facts.columns:
        told = telling_values(column, facts.listing.labels)
        values = [f"{text(value)} only with {text(label)}" for value, label in list(told.items())[:NAMED]]
        values += [f"and {len(told) - NAMED} more values"] if len(told) > NAMED else []
        if told:
            name, listed = code(column.name), ", ".join(values)
            found.append(f"{name} predicts the class: {listed}. A network may learn this link instead of the lesion.")
    return found


def _unknown(facts: DataCardFacts) -> list[str]:
    """Return what is not known of patients, lesions and diagnoses."""
    found, total = [], len(facts.listing)
    if not facts.about("skin type"):
        found.append(
            "Skin types are not known. Datasets of such images show mostly light skin (D. Wen et al., The Lancet "
            "Digital Health 4:e64, 2022), so it cannot be said for whom a result holds."
        )
    if unknown := [role for role in ("age", "sex", "site") if not facts.about(role)]:
        found.append(f"Nothing is known of {' and '.join(unknown)}.")
    partly = [column for column in facts.about("age", "sex", "site", "skin type") if column.filled < total]
    if partly:
        known = ", ".join(f"{column.role} ({percentage(column.filled, total)})" for column in partly)
        found.append(f"Known of some images only: {known}. The other images may differ.")
    if not facts.about("lesion", "patient", "group"):
        found.append("It is not known which images show one lesion or one patient: intervals come out too narrow.")
    elif not facts.about("patient"):
        found.append("Patients are not known: images of two lesions of one patient may be in different splits.")
    return found + _diagnoses(facts)


def _diagnoses(facts: DataCardFacts) -> list[str]:
    columns, labels = facts.about("diagnosis"), facts.listing.labels
    if not columns:
        note = ": malignant need not mean melanoma" if CLASS_NAMES[1] in labels else ""
        return [f"No diagnosis is given beyond the label{note}."]
    malignant = [value for value, label in zip(columns[0].values, labels, strict=True) if label == CLASS_NAMES[1]]
    found = []
    if len(set(malignant) - {""}) > 1:
        found.append("Malignant stands for several diagnoses here.")
    if unknown := sum(not value for value in malignant):
        found.append(f"The diagnosis of {unknown:,} of {len(malignant):,} malignant images is not known.")
    return found
