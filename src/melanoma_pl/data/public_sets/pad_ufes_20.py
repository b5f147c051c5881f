"""PAD-UFES-20: smartphone photos in three folders, as deep as the zip files put them, and `metadata.csv`."""

from contextlib import ExitStack
from pathlib import Path

from melanoma_pl.data.public_sets.folder_set import FolderSet, read_folder_set
from melanoma_pl.data.public_sets.record import About, Download, Facts
from melanoma_pl.data.public_sets.tables import Row, sex, skin_type, years

ABOUT = About(
    "A. G. C. Pacheco et al., PAD-UFES-20, Data in Brief 32:106221 (2020), doi.org/10.1016/j.dib.2020.106221",
    (
        "its cancers are all proven by biopsy, many of its other lesions are not",
        "only 52 of its 2,298 photos show a melanoma: too few to test a melanoma task on",
    ),
)


def describe(row: Row) -> Facts:
    """Say what a row says."""
    return Facts(
        written=tuple(filter(None, [row.known("diagnostic")])),
        confirmed_by="histopathology" if row.known("biopsed").lower() in ("true", "1") else "",
        lesion=row.known("lesion_id"),
        patient=row.known("patient_id"),
        age=years(row.known("age")),
        sex=sex(row.known("gender")),
        site=row.known("region").lower(),
        skin_type=skin_type(row.known("fitspatrick")),
        source="PAD-UFES-20",
        licence="CC BY 4.0",
    )


LAYOUT = FolderSet(
    tables=("metadata.csv",),
    key="img_id",
    required=("patient_id", "lesion_id", "age", "gender", "region", "fitspatrick", "diagnostic"),
    describe=describe,
    about=ABOUT,
)


def read(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the folder; `missing` as of `read_folder_set`."""
    return read_folder_set(LAYOUT, source, missing)
