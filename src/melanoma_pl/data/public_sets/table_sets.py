"""Datasets of images in folders and a table: HAM10000, the ISIC archive and PAD-UFES-20.

HAM10000 comes in two folders, or one, from the Harvard Dataverse, Kaggle or the ISIC archive. PAD-UFES-20 comes in
three folders of smartphone images. The ISIC archive is what its own command `isic image download` leaves: images and
`metadata.csv` in one folder. That table has a column only where one of its images says something in it. Diagnoses are
in `diagnosis_1` (malignancy) to `diagnosis_5` (subtype) today; older downloads have them in `diagnosis` and
`benign_malignant`.
"""

import filecmp
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melanoma_pl.data.options import ENDINGS, is_image
from melanoma_pl.data.public_sets.download import (
    Download,
    ImageFacts,
    LeftOut,
    SourceImage,
    TableRow,
    archives_hint,
    read_rows,
    sex,
    skin_type,
    years,
)
from melanoma_pl.errors import UserError
from melanoma_pl.evaluation.strata import OLDEST
from melanoma_pl.messages import amount

CONFIRMED_BY = {
    "histo": "histopathology",
    "follow_up": "follow-up",
    "consensus": "expert consensus",
    "confocal": "confocal microscopy",
}
# the finest first
LEVELS = ("diagnosis_5", "diagnosis_4", "diagnosis_3", "diagnosis_2", "diagnosis", "diagnosis_1", "benign_malignant")
AGES = ("age_approx", "age")
SAYS_NOTHING = {"other"}  # the older catch-all
NO_CLOSE_UP = ("rcm:", "tbp tile: overview", "clinical: overview", "overview")  # microscopy, or many lesions at once


@dataclass(frozen=True)
class TableSet:
    """A dataset whose images lie in folders and are described by a table.

    Attributes:
        citation: The work to cite.
        warnings: Known faults of the dataset.
        tables: Names that its table may have, in lower case.
        key: Column with the image's name, with or without its ending.
        describe: Function that returns what a row says.
        required: Further columns that the table must have.
        one_of: Columns of which it must have at least one.
    """

    citation: str
    warnings: tuple[str, ...]
    tables: Sequence[str]
    key: str
    describe: Callable[[TableRow], ImageFacts]
    required: Sequence[str] = ()
    one_of: Sequence[str] = ()

    def read(self, source: Path, missing: str, opened: ExitStack) -> Download:
        """Read the table, and find the images anywhere below the source.

        Args:
            source: Folder of the download.
            missing: What happens to a row without an image or an image without a row: `stop` (an error) or `leave-out`.
            opened: Not used: nothing stays open.

        Raises:
            UserError: If the table or, with `stop`, an image or row is missing; or two different images have one name.
        """
        table = find_table(source, self.tables)
        rows = self._by_image(read_rows(table, (self.key, *self.required), self.one_of))
        images, copies = find_images(source)
        without_image = [row for name, row in rows.items() if name not in images]
        without_row = sorted(image for name, image in images.items() if name not in rows)
        if missing == "stop":
            self._refuse(source, table, without_image, without_row)
        entries = tuple(
            SourceImage(images[name], row.where, self.describe(row)) for name, row in rows.items() if name in images
        )
        left_out = [LeftOut(row.cells[self.key], "", "no image") for row in without_image]
        left_out += [LeftOut(image, "", f"no row in {table.name}") for image in without_row]
        lie = f"{amount(copies, 'image lies', 'images lie')} in the download twice, with equal bytes; one is taken"
        odd = sum(bool(row.known(*AGES)) and not years(row.known(*AGES)) for row in rows.values())
        ages = f"the age of {amount(odd, 'image')} is not a number of years from 0 to {OLDEST}, and is left out"
        notes = (*((lie,) if copies else ()), *((ages,) if odd else ()))
        return Download(self.citation, self.warnings, entries, source, tuple(left_out), notes)

    def _by_image(self, rows: list[TableRow]) -> dict[str, TableRow]:
        by_image: dict[str, TableRow] = {}
        for row in rows:
            if not row.known(self.key):
                raise UserError(f"{row.where}: no {self.key}", "name the image, or delete the line")
            first = by_image.setdefault(_stem(row.cells[self.key]), row)
            if first is not row:
                raise UserError(
                    f"{row.where}: line {first.line} already has '{row.cells[self.key]}'", "delete one of the two"
                )
        return by_image

    def _refuse(self, source: Path, table: Path, without_image: list[TableRow], without_row: list[str]) -> None:
        way_out = "complete the download, or leave them out with --missing leave-out"
        if without_image:
            where, name = without_image[0].where, without_image[0].cells[self.key]
            message = f"{where}: there is no image {name} below {source}; rows without an image: {len(without_image)}"
            raise UserError(message, way_out + archives_hint(source))
        if without_row:
            image, count = source / without_row[0], len(without_row)
            raise UserError(f"{image} has no row in {table}; images without a row: {count}", way_out)


