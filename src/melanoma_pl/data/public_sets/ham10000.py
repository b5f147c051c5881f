"""HAM10000: two folders of photos, or one, and a table, from the Harvard Dataverse, Kaggle or the ISIC archive."""

from contextlib import ExitStack
from pathlib import Path

from melanoma_pl.data.public_sets.folder_set import FolderSet, read_folder_set
from melanoma_pl.data.public_sets.record import About, Download, Facts
from melanoma_pl.data.public_sets.tables import Row, sex, years

ABOUT = About(
    "P. Tschandl, C. Rosendahl, H. Kittler, The HAM10000 dataset, Scientific Data 5:180161 (2018), "
    "doi.org/10.1038/sdata.2018.161",
    (
        "18 pairs of its photos show one lesion under two lesion ids (Abhishek et al., Scientific Data 12:196, 2025): "
        "a few lesions may be in train and test",
    ),
)
CONFIRMED_BY = {
    "histo": "histopathology",
    "follow_up": "follow-up",
    "consensus": "expert consensus",
    "confocal": "confocal microscopy",
}


def describe(row: Row) -> Facts:
    """Say what a row says."""
    confirmed_by = row.known("dx_type").lower()
    return Facts(
        written=tuple(filter(None, [row.known("dx")])),
        confirmed_by=CONFIRMED_BY.get(confirmed_by, confirmed_by),
        lesion=row.known("lesion_id"),
        age=years(row.known("age")),
        sex=sex(row.known("sex")),
        site=row.known("localization").lower(),
        source=f"HAM10000 {row.known('dataset')}".strip(),  # the column is in the Dataverse's table alone
        licence="CC BY-NC 4.0",
    )


LAYOUT = FolderSet(
    tables=("ham10000_metadata.csv", "ham10000_metadata", "ham10000_metadata.tab"),
    key="image_id",
    required=("lesion_id", "dx", "age", "sex", "localization"),
    describe=describe,
    about=ABOUT,
)


def read(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the folder; `missing` as of `read_folder_set`."""
    return read_folder_set(LAYOUT, source, missing)
