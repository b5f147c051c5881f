"""HAM10000: two folders of images, or one, and a table, from the Harvard Dataverse, Kaggle or the ISIC archive.

The ISIC archive, as its own command `isic image download` leaves it: images and `metadata.csv` in one folder.

That table has a column only where one of its images says something in it. Diagnoses are in `diagnosis_1` (malignancy)
to `diagnosis_5` (subtype) today, and were in `diagnosis` and `benign_malignant` in older downloads.

PAD-UFES-20: smartphone images in three folders, as deep as the zip files put them, and `metadata.csv`.
"""

from contextlib import ExitStack
from pathlib import Path

from melanoma_pl.data.public_sets.download import About, Download, ImageFacts
from melanoma_pl.data.public_sets.source_tables import FolderSet, TableRow, read_folder_set, sex, skin_type, years

HAM10000 = About(
    "P. Tschandl, C. Rosendahl, H. Kittler, The HAM10000 dataset, Scientific Data 5:180161 (2018), "
    "doi.org/10.1038/sdata.2018.161",
    (
        "18 pairs of its images show one lesion under two lesion ids (Abhishek et al., Scientific Data 12:196, 2025): "
        "a few lesions may be in train and test",
    ),
)
CONFIRMED_BY = {
    "histo": "histopathology",
    "follow_up": "follow-up",
    "consensus": "expert consensus",
    "confocal": "confocal microscopy",
}


def describe_ham10000(row: TableRow) -> ImageFacts:
    """Say what a row says."""
    confirmed_by = row.known("dx_type").lower()
    return ImageFacts(
        written=tuple(filter(None, [row.known("dx")])),
        confirmed_by=CONFIRMED_BY.get(confirmed_by, confirmed_by),
        lesion=row.known("lesion_id"),
        age=years(row.known("age")),
        sex=sex(row.known("sex")),
        site=row.known("localization").lower(),
        source=f"HAM10000 {row.known('dataset')}".strip(),  # the column is in the Dataverse's table alone
        licence="CC BY-NC 4.0",
    )


HAM10000_LAYOUT = FolderSet(
    tables=("ham10000_metadata.csv", "ham10000_metadata", "ham10000_metadata.tab"),
    key="image_id",
    required=("lesion_id", "dx", "age", "sex", "localization"),
    describe=describe_ham10000,
    about=HAM10000,
)


def read_ham10000(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the folder; `missing` as of `read_folder_set`."""
    return read_folder_set(HAM10000_LAYOUT, source, missing)


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
ISIC = About(
    "the sources in the column source; each challenge's own citation: challenge.isic-archive.com/data",
    (
        "each image has its own licence: column licence",
        "the archive holds other sets too (HAM10000, BCN20000, …): do not pool it with them",
    ),
)


def describe_isic(row: TableRow) -> ImageFacts:
    """Say what a row says."""
    image_type = row.known("image_type")
    written = [row.known(column) for column in FINEST_FIRST]
    return ImageFacts(
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


ISIC_LAYOUT = FolderSet(
    tables=("metadata.csv",), key="isic_id", required=(), describe=describe_isic, about=ISIC, one_of=FINEST_FIRST
)


def read_isic(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the folder; `missing` as of `read_folder_set`."""
    return read_folder_set(ISIC_LAYOUT, source, missing)


PAD_UFES_20 = About(
    "A. G. C. Pacheco et al., PAD-UFES-20, Data in Brief 32:106221 (2020), doi.org/10.1016/j.dib.2020.106221",
    (
        "its cancers are all proven by biopsy, many of its other lesions are not",
        "only 52 of its 2,298 images show a melanoma: too few to test a melanoma task on",
    ),
)


def describe_pad_ufes_20(row: TableRow) -> ImageFacts:
    """Say what a row says."""
    return ImageFacts(
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


PAD_UFES_20_LAYOUT = FolderSet(
    tables=("metadata.csv",),
    key="img_id",
    required=("patient_id", "lesion_id", "age", "gender", "region", "fitspatrick", "diagnostic"),
    describe=describe_pad_ufes_20,
    about=PAD_UFES_20,
)


def read_pad_ufes_20(source: Path, missing: str, opened: ExitStack) -> Download:
    """Read the folder; `missing` as of `read_folder_set`."""
    return read_folder_set(PAD_UFES_20_LAYOUT, source, missing)
