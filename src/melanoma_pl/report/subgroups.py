"""Subgroups of the evaluated images: by columns of the metadata, or by skin tone estimated from the images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from melanoma_pl.data.columns import age_in_years, ages_of, column_of, impossible_ages, role_of
from melanoma_pl.data.datamodule import MoleDataModule
from melanoma_pl.data.labelled_images import LabelledImages
from melanoma_pl.data.loader import ImageBatches
from melanoma_pl.data.metadata import read_table, require_column
from melanoma_pl.errors import UserError, first_of
from melanoma_pl.evaluation import age_bands, split_by, subgroup, tone_of, typology_angle
from melanoma_pl.evaluation.checks import Floats
from melanoma_pl.evaluation.strata import BANDS, TONES, UNKNOWN
from melanoma_pl.inference.ensemble import Logits
from melanoma_pl.inference.prediction import split_batches
from melanoma_pl.report.content import SubgroupTable

SKIN_TONE = "skin_tone"
ROLES = ("age", "sex", "site", "skin type")  # columns that are taken by default
MOST = 12  # values of one column to show: the most frequent
ESTIMATE = (
    "Estimated from the skin at the images' border (individual typology angle); light, camera and lesions that reach "
    "the border shift it. It does not replace skin types that people report."
)


@dataclass(frozen=True)
class Grouping:
    """Each image's value in one column.

    Attributes:
        column: Name of the column.
        values: N values.
        order: The values in the order to show; empty for the most frequent first.
        is_estimated: Whether the values were estimated from the images themselves.
        note: Remark for the reader.
    """

    column: str
    values: Sequence[str]
    order: Sequence[str] = ()
    is_estimated: bool = False
    note: str = ""


def subgroup_table(
    grouping: Grouping, logits: Logits, probabilities: Floats, targets: NDArray[np.int64], threshold: float
) -> SubgroupTable:
    """Return the figures of each value of a column.

    Args:
        grouping: Each image's value.
        logits: float `(N,)`.
        probabilities: float64 `(N,)`, of malignant.
        targets: int64 `(N,)`.
        threshold: Probability from which on an image is called malignant.
    """
    masks = split_by(grouping.values)
    names = [name for name in grouping.order if name in masks] or list(masks)
    shown = [(name, masks[name]) for name in names[:MOST]]
    rows = tuple(subgroup(name, probabilities[at], targets[at], threshold, scores=logits[at]) for name, at in shown)
    omitted = f"The {MOST} most frequent of {len(names)} values are shown." if len(names) > MOST else ""
    note = " ".join(filter(None, (grouping.note, omitted)))
    return SubgroupTable(grouping.column, grouping.is_estimated, rows, note)


def find_groupings(data: MoleDataModule, split: ImageBatches, wanted: Sequence[str] | None) -> list[Grouping]:
    """Return the groupings of a split's images.

    Args:
        data: The data module with their metadata.
        split: The images.
        wanted: Columns of the metadata, or `skin_tone` to estimate it; None takes age, sex, site and skin type where
            the metadata has them, and the estimate where it has none of them.

    Raises:
        UserError: If a wanted column is missing, or the table lacks images that need a row.
    """
    asked = [name for name in wanted or () if name != SKIN_TONE]
    try:
        rows = _rows(data, split.images, asked)
    except UserError as error:
        if wanted is not None:
            raise
        # nobody asked for subgroups, so a table of something else must not stop the evaluation
        return [replace(_skin_tone(split), note=f"{ESTIMATE} The metadata cannot be used: {error}")]
    columns = list(next(iter(rows.values()), {}))
    names = wanted if wanted is not None else [name for name in columns if role_of(name) in ROLES] or [SKIN_TONE]
    return [
        _skin_tone(split)
        if name == SKIN_TONE and name not in columns
        else _column(name, [rows.get(path, {}).get(name, "") for path in split.images.paths])
        for name in names
    ]


def _rows(data: MoleDataModule, images: LabelledImages, asked: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Return the metadata by path; empty if there is no table.

    Raises:
        UserError: If there are columns that were asked for, and the table, a column or an image's row is missing.
    """
    table = data.find_metadata()
    if table is None and asked:
        raise UserError(
            f"subgroups={asked[0]} needs a metadata table, and {data.root} has no metadata.csv",
            f"name one with data.metadata=<file>, or take subgroups=[{SKIN_TONE}], estimated from the images",
        )
    if table is None:
        return {}
    rows = read_table(table, data.options.image_column, listed=set(images.paths))
    missing = [path for path in images.paths if path not in rows]
    if missing and asked and data.options.without_row == "stop":
        raise UserError(
            f"{table} has no row for {len(missing)} of {len(images)} images ({first_of(missing)}), and "
            f"subgroups={asked[0]} needs them",
            "add them, or count them as unknown with data.without_row=own_group",
        )
    for name in asked:
        require_column(table, [*next(iter(rows.values()), {}), SKIN_TONE], name, "subgroups")
    return rows


def _column(name: str, cells: Sequence[str]) -> Grouping:
    column = column_of(name, cells)
    if column.role != "age":
        return Grouping(name, column.values)
    years = [age_in_years(value) if value else None for value in column.values]
    bands = age_bands([np.nan if age is None else age for age in years])
    note = impossible_ages(ages_of(column.values).impossible)
    return Grouping(name, bands, [band for _, band in BANDS] + [UNKNOWN], note=note)


def _skin_tone(split: ImageBatches) -> Grouping:
    angles = [typology_angle(pixels.permute(0, 2, 3, 1).numpy()) for pixels in split_batches(split, "skin tone")]
    tones = [tone_of(angle) for angle in np.concatenate(angles)]
    return Grouping("skin tone", tones, [name for _, name in TONES] + [UNKNOWN], is_estimated=True, note=ESTIMATE)
