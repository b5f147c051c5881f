"""What a data card says of the photos themselves: how many, of whom, how labelled."""

from collections import Counter
from collections.abc import Mapping

from melanoma_pl.data.columns import Column, ages_of, count_by_class, countable
from melanoma_pl.reporting.data_card.facts import Facts
from melanoma_pl.reporting.markdown import bullets, code, section, table, text
from melanoma_pl.reporting.words import amount, count_table, listed, percentage, size_in_bytes

MOST_VALUES = 25  # rows of a table of counts; rarer values are summed up
UNKNOWN = "not known"
NO_SPLIT = "no split"


def composition(facts: Facts) -> str:
    """Return how many photos there are, and what files."""
    inventory = facts.inventory
    columns, rows = count_table(_by_split(inventory["per_split"]))
    titled: list[list[str | int]] = [[text(label), *counts] for label, counts in rows]
    sizes = f"{inventory['different_sizes']:,} different: " if inventory["different_sizes"] > 1 else ""
    broken, left_out = (facts.audit["broken"], facts.audit["left_out"]) if facts.audit else ({}, ())
    files = [
        f"files: {size_in_bytes(inventory['bytes'])}; {text(listed(inventory['formats']))}",
        f"sizes in pixels: {sizes}{text(listed(inventory['sizes']))}",
        *([f"{amount(len(broken), 'photo')} cannot be read and are not counted here"] if broken else []),
        *([f"{amount(len(left_out), 'photo')} left out before the audit, and not counted here"] if left_out else []),
        *([f"{amount(len(facts.listing.others), 'file')} beside them are no photos"] if facts.listing.others else []),
    ]
    splits = [name for name in columns[:-1] if name != NO_SPLIT]
    known_splits = f"in {amount(len(splits), 'split')}" if splits else "without a split into training and test"
    return section(
        "What it is",
        f"{amount(inventory['photos'], 'photo')} of moles, each labelled with one of "
        f"{amount(len(rows) - 1, 'class', 'classes')}, {known_splits}.",
        table(["class", *map(text, columns)], titled),
        bullets(files),
    )


def coverage(facts: Facts) -> str:
    """Return which columns the metadata has and how much of each is filled."""
    total = len(facts.listing)
    rows: list[list[str | int]] = [
        [code(column.name), f"{column.filled:,} ({percentage(column.filled, total)})", column.different]
        for column in facts.columns
    ]
    if not rows:
        return section("What is known of each photo", "Nothing but its label: there is no metadata table.")
    return section("What is known of each photo", table(["column", "filled", "different values"], rows))


def summaries(facts: Facts) -> list[str]:
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


def together(facts: Facts) -> str:
    """Return how many lesions and patients the photos show."""
    lines = [_groups(column, facts) for column in facts.about("lesion", "patient", "group")]
    unknown = "Not known: no column of the metadata names lesions or patients."
    return section("Lesions and patients", bullets(lines) or unknown)


def labels(facts: Facts) -> str:
    """Return how photos came by their labels, as far as that is known."""
    diagnoses = facts.about("diagnosis")
    lines = ["The label is the name of the photo's folder, or what the table of photos says."]
    if diagnoses:
        total = len(facts.listing)
        known = [f"{code(column.name)} for {column.filled:,} of {total:,}" for column in diagnoses]
        lines.append(f"A diagnosis is given: {', '.join(known)} photos. Who made it is not known beyond the metadata.")
    else:
        lines.append("Who labelled the photos, by what rule, and whether a biopsy confirmed it is not known.")
    return section("How it was labelled", " ".join(lines))


def _by_split(per_split: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """Return an inventory's counts; beside real splits "all" holds the photos that are in none of them."""
    has_splits = set(per_split) != {"all"}
    return {NO_SPLIT if has_splits and name == "all" else name: counts for name, counts in per_split.items()}


def _ages(column: Column, facts: Facts) -> str:
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
        f"Of {amount(no_number, 'photo')} the age is filled in but no number: not counted above." if no_number else "",
    )


def _counts(column: Column, facts: Facts) -> str:
    """Return each value's photos by class, the most frequent value first."""
    if column.different > max(MOST_VALUES, column.filled / 2):
        return f"{column.different:,} different values in {amount(column.filled, 'photo')}: the metadata lists them."
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


def _groups(column: Column, facts: Facts) -> str:
    photos = column.photos_of().values()
    several = sum(len(positions) > 1 for positions in photos)
    split = len(column.crossing(facts.listing.splits))
    line = (
        f"{code(column.name)}: {column.different:,} different in {amount(column.filled, 'photo')}, {several:,} of them "
        "with several photos"
    )
    return f"{line}, **{split:,} in more than one split**" if split else line