def find_table(source: Path, names: Sequence[str]) -> Path:
    """Return the only file below `source` that has one of these names, in lower case.

    Raises:
        UserError: If `source` is not a folder, or holds no such file or several.
    """
    wanted = " or ".join(names)
    if not source.exists():
        raise UserError(f"{source} does not exist", f"give the folder with {wanted} and the images")
    if not source.is_dir():
        raise UserError(f"{source} is a file", f"extract it, and give the folder with {wanted} and the images")
    found = sorted(file for file in source.rglob("*") if file.name.lower() in names and file.is_file())
    if not found:
        raise UserError(f"{source} holds no {wanted}", f"give the folder of the download{archives_hint(source)}")
    if len(found) > 1:
        raise UserError(f"{source} holds {found[0]} and {found[1]}", "give the folder of one, or move the other away")
    return found[0]


def find_images(source: Path) -> tuple[dict[str, str], int]:
    """Find every image below a folder.

    Returns:
        Its name without ending → its path relative to `source`, with `/`; and the number of further copies of those.

    Raises:
        UserError: If two different images have one name.
    """
    images: dict[str, str] = {}
    copies = 0
    for file in sorted(file for file in source.rglob("*") if is_image(file.relative_to(source)) and file.is_file()):
        first = source / images.setdefault(_stem(file.name), file.relative_to(source).as_posix())
        if first != file:
            if not filecmp.cmp(first, file, shallow=False):
                raise UserError(f"{first} and {file} have one name and differ", "keep the one of the original download")
            copies += 1
    return images, copies


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in ENDINGS else path.name


def _facts(row: TableRow, **others: Any) -> ImageFacts:
    """Return what a row says of the lesion and the patient, with the datasets' names of columns, and `others`."""
    return ImageFacts(
        lesion=row.known("lesion_id"),
        patient=row.known("patient_id"),
        age=years(row.known(*AGES)),
        sex=sex(row.known("sex", "gender")),
        site=row.known("anatom_site_general", "anatom_site_1", "localization", "region").lower(),
        skin_type=skin_type(row.known("fitzpatrick_skin_type", "fitspatrick")),
        **others,
    )


def _describe_ham10000(row: TableRow) -> ImageFacts:
    confirmed_by = row.known("dx_type").lower()
    return _facts(
        row,
        written=tuple(filter(None, [row.known("dx")])),
        confirmed_by=CONFIRMED_BY.get(confirmed_by, confirmed_by),
        source=f"HAM10000 {row.known('dataset')}".strip(),  # only the Dataverse's table has this column
        licence="CC BY-NC 4.0",
    )


def _describe_isic(row: TableRow) -> ImageFacts:
    image_type = row.known("image_type")
    written = [row.known(column) for column in LEVELS]
    return _facts(
        row,
        written=tuple(name for name in written if name and name.lower() not in SAYS_NOTHING),
        unfit=f"image type '{image_type}'" if image_type.lower().startswith(NO_CLOSE_UP) else "",
        confirmed_by=row.known("diagnosis_confirm_type").lower(),
        source=row.known("attribution"),
        licence=row.known("copyright_license"),
    )


def _describe_pad_ufes_20(row: TableRow) -> ImageFacts:
    return _facts(
        row,
        written=tuple(filter(None, [row.known("diagnostic")])),
        confirmed_by="histopathology" if row.known("biopsed").lower() in ("true", "1") else "",
        source="PAD-UFES-20",
        licence="CC BY 4.0",
    )


HAM10000 = TableSet(
    "P. Tschandl, C. Rosendahl, H. Kittler, The HAM10000 dataset, Scientific Data 5:180161 (2018), "
    "doi.org/10.1038/sdata.2018.161",
    (
        "18 pairs of its images show one lesion under two lesion ids (Abhishek et al., Scientific Data 12:196, "
        "2025), so that a few lesions may be in both train and test",
    ),
    ("ham10000_metadata.csv", "ham10000_metadata", "ham10000_metadata.tab"),
    "image_id",
    _describe_ham10000,
    required=("lesion_id", "dx", "age", "sex", "localization"),
)
ISIC = TableSet(
    "the sources in the column source; each challenge's own citation: challenge.isic-archive.com/data",
    (
        "each image has its own licence, in the column licence",
        "the archive contains other datasets too (HAM10000, BCN20000, …): do not pool it with them",
    ),
    ("metadata.csv",),
    "isic_id",
    _describe_isic,
    one_of=LEVELS,
)
PAD_UFES_20 = TableSet(
    "A. G. C. Pacheco et al., PAD-UFES-20, Data in Brief 32:106221 (2020), doi.org/10.1016/j.dib.2020.106221",
    (
        "all of its cancers are proven by biopsy, but not all of its other lesions",
        "only 52 of its 2,298 images show a melanoma: too few to test a melanoma task",
    ),
    ("metadata.csv",),
    "img_id",
    _describe_pad_ufes_20,
    required=("patient_id", "lesion_id", "age", "gender", "region", "fitspatrick", "diagnostic"),
)
