"""Columns of a metadata table: the role of each by its name, its values, and how they relate to class and split."""

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.data.labelled_images import LabelledImages, standard_label
from melanoma_pl.evaluation.strata import OLDEST
from melanoma_pl.messages import amount

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
FEW = 12  # distinct values: a column worth counting even if its name is not known
BY_CHANCE = 0.001  # largest probability that all images with a value are of one class by chance
ANY_CASE = ("sex", "site", "diagnosis")  # roles whose values mean the same in upper and lower case
OR_OLDER = re.compile(r"\s*\+$")  # 85+: datasets withhold higher ages, because they could identify a patient
TIMES = 10  # a column that is unknown so many times as often in one class as in the other tells the class
MAY_TELL_CLASS = ("diagnosis", "lesion", "patient", "group", "age")  # roles that are expected to predict the class


@dataclass(frozen=True)
class Column:
    """One column of the metadata.

    Attributes:
        name: Its name in the table.
        role: One of `ROLES`, or empty.
        values: N values in the order of the images, empty where a value is unknown.
    """

    name: str
    role: str
    values: tuple[str, ...]

    @property
    def filled(self) -> int:
        """Number of images with a value."""
        return sum(map(bool, self.values))

    @property
    def different(self) -> int:
        """Number of distinct values."""
        return len(set(self.values) - {""})

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """The images without a value, bool `(N,)`; an impossible age is none."""
        is_age = self.role == "age"
        return np.array([not value or (is_age and age_in_years(value) is None) for value in self.values], dtype=bool)

    def images_of(self) -> dict[str, list[int]]:
        """Return each value with the positions of its images."""
        found: dict[str, list[int]] = {}
        for position, value in enumerate(self.values):
            if value:
                found.setdefault(value, []).append(position)
        return found

    def crossing(self, splits: Sequence[str]) -> dict[str, set[str]]:
        """Return the values that occur in more than one split: value → those splits.

        Args:
            splits: N splits, empty where an image is in none.
        """
        found = {value: {splits[at] for at in positions} - {""} for value, positions in self.images_of().items()}
        return {value: names for value, names in found.items() if len(names) > 1}


@dataclass(frozen=True)
class Ages:
    """Ages of patients in years; median, lowest and highest are None if no age is known.

    Attributes:
        known: Number of images with an age.
        impossible: Number of images whose cell is filled but not a number of years from 0 to 120.
    """

    known: int
    impossible: int
    median: float | None
    lowest: float | None
    highest: float | None


def read_columns(images: LabelledImages, rows: Rows | None) -> list[Column]:
    """Return the columns of a table, in its order, without those that repeat path, class or split."""
    rows = rows or {}
    names = dict.fromkeys(name for row in rows.values() for name in row)
    columns = [column_of(name, [rows.get(path, {}).get(name, "") for path in images.paths]) for name in names]
    return [column for column in columns if not _repeats(column, images)]


def known(cell: str | None) -> str:
    """Return a cell's content, empty if the cell says that the value is unknown."""
    text = (cell or "").strip()
    return "" if text.lower() in NOTHING_KNOWN else text


def role_of(name: str) -> str:
    """Return the role of a column by its name, empty if the name is not known."""
    lowered = name.strip().lower()
    return next((role for role, names in ROLES.items() if lowered in names), "")


def countable(columns: Iterable[Column]) -> list[Column]:
    """Return the columns without a role that have few enough distinct values to count."""
    return [column for column in columns if not column.role and 1 < column.different <= FEW]


def count_by_class(column: Column, labels: Iterable[str]) -> dict[str, Counter[str]]:
    """Return the number of images per value and class, the most frequent value first, unknown values last."""
    counts: dict[str, Counter[str]] = {}
    for value, label in zip(column.values, labels, strict=True):
        counts.setdefault(value, Counter())[label] += 1
    return dict(sorted(counts.items(), key=lambda item: (not item[0], -item[1].total(), item[0])))


def ages_of(values: Iterable[str]) -> Ages:
    """Return number, median and range of ages; 85+ counts as 85."""
    read = [age_in_years(value) for value in values if known(value)]
    ages = sorted(age for age in read if age is not None)
    figures = (statistics.median(ages), ages[0], ages[-1]) if ages else (None, None, None)
    return Ages(len(ages), len(read) - len(ages), *figures)


