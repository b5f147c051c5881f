"""A few tiny images of each public dataset, in exactly the format of its download."""

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Rows = list[dict[str, Any]]

HAM_DX = ["nv"] * 10 + ["mel"] * 7 + ["bkl"] * 3 + ["bcc"] * 2 + ["akiec"] * 2 + ["df", "vasc"]  # of each lesion
PAD_DIAGNOSTIC = ["NEV"] * 7 + ["MEL"] * 6 + ["BCC", "SCC", "ACK", "SEK"]  # of each patient's lesion
PAD_COLUMNS = """patient_id lesion_id smoke drink background_father background_mother age pesticide gender
skin_cancer_history cancer_history has_piped_water has_sewage_system fitspatrick region diameter_1 diameter_2 diagnostic
itch grew hurt changed bleed elevation img_id biopsed"""
NEVUS = ("Benign", "Benign melanocytic proliferations", "Nevus", "", "")
MELANOMA = ("Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma Invasive", "", "")


def draw(path: Path, number: int) -> Path:
    """Write an image of one colour, another one for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (number % 256, number // 256, 128)
    Image.new("RGB", (4, 4), colour).save(path)
    return path


def write_table(path: Path, rows: Rows, columns: Sequence[str] = (), delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]), restval="", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def ham_rows() -> Rows:
    """One row an image; every third lesion has two images."""
    rows = []
    for lesion, dx in enumerate(HAM_DX):
        for _ in range(2 if lesion % 3 == 0 else 1):
            number = 24306 + len(rows)
            row = {"lesion_id": f"HAM_{lesion:07d}", "image_id": f"ISIC_{number:07d}", "dx": dx, "dx_type": "histo"}
            rows.append(row | {"age": "80.0", "sex": "male", "localization": "scalp", "dataset": "vidir_modern"})
    return rows


def write_ham10000(folder: Path, rows: Rows | None = None) -> Path:
    rows = ham_rows() if rows is None else rows
    for number, row in enumerate(rows):
        draw(folder / f"HAM10000_images_part_{1 + number % 2}" / f"{row['image_id']}.jpg", number)
    write_table(folder / "HAM10000_metadata.csv", rows)
    return folder


def isic2024_rows(images: int = 60) -> Rows:
    """One row an image of a dozen patients; every sixth image is malignant, each of another patient."""
    return [
        {
            "isic_id": f"ISIC_{15670 + 9973 * number:07d}",
            "target": int(number % 6 == 0),
            "patient_id": f"IP_{number % 13:07d}",
            "age_approx": "60.0",
            "sex": "male",
            "anatom_site_general": "lower extremity",
            "tbp_lv_A": "20.244422",
            "attribution": "Memorial Sloan Kettering Cancer Center",
            "copyright_license": "CC-BY",
            "lesion_id": "IL_7727506" if number == 0 else "",
            "iddx_full": "Benign",
            "iddx_1": "Benign",
            "iddx_2": "Benign melanocytic proliferations" if number == 1 else "",
        }
        for number in range(images)
    ]


def write_isic2024(folder: Path, rows: Rows | None = None, missing: Sequence[str] = ()) -> Path:
    """Write the HDF5 file, without some of its images, and the table."""
    h5py = pytest.importorskip("h5py", reason="needs melanoma-pl[isic2024]")
    rows = isic2024_rows() if rows is None else rows
    write_table(folder / "train-metadata.csv", rows)
    with h5py.File(folder / "train-image.hdf5", "w") as archive:
        for number, row in enumerate(rows):
            content = io.BytesIO()
            Image.new("RGB", (130, 130), (number % 256, 80, 128)).save(content, "JPEG")
            if row["isic_id"] not in missing:  # as bytes, or as an opaque value
                archive[row["isic_id"]] = np.void(content.getvalue()) if number % 2 else np.bytes_(content.getvalue())
    return folder


def isic_row(number: int, levels: Sequence[str] = NEVUS, **others: str) -> dict[str, str]:
    """One row as isic-cli writes it today."""
    row = {
        "isic_id": f"ISIC_{number:07d}",
        "attribution": "Hospital",
        "copyright_license": "CC-BY-NC",
        "age_approx": "45",
    }
    row |= {"anatom_site_1": "Trunk", "anatom_site_general": "posterior torso"}
    row |= {f"diagnosis_{level + 1}": name for level, name in enumerate(levels)}
    row |= {"fitzpatrick_skin_type": "II", "image_type": "dermoscopic", "lesion_id": f"IL_{number // 2:07d}"}
    return row | {"patient_id": f"IP_{number // 4:07d}", "sex": "female"} | others


def isic_rows() -> Rows:
    return [isic_row(number, NEVUS if number < 24 else MELANOMA) for number in range(48)]


def write_isic(folder: Path, rows: Rows | None = None) -> Path:
    rows = isic_rows() if rows is None else rows
    for number, row in enumerate(rows):
        draw(folder / f"{row['isic_id']}.jpg", number)
    write_table(folder / "metadata.csv", rows)
    (folder / "attribution.txt").write_text("Hospital")
    return folder


def write_pad(folder: Path) -> Path:
    rows: Rows = []
    for patient, diagnostic in enumerate(PAD_DIAGNOSTIC):
        for image in range(2 if patient % 4 == 0 else 1):
            name = f"PAT_{patient}_{100 + patient}_{image}.png"
            part = f"imgs_part_{1 + patient % 3}"
            draw(folder / "images" / part / part / name, len(rows))
            row = {"patient_id": f"PAT_{patient}", "lesion_id": str(100 + patient), "age": 55, "gender": "FEMALE"}
            row |= {"region": "NECK", "fitspatrick": "3.0", "diagnostic": diagnostic, "img_id": name, "biopsed": True}
            rows.append(row)
    write_table(folder / "metadata.csv", rows, PAD_COLUMNS.split())
    return folder


def dermamnist_arrays(train: int = 21, validation: int = 7, test: int = 14) -> dict[str, np.ndarray]:
    arrays = {}
    for split, count in (("train", train), ("val", validation), ("test", test)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)
        arrays[f"{split}_images"] = pixels
        arrays[f"{split}_labels"] = (np.arange(count, dtype=np.uint8) % 7)[:, None]
    return arrays


def write_dermamnist(file: Path, **arrays: np.ndarray) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **(arrays or dermamnist_arrays()))
    return file


def write_kaggle(folder: Path, roots: Sequence[str] = ("", "data")) -> Path:
    for root in roots:
        for number, split in enumerate(("train", "train", "train", "test")):
            for label in ("benign", "malignant"):
                draw(folder / root / split / label / f"{number}.jpg", number + 10 * (label == "malignant"))
    return folder


def zip_folder(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for image in sorted(folder.rglob("*.jpg")):
            archive.write(image, image.relative_to(folder).as_posix())
    return file


def read_table(file: Path) -> Rows:
    with file.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def files_below(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
