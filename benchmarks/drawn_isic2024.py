"""Draw a download of ISIC 2024's shape: crops of 130×130 pixels as JPEGs in one HDF5 file, and its table.

python -m benchmarks.drawn_isic2024 10000 FOLDER

One image in a thousand is malignant, as there. Every image is different, so that a search for copies has work to do:
an irregular ellipse on skin, with texture cut from a few fields at random. In a download of more than 100,000 images,
among which the audit looks for equal files only, 4,000 pictures come again and again, each time with another comment in
the file. Needs h5py. They are no images of patients.
"""

import argparse
import csv
import io
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

SIDE = 130  # pixels
PER_MALIGNANT = 1000  # images
PER_PATIENT = 385  # images: 401,059 of 1,042 patients
QUALITY = 88
ALL_DIFFERENT, PICTURES = 100_000, 4_000  # images of a download up to which all pictures differ; pictures beyond it
LOCATIONS = ("anterior torso", "posterior torso", "lower extremity", "upper extremity", "head/neck", "")
COLUMNS = [
    "isic_id", "target", "patient_id", "age_approx", "sex", "anatom_site_general", "clin_size_long_diam_mm",
    "image_type", "tbp_tile_type", "tbp_lv_A", "tbp_lv_Aext", "tbp_lv_B", "tbp_lv_Bext", "tbp_lv_C", "tbp_lv_Cext",
    "tbp_lv_H", "tbp_lv_Hext", "tbp_lv_L", "tbp_lv_Lext", "tbp_lv_areaMM2", "tbp_lv_area_perim_ratio",
    "tbp_lv_color_std_mean", "tbp_lv_deltaA", "tbp_lv_deltaB", "tbp_lv_deltaL", "tbp_lv_deltaLB",
    "tbp_lv_deltaLBnorm", "tbp_lv_eccentricity", "tbp_lv_location", "tbp_lv_location_simple", "tbp_lv_minorAxisMM",
    "tbp_lv_nevi_confidence", "tbp_lv_norm_border", "tbp_lv_norm_color", "tbp_lv_perimeterMM",
    "tbp_lv_radial_color_std_max", "tbp_lv_stdL", "tbp_lv_stdLExt", "tbp_lv_symm_2axis", "tbp_lv_symm_2axis_angle",
    "tbp_lv_x", "tbp_lv_y", "tbp_lv_z", "attribution", "copyright_license", "lesion_id", "iddx_full", "iddx_1",
    "iddx_2", "iddx_3", "iddx_4", "iddx_5", "mel_mitotic_index", "mel_thick_mm", "tbp_lv_dnn_lesion_confidence",
]  # fmt: skip


class Drawing:
    """Draws crops, each from its own random numbers.

    Args:
        seed: Seed of all images.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        noise = self.random.standard_normal((16, 2 * SIDE, 2 * SIDE)).astype(np.float32)
        smooth = [gaussian_filter(each, 1 + 3 * (number % 4)) for number, each in enumerate(noise)]
        self.fields = np.stack([each / each.std() for each in smooth])
        rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
        self.rows, self.columns = rows, columns

    def draw(self, malignant: bool) -> NDArray[np.uint8]:
        """Return one image, uint8 `(SIDE, SIDE, 3)`; a malignant one is larger and more irregular on average."""
        random = self.random
        centre = SIDE / 2 + random.normal(0, 6, 2)
        radius = np.exp(random.normal(3.0 + 0.35 * malignant, 0.3))
        down, right = self.rows - centre[0], self.columns - centre[1]
        angle = np.arctan2(down, right)
        waves = sum(
            random.normal(0, 0.06 + 0.05 * malignant) * np.cos(number * angle + random.uniform(0, 6.3))
            for number in range(2, 6)
        )
        inside = 1 / (1 + np.exp((np.hypot(down, right) / radius - 1 - waves) * radius / random.uniform(1.5, 4)))
        skin = np.array([random.uniform(150, 235), random.uniform(110, 185), random.uniform(90, 165)])
        mole = skin * random.uniform(0.25, 0.7, 3)
        pixels = skin + inside[..., None] * (mole - skin)
        for _ in range(2):
            top, left = random.integers(0, SIDE, 2)
            field = self.fields[random.integers(len(self.fields)), top : top + SIDE, left : left + SIDE]
            pixels = pixels + (random.uniform(2, 7) * field)[..., None]
        return np.clip(pixels, 0, 255).astype(np.uint8)


def commented(content: bytes, text: str) -> bytes:
    """Return a JPEG file with a comment before everything else."""
    words = text.encode()
    return content[:2] + b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words + content[2:]


def write_download(folder: Path, images: int, seed: int = 0) -> None:
    """Write `train-image.hdf5` and `train-metadata.csv` with a number of images."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    drawing, random = Drawing(seed), np.random.default_rng(seed + 1)
    pictures = images if images <= ALL_DIFFERENT else PICTURES
    benign: list[bytes] = []
    numbers = np.sort(random.choice(9_999_999, images, replace=False))
    is_malignant = np.zeros(images, dtype=bool)
    is_malignant[random.choice(images, max(20, round(images / PER_MALIGNANT)), replace=False)] = True
    patients = random.integers(0, max(40, images // PER_PATIENT), images)
    with (
        h5py.File(folder / "train-image.hdf5", "w") as archive,
        (folder / "train-metadata.csv").open("w", newline="") as table,
    ):
        writer = csv.DictWriter(table, COLUMNS, restval="0.5")
        writer.writeheader()
        shown = tqdm(zip(numbers, is_malignant, patients, strict=True), total=images, disable=not sys.stderr.isatty())
        for number, malignant, patient in shown:
            name = f"ISIC_{number:07d}"
            if malignant or len(benign) < pictures:
                file = io.BytesIO()
                Image.fromarray(drawing.draw(bool(malignant))).save(file, "JPEG", quality=QUALITY)
                content = file.getvalue()
                if not malignant:
                    benign.append(content)
            else:
                content = commented(benign[random.integers(pictures)], name)
            archive[name] = np.void(content)
            kind = "Malignant" if malignant else "Benign"
            words = dict.fromkeys(COLUMNS[47:54], "") | {"iddx_full": kind, "iddx_1": kind}
            writer.writerow(
                words
                | {
                    "isic_id": name, "target": int(malignant), "patient_id": f"IP_{patient:07d}",
                    "age_approx": f"{5 * (6 + patient % 12)}.0", "sex": ("male", "female")[patient % 2],
                    "anatom_site_general": LOCATIONS[number % len(LOCATIONS)], "image_type": "TBP tile: close-up",
                    "attribution": "drawn by a program", "copyright_license": "CC-0", "lesion_id": "",
                }
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    write_download(chosen.folder, chosen.images, chosen.seed)


if __name__ == "__main__":
    main()