def impossible_ages(count: int) -> str:
    """Return the sentence that ages are not used; empty if all of them are."""
    sentence = (
        f"The age of {amount(count, 'image')} is not a number of years from 0 to {OLDEST}, and counts as unknown."
    )
    return sentence if count else ""


def telling_values(column: Column, labels: tuple[str, ...]) -> dict[str, str]:
    """Return the values whose images are all of one class, unless chance explains it: value → that class.

    The probability under chance is multiplied by the number of distinct values (Bonferroni).
    """
    if column.role in MAY_TELL_CLASS:
        return {}
    counts = Counter(labels)
    found = {}
    for value, positions in column.images_of().items():
        label = labels[positions[0]]
        chance = (counts[label] / len(labels)) ** len(positions) * column.different
        if chance < BY_CHANCE and all(labels[position] == label for position in positions):
            found[value] = label
    return found


def missing_metadata(columns: Iterable[Column]) -> dict[str, NDArray[np.bool_]]:
    """Return which images lack a value, for each column about patient, lesion or source that is known of some images.

    A column about the diagnosis is left out: it is often known of one class only. So is a column without a role.

    Returns:
        Name of the column → bool `(N,)`.
    """
    unknown = {column.name: column.unknown for column in columns if column.role not in ("", "diagnosis")}
    return {name: each for name, each in unknown.items() if each.any() and not each.all()}


def telling_gaps(missing: Mapping[str, NDArray[np.bool_]], targets: NDArray[np.int64], positive: str) -> list[str]:
    """Return which columns are unknown, or known, far more often in one class than in the other, unless by chance.

    The probability under chance is Fisher's, times the number of columns (Bonferroni). A network does not see the
    metadata, but it may see from which source an image comes, and such a gap shows that the classes differ in it.

    Args:
        missing: As of `missing_metadata`.
        targets: int64 `(N,)`, 1 for the positive class, 0 for the other one.
        positive: Name of the positive class.

    Returns:
        Sentences such as "age and sex are unknown for 105 of 300 malignant and 0 of 360 other images."
    """
    from scipy.stats import fisher_exact  # takes a while to import

    found: dict[str, list[str]] = {}  # counts in words → names of the columns that have them
    totals = [int((targets == target).sum()) for target in (1, 0)]
    for name, unknown in missing.items():
        counts = [int(unknown[targets == target].sum()) for target in (1, 0)]
        known = [total - count for total, count in zip(totals, counts, strict=True)]
        if 0 in totals or fisher_exact([counts, known]).pvalue * len(missing) >= BY_CHANCE:
            continue
        rates = [[own / total for own, total in zip(part, totals, strict=True)] for part in (counts, known)]
        if any(max(pair) >= TIMES * min(pair) for pair in rates):
            of_class = [f"{count:,} of {total:,}" for count, total in zip(counts, totals, strict=True)]
            found.setdefault(f"{of_class[0]} {positive} and {of_class[1]} other images", []).append(name)
    return [
        f"{', '.join(first)} and {last} are unknown for {counts}." if first else f"{last} is unknown for {counts}."
        for counts, (*first, last) in found.items()
    ]


def column_of(name: str, cells: Iterable[str]) -> Column:
    """Return a column by its name and its cells."""
    role, values = role_of(name), [known(cell) for cell in cells]
    return Column(name, role, _in_one_case(values) if role in ANY_CASE else tuple(values))


def _in_one_case(values: Sequence[str]) -> tuple[str, ...]:
    """Give values that differ only in case one spelling: the most frequent one, or the first of those."""
    spellings: dict[str, str] = {}
    for value, _ in Counter(values).most_common():
        spellings.setdefault(value.casefold(), value)
    return tuple(spellings[value.casefold()] for value in values)


def _repeats(column: Column, images: LabelledImages) -> bool:
    """Tell whether a column only repeats each image's path, class or split."""
    if not column.filled:
        return False
    return (
        all(value in ("", path) for value, path in zip(column.values, images.paths, strict=True))
        or all(
            standard_label(value) == standard_label(label)
            for value, label in zip(column.values, images.labels, strict=True)
        )
        or column.name.lower() == "split"
    )


def age_in_years(cell: str) -> float | None:
    """Return the age in a cell in years, 85 for 85+; None if it is not a number from 0 to 120."""
    try:
        number = float(OR_OLDER.sub("", cell))
    except ValueError:
        return None
    return number if 0 <= number <= OLDEST else None
