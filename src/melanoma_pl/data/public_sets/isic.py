"""The ISIC archive, as its own command `isic image download` leaves it: photos and `metadata.csv` in one folder.

That table has a column only where one of its photos says something in it. Diagnoses are in `diagnosis_1` (malignancy)
to `diagnosis_5` (subtype) today, and were in `diagnosis` and `benign_malignant` in older downloads.
"""

from contextlib import ExitStack
from pathlib import Path

from melanoma_pl.data.public_sets.folder_set import FolderSet, read_folder_set
from melanoma_pl.data.public_sets.record import About, Download, Facts
from melanoma_pl.data.public_sets.tables import Row, sex, skin_type, years

FINEST_FIRST = (
    "diagnosis_5",
    "diagnosis_4",
    "diagnosis_3",
    "diagnosis_2",
    "diagnosis",
    "diagnosis_1",
    "benign_malignant",
)
SAYS_NOTHING = {"other"}  # the older catch-all
NO_CLOSE_UP = ("rcm:", "tbp tile: overview", "clinical: overview", "overview")  # microscopy, or many lesions at once
ABOUT = About(
    "the sources in the column source; each challenge's own citation: challenge.isic-archive.com/data",
    (
        "each photo has its own licence: column licence",
        "the archive holds other sets too (HAM10000, BCN20000, …): do not pool it with them",
    ),
)


def describe(row: Row) -> Facts:
    """Say what a row says."""
    image_type = row.known("image_type")
    written = [row.known(column) for column in FINEST_FIRST]
    return Facts(
        written=tuple(name for name in written if name and name.lower() not in SAYS_NOTHING),
        unfit=f"image type '{image_type}'" if image_type.lower().startswith(NO_CLOSE_UP) else "",
        confirmed_by=row.known("diagnosis_confirm_type").lower(),
        lesion=row.known("lesion_id"),
        patient=row.known("patient_id"),
        age=years(row.known("age_approx", "age")),
        sex=sex(row.known("sex")),
        site=row.known("anatom_site_general", "anatom_site_1").lower(),
        skin_type=skin_type(row.known("fitzpatrick_skin_type")),
        source=row.known("attribution"),
        licence=row.known("copyright_license"),
    )


LAYOUT = FolderSet(
    tables=("metadata.csv",), key="isic_id", required=(), describe=describe, about=ABOUT, one_of=FINEST_FIRST
)


def read(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the folder; `missing` as of `read_folder_set`."""
    return read_folder_set(LAYOUT, source, missing)
