"""What a metadata table tells of images, column by column: what it is about, how much is filled, what it counts."""

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from melanoma_pl.data.image_set import ImageListing, meaning

Rows = Mapping[str, Mapping[str, str]]

NOTHING_KNOWN = ("", "nan", "na", "n/a", "none", "null", "unknown", "unk", "not reported", "?", "-")
ROLES = {
    "age": ("age", "age_approx", "patient_age", "age_years"),
    "sex": ("sex", "gender"),
    "site": ("site", "localization", "anatom_site_general", "anatom_site", "region", "body_site", "location"),
    "diagnosis": ("diagnosis", "dx", "diagnostic", "diagnosis_1"),
    "skin type": ("skin_type", "fitzpatrick_skin_type", "fitzpatrick", "fitspatrick"),
    "source": ("source", "attribution", "dataset", "institution"),
    "licence": ("licence", "license", "copyright_license"),
    "lesion": ("lesion_id", "lesion"),
    "patient": ("patient_id", "patient"),
    "group": ("group",),
}
FEW = 12  # different values: a column worth counting even where its name says nothing to us
BY_CHANCE = 0.001  # how likely it may be that images of one value happen to be of one class
ANY_CASE = ("sex", "site", "diagnosis")  # roles whose values mean the same in capital and small letters
OR_OLDER = re.compile(r"\s*\+$")  # 85+: higher ages are not told, lest they name the patient
TOLD_BY_RIGHT = ("diagnosis", "lesion", "patient", "group", "age")  # roles that may well tell the class


@dataclass(frozen=True)
class Column:
    """One column of the metadata.

    Attributes:
        name: As the table has it.
        role: One of `ROLES`, or empty.
        values: Of each image, in the listing's order; empty where nothing is known.
    """

    name: str
    role: str
    values: tuple[str, ...]

    @property
    def filled(self) -> int:
        """How many images have a value."""
        return sum(map(bool, self.values))

    @property
    def different(self) -> int:
        """How many different values there are."""
        return len(set(self.values) - {""})

    def images_of(self) -> dict[str, list[int]]:
        """Return each value's images, by position."""
        found: dict[str, list[int]] = {}
        for position, value in enumerate(self.values):
            if value:
                found.setdefault(value, []).append(position)
        return found

    def crossing(self, splits: Sequence[str]) -> dict[str, set[str]]:
        """Return the values that images of more than one split have: value → those splits.

        Args:
            splits: Of each image; empty where it is in none, which is no split.
        """
        found = {
            value: {splits[position] for position in positions} - {""} for value, positions in self.images_of().items()
        }
        return {value: names for value, names in found.items() if len(names) > 1}


@dataclass(frozen=True)
class Ages:
    """Ages of some images' patients, in years; the figures are None where no age is known.

    Attributes:
        no_number: How many cells are filled and hold no age.
    """

    known: int
    no_number: int
    median: float | None
    lowest: float | None
    highest: float | None


def read_columns(listing: ImageListing, rows: Rows | None) -> list[Column]:
    """Return the columns that tell more than path, class and split, as the table orders them."""
    if not rows:
        return []
    names = dict.fromkeys(name for row in rows.values() for name in row)
    columns = [column_of(name, [rows.get(path, {}).get(name, "") for path in listing.paths]) for name in names]
    return [column for column in columns if not _repeats(column, listing)]


def known(cell: str | None) -> str:
    """Return a cell's content, empty where it says that nothing is known."""
    text = (cell or "").strip()
    return "" if text.lower() in NOTHING_KNOWN else text


def role_of(name: str) -> str:
    """Return what a column is about, by its name."""
    lowered = name.strip().lower()
    return next((role for role, names in ROLES.items() if lowered in names), "")


def countable(columns: Iterable[Column]) -> list[Column]:
    """Return the columns that no role explains but whose values are few enough to be counted."""
    return [column for column in columns if not column.role and 1 < column.different <= FEW]


def count_by_class(column: Column, labels: Iterable[str]) -> dict[str, Counter[str]]:
    """Return how many images of each class have each value, the most frequent value first."""
    counts: dict[str, Counter[str]] = {}
    for value, label in zip(column.values, labels, strict=True):
        counts.setdefault(value, Counter())[label] += 1
    return dict(sorted(counts.items(), key=lambda item: (not item[0], -item[1].total(), item[0])))


def ages_of(values: Iterable[str]) -> Ages:
    """Return the figures of ages in years; 85+ counts as 85, and what is no number does not."""
    read = [age_in_years(value) for value in values if known(value)]
    ages = sorted(age for age in read if age is not None)
    no_number = len(read) - len(ages)
    if not ages:
        return Ages(0, no_number, None, None, None)
    return Ages(len(ages), no_number, statistics.median(ages), ages[0], ages[-1])


def telling_values(column: Column, labels: tuple[str, ...]) -> dict[str, str]:
    """Return values that go with one class only, more often than chance would have it: value → that class.

    Of many values some go with one class by chance, so that the probability is multiplied by their number (Bonferroni).
    """
    if column.role in TOLD_BY_RIGHT:
        return {}
    shares = {label: count / len(labels) for label, count in Counter(labels).items()}
    found = {}
    for value, positions in column.images_of().items():
        classes = {labels[position] for position in positions}
        chance = shares[labels[positions[0]]] ** len(positions) * column.different
        if len(classes) == 1 and chance < BY_CHANCE:
            found[value] = classes.pop()
    return found


def column_of(name: str, cells: Iterable[str]) -> Column:
    """Return a column by its name and its cells, those that say nothing known emptied."""
    role, values = role_of(name), [known(cell) for cell in cells]
    return Column(name, role, _in_one_case(values) if role in ANY_CASE else tuple(values))


def _in_one_case(values: Sequence[str]) -> tuple[str, ...]:
    """Give values that differ only in case the spelling that most images have, or that comes first."""
    spellings: dict[str, str] = {}
    for value, _ in Counter(values).most_common():
        spellings.setdefault(value.casefold(), value)
    return tuple(spellings[value.casefold()] for value in values)


def _repeats(column: Column, listing: ImageListing) -> bool:
    """Whether a column says no more than the listing: path, class or split."""
    if not column.filled:
        return False
    pairs = list(zip(column.values, listing.paths, listing.labels, listing.splits, strict=True))
    return (
        all(value in ("", path) for value, path, _, _ in pairs)
        or all(meaning(value) == meaning(label) for value, _, label, _ in pairs)
        or column.name.lower() == "split"
    )


def age_in_years(cell: str) -> float | None:
    """Return the number of years that a cell tells, 85 for 85+; None where it is no number."""
    try:
        number = float(OR_OLDER.sub("", cell))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
